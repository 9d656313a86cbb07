"""What one attempt holds while it runs, given back once; and the door through which attempts ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._policies.budget import HedgeBudgets
from asyncrouter._policies.standing import Standing

if TYPE_CHECKING:
    from asyncrouter._catalog import Model
    from asyncrouter._errors import AttemptError, NotSent


class Policies:
    """Everything that may say no to an attempt, and learns from how it ended."""

    __slots__ = ("hedges", "in_flight", "standing")

    def __init__(self) -> None:
        self.standing = Standing()
        self.hedges = HedgeBudgets()
        self.in_flight: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Policies in flight: {sum(self.in_flight.values())}, {self.standing!r}>"

    def refusal(self, model: Model, now: float) -> NotSent | None:
        """Why `model` may not be tried now; `None` when it may."""
        return self.standing.refusal(model, now)

    def lease(self, model: Model) -> Lease:
        """Take what an attempt at `model` needs."""
        return Lease(self, model)


class Lease:
    """One attempt's hold on the policies. `end()` gives it back; a second call does nothing."""

    __slots__ = ("_model", "_policies", "ended")

    def __init__(self, policies: Policies, model: Model) -> None:
        self._policies = policies
        self._model = model
        self.ended = False
        in_flight = policies.in_flight
        in_flight[model.name] = in_flight.get(model.name, 0) + 1

    def __repr__(self) -> str:
        return f"<Lease {self._model.name}{' ended' if self.ended else ''}>"

    def end(self, now: float, error: AttemptError | None = None, *, answered: bool = False) -> None:
        """Give everything back and say how it went: an answer, an error, or neither (cancelled)."""
        if self.ended:
            return
        self.ended = True
        self._policies.in_flight[self._model.name] -= 1
        if error is not None:
            self._policies.standing.learn(self._model, error, now)
        elif answered:
            self._policies.standing.succeeded(self._model)
