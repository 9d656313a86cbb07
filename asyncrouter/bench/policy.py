"""A policy to estimate from recorded calls: an order of models, a hedge, timeouts, a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to try instead of the recorded policy.

    `order` is the chain (`None`: as recorded). `hedge` is the delay in seconds, a quantile of the first model's times
    like "p95", or `None` for no hedge; `budget` is its hedges a call (`None`: no limit). `first_token` and `total` are
    the timeouts of each model, `deadline` that of the whole call, in seconds (`None`: no limit). `rescue` and `breaker`
    play the router's rescues of silent models and its circuit breakers; both are on, as in the router. `name` replaces
    the description that `str()` gives. Raises `ValueError` for values that are not above 0 or not finite.
    """

    name: str = ""
    order: tuple[str, ...] | None = None
    hedge: float | str | None = None
    budget: float | None = 0.05
    first_token: float | None = None
    total: float | None = None
    deadline: float | None = None
    rescue: bool = True
    breaker: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.hedge, str):
            parse_quantile(self.hedge)
        elif self.hedge is not None and not 0.0 < self.hedge < inf:
            raise ValueError(f"hedge: expected seconds above 0 or a quantile like 'p95', got {self.hedge!r}")
        if self.order is not None and not (self.order and all(self.order)):
            raise ValueError(f"order: expected names of models, got {self.order!r}")
        # The router's bucket is full at the start: with a budget of 0 it would still hedge ten times.
        if self.budget is not None and not 0.0 < self.budget < inf:
            raise ValueError(f"budget: expected hedges a call, above 0, got {self.budget!r}; for no hedges: hedge none")
        for name in ("first_token", "total", "deadline"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < inf:
                raise ValueError(f"{name}: expected seconds above 0, got {value!r}; for no limit, leave it out")

    def __str__(self) -> str:
        if self.name:
            return self.name
        parts = [] if self.order is None else [" → ".join(self.order)]
        parts.append("no hedge" if self.hedge is None else f"hedge {self.hedge}")
        parts += [f"{name} {getattr(self, name):g} s" for name in ("first_token", "total", "deadline")
                  if getattr(self, name) is not None]
        parts += [f"no {name}" for name in ("rescue", "breaker") if not getattr(self, name)]
        return ", ".join(parts)


def parse_quantile(text: str) -> float:
    """0.95 of "p95". Raises `ValueError`."""
    try:
        share = float(text.removeprefix("p")) / 100.0
    except ValueError:
        share = -1.0
    if not text.startswith("p") or not 0.0 < share < 1.0:
        raise ValueError(f"hedge: expected seconds or a quantile like 'p95', got {text!r}")
    return share
