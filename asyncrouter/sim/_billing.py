"""What the models of a world bill for each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim.play import Play


class Price(NamedTuple):
    """A model's price in US dollars for a million tokens."""

    input: float
    output: float


@dataclass(slots=True)
class Bill:
    """The sum over all requests to one model that have ended; `usd` is in US dollars.

    `statuses` counts the responses by HTTP status, `None` where there was none.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    statuses: dict[int | None, int] = field(default_factory=dict)

    def add(self, request: LoggedRequest) -> None:
        """Add a request that has ended and was charged."""
        self.requests += 1
        self.input_tokens += request.input_tokens
        self.output_tokens += request.output_tokens
        self.usd += request.usd
        self.statuses[request.status] = self.statuses.get(request.status, 0) + 1


def charge(request: LoggedRequest, play: Play, price: Price | None) -> None:
    """Note in the log entry what a request costs, now that its connection is over.

    A stream that the client leaves is billed for what was sent until then. An answer in one piece, and one of a model
    that does not notice (`Act.deaf`), is generated, and billed, to its end. Errors cost nothing.
    """
    encoder = play.encoder
    if encoder is None or request.connected is None:
        return
    generated_to_end = not encoder.streaming or (request.gone and encoder.act.deaf)
    request.input_tokens = encoder.prompt_tokens
    request.output_tokens = max(request.contents, play.contents) if generated_to_end else request.contents
    if encoder.act.cost is not None and request.output_tokens >= play.contents:
        request.usd = encoder.act.cost
    elif price is not None:
        request.usd = (request.input_tokens * price.input + request.output_tokens * price.output) / 1e6
