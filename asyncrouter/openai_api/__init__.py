"""OpenAI's HTTP API over a router: one translation, for the doors that carry its bytes.

`OpenAIApi.respond` takes a request (Chat Completions, models, embeddings) and returns an `Answer`: a status, header
fields, and a body, whole or as an `EventStream`. It knows no socket and no framework. The transport under the SDKs
(`asyncrouter.integrations.openai`), the ASGI application (`asyncrouter.integrations.asgi`) and `asyncrouter serve` only
carry what it says.

`model` in a request is a model, `task:NAME`, `tier:NAME`, or a chain `a,b`. A field `x-asyncrouter-task` adds the
parameters and the deadline of a task, `x-asyncrouter-deadline` is the call's deadline in seconds, and
`x-asyncrouter-session` keeps a conversation on one member of a pool. Other header fields of the client go nowhere. Each
answer has `x-asyncrouter-model`, `-attempts`, `-cost-usd` (of all attempts; a stream's is not known when it begins) and
`-trace-id`, and `x-should-retry: false` where the router has tried what can be tried.

Who asks for no stream reads nothing along, so his answer comes from the provider as one JSON body, at a fraction of the
processor time: `total`, the share of the deadline and the deadline limit it. A number for `first_token` or `idle`, or a
hedge, is kept, with a stream that the client does not see.
"""

from asyncrouter.openai_api._answer import Answer, ApiRequest, ByteStream
from asyncrouter.openai_api._api import OpenAIApi
from asyncrouter.openai_api._events import EventStream
from asyncrouter.openai_api._failure import problem_answer
from asyncrouter.openai_api._gate import MAX_CALLS, Gate, Visit
from asyncrouter.openai_api._keys import PERIODS, ClientKey, KeyRing, secret_of

__all__ = [
    "MAX_CALLS", "PERIODS", "Answer", "ApiRequest", "ByteStream", "ClientKey", "EventStream", "Gate", "KeyRing",
    "OpenAIApi", "Visit", "problem_answer", "secret_of",
]
