"""The record of one request, as the world saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.sim.act import Act

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._prompt import Wire

_HEALTHY = Act()
_KEYS = ("authorization", "x-api-key", "x-goog-api-key")


@dataclass(slots=True, eq=False)
class Seen:
    """One request as the world saw it. Instants are of the loop's clock, `None` = it never came to that.

    `contents` counts what was sent of the answer (in-process: what the client took), `gone` says that the client went
    away before the end, `act` is what it got. What its model bills for it is known when it has ended.
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

    @property
    def key(self) -> str | None:
        """The API key it came with."""
        return next((self.headers[name] for name in _KEYS if name in self.headers), None)
