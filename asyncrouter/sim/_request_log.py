"""The log entry of one request to a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.sim.act import Act

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._request import Wire
    from asyncrouter.sim._strict.complaint import Host

_HEALTHY = Act()
"""The act of requests that no model has taken."""
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
"""The headers in which OpenAI-like providers, Anthropic and Google take an API key, in lower case."""


@dataclass(slots=True, eq=False)
class LoggedRequest:
    """One request, as the world saw it. Instants are of the event loop's clock, `None` when it never came to that.

    `number` counts the world's requests from 1. `headers` have lower-case names; `body` is the parsed JSON, empty where
    it was none. `at` is when the request began, `connected` when its connection was ready, `ended` when that was over.
    `status` is that of the response. `contents` counts the contents that were sent (in-process: that the client took).
    `gone` says that the client left before the end. `act` is what the model did. `input_tokens`, `output_tokens` and
    `usd` are what the model bills for it; they are 0 until it has ended. `strict` is the vendor whose rules the model
    keeps, `None` for no rules. `embeds` says that it asks for embeddings.
    """

    number: int
    model: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, object] = field(repr=False)
    at: float
    wire: Wire = "openai"
    stream: bool = False
    connected: float | None = None
    ended: float | None = None
    status: int | None = None
    contents: int = 0
    gone: bool = False
    act: Act = field(default=_HEALTHY, repr=False)
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    strict: Host | None = None
    embeds: bool = False

    @property
    def key(self) -> str | None:
        """The API key it came with, as its header says it ("Bearer …"); `None` without one."""
        return next((self.headers[name] for name in _KEY_HEADERS if name in self.headers), None)
