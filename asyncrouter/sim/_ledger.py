"""What the world's models bill: what they made until the client left, or all of it where leaving stops nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim.play import Play


class Price(NamedTuple):
    """USD for a million tokens."""

    input: float
    output: float


@dataclass(slots=True)
class Bill:
    """All that one model was asked and bills. `statuses` counts its responses; `None`: there was none."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    statuses: dict[int | None, int] = field(default_factory=dict)

    def add(self, seen: Seen) -> None:
        """Take in a request that has ended."""
        self.requests += 1
        self.input_tokens += seen.input_tokens
        self.output_tokens += seen.output_tokens
        self.usd += seen.usd
        self.statuses[seen.status] = self.statuses.get(seen.status, 0) + 1


def charge(seen: Seen, played: Play, price: Price | None) -> None:
    """Write down what one request costs, now that its connection is over."""
    speech = played.speech
    if speech is None or seen.connected is None:
        return
    # Whoever leaves a stream stops it, unless the model is deaf; what comes in one piece is made in any case.
    through = not speech.streaming or (seen.gone and speech.act.deaf)
    seen.input_tokens = speech.read
    seen.output_tokens = max(seen.contents, played.contents) if through else seen.contents
    if speech.act.cost is not None and seen.output_tokens >= played.contents:
        seen.usd = speech.act.cost
    elif price is not None:
        seen.usd = (seen.input_tokens * price.input + seen.output_tokens * price.output) / 1e6
