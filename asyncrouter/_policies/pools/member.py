"""One member of a pool: the state of its model, and how it stands among the others."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from asyncrouter._config.pool import MemberView
from asyncrouter._policies.pools.answer_times import AnswerTimes

if TYPE_CHECKING:
    from asyncrouter._config.plan import PlannedStep
    from asyncrouter._policies.model_state import ModelState

FREE_FROM_ANSWERS = 8
"""Answers after which a member that was away takes any number of requests again: the number allowed at once begins with
1 and doubles with each answer, so it has come to 256 by then, more than a new member would be offered."""


class Member:
    """A member. `credit` is its account in weighted round robin, `seconds` the median of its whole answers.

    Slow start: after an absence (a hold, an open breaker, being slow) it is offered one request at a time, then two,
    four …, for the others have hundreds in flight, and least-busy would send it all that come. Where a limit is known
    its pace does the same.
    """

    __slots__ = (
        "_back_at", "credit", "index", "model", "name", "provider", "seconds", "slots", "state", "times", "weight",
    )

    def __init__(self, index: int, step: PlannedStep, state: ModelState, weight: float) -> None:
        self.index = index
        self.name = step.member or step.name
        self.model = step.model
        self.provider = step.provider
        self.state = state
        self.slots = state.limits.slots
        self.weight = weight
        self.credit = 0.0
        self.seconds: float | None = None
        if state.times is None:
            state.times = AnswerTimes()
        self.times: AnswerTimes = state.times
        self._back_at: int | None = None  # the answers that it had given when it came back

    def __repr__(self) -> str:
        return f"<Member {self.name}: {self.state!r}>"

    @property
    def price(self) -> float:
        """A number to compare prices by; `inf` if unknown."""
        rates = self.model.usd_per_mtok
        return inf if rates is None else rates.input + rates.output

    @property
    def starting(self) -> bool:
        """Whether it has come back and is still offered a few requests only."""
        if self._back_at is not None and self.times.answers - self._back_at >= FREE_FROM_ANSWERS:
            self._back_at = None
        return self._back_at is not None

    def came_back(self) -> None:
        """Note that it was away and may be asked again."""
        self._back_at = self.times.answers

    def is_offered_more(self) -> bool:
        """Whether slow start lets one more request go to it."""
        if not self.starting or not self.state.limits.unlimited:
            return True
        return self.slots.running < 1 << (self.times.answers - (self._back_at or 0))

    def load(self, *, by_share: bool) -> float:
        """How busy it is: its requests in flight; `by_share`: in proportion to how many may be."""
        running = self.slots.running
        return running / self.slots.limit if by_share and self.slots.limit else running

    def view(self) -> MemberView:
        """What a function of the user's sees of it."""
        model = self.model
        return MemberView(
            self.name, model.provider.partition("[")[0], model.id, self.slots.running, self.state.pacer.waiting,
            self.seconds, model.usd_per_mtok, self.weight,
        )


def is_named(member: Member, chosen: Any) -> bool:
    """Whether what a function has returned means this member."""
    return chosen == member.name or (isinstance(chosen, MemberView) and chosen.name == member.name)
