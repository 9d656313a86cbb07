"""The public names, imported from the modules that define them; `asyncrouter` has them all."""

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._config.config import NOT_GIVEN, Chain, Config, Defaults, Hedge, NotGiven, Retry, Step
from asyncrouter._config.price import Price
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
from asyncrouter._explain import ExplainedStep, Explanation, ModelHealth
from asyncrouter._reply_stream import ReplyStream
from asyncrouter._repr import visible
from asyncrouter._router import Router
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.api import Request, Response, Transport
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
    "NotGiven",
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
    "visible",
]
