"""Loads: when calls are made, in an open loop (at given instants) or a closed one (when a worker is free).

Independent users make an open loop: they do not wait for each other's answers. A closed loop waits for the system that
it measures, so the calls that a slow system would have kept waiting are never made ("coordinated omission", Gil Tene):
use it for throughput, not for latency.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_CALLS = 10_000_000
"""Calls of one load at most: the instants of an open loop are all held in memory."""

Kind = Literal["poisson", "constant", "gamma", "ramp", "recorded", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """When the calls of every arm are made; created by one of the class methods.

    `calls` and `seconds` end it, whichever comes first; one of them must be given (a recording ends by itself). `rate`
    is calls a second, on average. `cap` is how many calls of an arm may be in flight at once (`None`: no limit); a call
    that has to wait for it counts from its scheduled instant all the same. Raises `ValueError` for numbers that are not
    above 0 or not finite, for a load without an end or of more than ten million calls, and for instants that are not in
    rising order.
    """

    kind: Kind
    rate: float | None = None
    calls: int | None = None
    seconds: float | None = None
    shape: float = 1.0
    to: float | None = None
    instants: tuple[float, ...] = ()
    concurrency: int | None = None
    cap: int | None = None

    def __post_init__(self) -> None:
        for name in ("rate", "to", "seconds", "shape", "calls", "concurrency", "cap"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")
        if self.kind != "recorded" and self.calls is None and self.seconds is None:
            raise ValueError(f"a {self.kind} load needs calls= or seconds=: it would never end")
        if (calls := self._most_calls()) > MAX_CALLS:
            raise ValueError(f"a load of {calls:g} calls: expected {MAX_CALLS:,} at most")
        if not all(map(math.isfinite, self.instants)):
            raise ValueError("instants: expected seconds, got one that is not finite")
        if any(later < earlier for earlier, later in zip(self.instants, self.instants[1:], strict=False)):
            raise ValueError("instants: expected seconds in rising order")

    def _most_calls(self) -> float:
        """About how many calls it makes, as far as its settings say."""
        timed = 0.0 if self.seconds is None or self.rate is None else self.seconds * max(self.rate, self.to or 0.0)
        return timed if self.calls is None else min(self.calls, timed or math.inf)

    @classmethod
    def poisson(
        cls, rate: float, *, calls: int | None = None, seconds: float | None = None, cap: int | None = None
    ) -> Self:
        """A Poisson process, as independent users make it: `rate` calls a second on average, exponential gaps."""
        return cls(kind="poisson", rate=rate, calls=calls, seconds=seconds, cap=cap)

    @classmethod
    def constant(
        cls, rate: float, *, calls: int | None = None, seconds: float | None = None, cap: int | None = None
    ) -> Self:
        """A call every 1/`rate` seconds."""
        return cls(kind="constant", rate=rate, calls=calls, seconds=seconds, cap=cap)

    @classmethod
    def gamma(
        cls, rate: float, shape: float, *, calls: int | None = None, seconds: float | None = None,
        cap: int | None = None,
    ) -> Self:
        """Gamma-distributed gaps: burstier than Poisson with `shape` below 1, more regular above."""
        return cls(kind="gamma", rate=rate, shape=shape, calls=calls, seconds=seconds, cap=cap)

    @classmethod
    def ramp(cls, rate: float, to: float, *, seconds: float, cap: int | None = None) -> Self:
        """Poisson arrivals whose rate changes linearly from `rate` to `to` within `seconds`."""
        return cls(kind="ramp", rate=rate, to=to, seconds=seconds, cap=cap)

    @classmethod
    def recorded(cls, instants: Sequence[float], *, cap: int | None = None) -> Self:
        """The instants of a recording, in seconds; the first one becomes 0."""
        first = instants[0] if instants else 0.0
        return cls(kind="recorded", instants=tuple(at - first for at in instants), cap=cap)

    @classmethod
    def closed(cls, concurrency: int, *, calls: int | None = None, seconds: float | None = None) -> Self:
        """`concurrency` workers, each of which makes its next call when the last one has ended."""
        return cls(kind="closed", concurrency=concurrency, calls=calls, seconds=seconds)

    @property
    def open(self) -> bool:
        """Whether the instants are known in advance."""
        return self.kind != "closed"

    def arrivals(self, seed: int = 0) -> list[float]:
        """The instants of an open loop in seconds from its beginning, the same for every arm.

        Raises `ValueError` for a closed loop.
        """
        if not self.open:
            raise ValueError("the instants of a closed loop are not known in advance")
        if self.kind == "recorded":
            return list(self.instants)
        instants: list[float] = []
        for at in self._instants(Random(f"{seed}:arrivals")):
            if (self.seconds is not None and at >= self.seconds) or len(instants) == self.calls:
                break
            instants.append(at)
        return instants

    def described(self) -> dict[str, object]:
        """The settings for a report; of a recording, the number of its instants."""
        settings = {name: value for name, value in asdict(self).items() if value is not None}
        settings["instants"] = len(self.instants)
        return settings

    def _instants(self, random: Random) -> Iterator[float]:
        rate, at = self.rate or 1.0, 0.0
        while True:
            if self.kind == "constant":
                yield at
                at += 1.0 / rate
            elif self.kind == "gamma":
                at += random.gammavariate(self.shape, 1.0 / (rate * self.shape))
                yield at
            else:
                at += random.expovariate(1.0)
                due = at / rate if self.kind == "poisson" else self._on_ramp(at)
                if due is None:
                    return
                yield due

    def _on_ramp(self, expected: float) -> float | None:
        """The instant by which so many calls are expected: the integral of the rate, solved for its end.

        `None` where the rate reaches 0 before. Unit-rate arrivals mapped through this are the ramp's (time rescaling).
        """
        assert self.rate is not None
        assert self.to is not None
        assert self.seconds is not None
        slope = (self.to - self.rate) / self.seconds
        root = self.rate * self.rate + 2.0 * slope * expected
        if slope == 0.0:
            return expected / self.rate
        return None if root < 0.0 else (math.sqrt(root) - self.rate) / slope
