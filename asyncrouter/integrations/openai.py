"""A router under the clients that people have: a transport of httpx2 (or httpx) for OpenAI's SDK and what stands on it.

```python
import httpx2, openai
from asyncrouter import Router
from asyncrouter.integrations.openai import RouterTransport

async with Router() as router:
    http = httpx2.AsyncClient(transport=RouterTransport(router))
    client = openai.AsyncOpenAI(api_key="unused", http_client=http)
    answer = await client.chat.completions.create(model="task:coding", messages=[…])
```

The same client goes into LangChain (`ChatOpenAI(http_async_client=http)`), pydantic-ai (`OpenAIProvider(openai_client=
client)`), instructor (`instructor.from_openai(client)`) and others. No socket is opened: requests are answered in this
process, streams as they come. `model`, header fields and errors are as `help("asyncrouter.openai_api")` says. The
client's key and other header fields go nowhere. Leaving a stream, or cancelling a request, cancels the call.

Needs httpx2 or httpx, which every such client brings; the extra is `openai`.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

try:
    import httpx2 as httpx
except ModuleNotFoundError:
    try:
        import httpx  # type: ignore[no-redef]
    except ModuleNotFoundError as _missing:
        raise ModuleNotFoundError(
            "neither httpx2 nor httpx is installed: pip install 'asyncrouter[openai]'", name=_missing.name
        ) from None

from asyncrouter import Router
from asyncrouter.openai_api import ApiRequest, ByteStream, OpenAIApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MODELS: Final = "/models"
_PATHS: Final = ("/chat/completions", "/embeddings", _MODELS)
"""How the path of an address ends, whatever stands before it (`/v1`, a deployment of Azure's)."""


class RouterTransport(httpx.AsyncBaseTransport):
    """A transport that answers requests to OpenAI's API with a router: `httpx2.AsyncClient(transport=…)`.

    The router stays its owner's: closing the client does not close it. Raises `TypeError` for what is no router.
    """

    def __init__(self, router: Router) -> None:
        if not isinstance(router, Router):
            raise TypeError(f"router: expected a Router, got {type(router).__name__}")
        self._api = OpenAIApi(router, trusted=True)

    def __repr__(self) -> str:
        return f"<RouterTransport to {self._api.router!r}>"

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request of httpx2, or of httpx; the response is of the same library."""
        body = await request.aread()
        asked = ApiRequest(request.method, api_path(request.url.path), request.headers, body)
        answer = await self._api.respond(asked)
        library = type(request).__module__.partition(".")[0]
        body = answer.body
        content = {"content": body} if isinstance(body, bytes) else {"stream": _stream_class(library)(body)}
        response = importlib.import_module(library).Response
        return response(answer.status, headers=answer.headers, request=request, **content)


def api_path(path: str) -> str:
    """The part of a path that belongs to the API: the whole path if there is none."""
    for name in _PATHS:
        if path.endswith(name):
            return name
    start = path.find(f"{_MODELS}/")  # the id of a model may have slashes, and such a part, of its own
    return path[start:] if start >= 0 else path


@lru_cache
def _stream_class(library: str) -> type:
    """The body of a streamed response for this library, which wants one of its own class."""

    class Stream(importlib.import_module(library).AsyncByteStream):  # type: ignore[misc]
        """The bytes of an answer as they come."""

        def __init__(self, events: ByteStream) -> None:
            self._events = events

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._events

        async def aclose(self) -> None:
            await self._events.aclose()

    return Stream
