"""The steps that are left beside the one whose answer is streamed: they are asked when the stream breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.pools.member import Member


class Rest(NamedTuple):
    """A step that runs, which member of its pool that is, and the steps that are left beside it."""

    step: int
    member: Member | None
    remaining: Remaining

    def broken(self, error: AttemptError) -> None:
        """The step has failed; if it is a pool, another member may come next."""
        if self.member is not None:
            self.remaining.pool(self.step).end(self.member)
            if self.remaining.asks_sibling(self.step, self.member, error, alone=True):
                self.remaining.put_back(self.step)


def rest_beside(remaining: Remaining, step: int, member: Member | None) -> Rest:
    """The steps left beside this one, which has just begun to answer."""
    remaining.keep_later_than(step)
    if member is not None:
        remaining.pool(step).begin(member)
    return Rest(step, member, remaining)
