"""Fallback chains of language models for asyncio: the best model that answers in time, and a trace of why.

```python
async with Router() as router:
    reply = await router.chat("Write a haiku about fallbacks.", task="creative")
    print(reply.text, reply.trace, sep="\\n")
```
"""

from asyncrouter._catalog import Model, Price, Provider
from asyncrouter._config import NOT_GIVEN, Chain, Config, Defaults, Hedge, Retry, Step
from asyncrouter._errors import (
    AllModelsFailed,
    AttemptError,
    AttemptTimeout,
    BadReply,
    CallError,
    ConfigError,
    ConnectionFailed,
    ContextTooLong,
    DeadlineExceeded,
    NotAccepted,
    NotSent,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    RouterClosed,
    RouterError,
    ServerFailed,
    StreamInterrupted,
    Unauthorized,
)
from asyncrouter._events import AttemptEnded, AttemptStarted, CallEnded, Event, HedgeDenied, Notice, StateChanged
from asyncrouter._http import Request, Response, Transport
from asyncrouter._insight import ExplainedStep, Explanation, ModelHealth
from asyncrouter._reply_stream import ReplyStream
from asyncrouter._router import Router
from asyncrouter._transport import AiohttpTransport
from asyncrouter._types import Attempt, Call, Chunk, Reply, Trace, Usage

__all__ = [
    "NOT_GIVEN",
    "AiohttpTransport",
    "AllModelsFailed",
    "Attempt",
    "AttemptEnded",
    "AttemptError",
    "AttemptStarted",
    "AttemptTimeout",
    "BadReply",
    "Call",
    "CallEnded",
    "CallError",
    "Chain",
    "Chunk",
    "Config",
    "ConfigError",
    "ConnectionFailed",
    "ContextTooLong",
    "DeadlineExceeded",
    "Defaults",
    "Event",
    "ExplainedStep",
    "Explanation",
    "Hedge",
    "HedgeDenied",
    "Model",
    "ModelHealth",
    "NotAccepted",
    "NotSent",
    "Notice",
    "OutOfCredit",
    "Price",
    "Provider",
    "RateLimited",
    "Refused",
    "Rejected",
    "Reply",
    "ReplyStream",
    "Request",
    "Response",
    "Retry",
    "Router",
    "RouterClosed",
    "RouterError",
    "ServerFailed",
    "StateChanged",
    "Step",
    "StreamInterrupted",
    "Trace",
    "Transport",
    "Unauthorized",
    "Usage",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # reads the disk: only when asked

        return version("asyncrouter")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
