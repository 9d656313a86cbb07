"""What `batch.run` was told about the vendors' batch APIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from asyncrouter import NotGiven


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How the vendors' batch APIs are used.

    `deadline` is how many seconds the vendors have, from the first run on; `None`: as long as they take. `keep` leaves
    their files and batches there. `cancel` ends what is there, writes what it has answered, and asks nothing else.
    """

    deadline: float | None = None
    keep: bool = False
    cancel: bool = False


def lane_options(via: object, deadline: float | NotGiven | None, *, keep: bool, cancel: bool) -> LaneOptions | None:
    """The options that these arguments of `batch.run` are; `None` for a run that is wholly live. Raises `BatchError`.
    """
    if via is None:
        if keep or cancel:
            raise BatchError(f'{"keep" if keep else "cancel"}: goes with via="provider"')
        return None
    if via != "provider":
        raise BatchError(f'via: expected "provider" or None, got {via!r:.40}')
    if not isinstance(deadline, int | float):
        return LaneOptions(None, keep, cancel)
    if not deadline > 0:
        raise BatchError(f"deadline: expected seconds above 0, got {deadline!r}")
    return LaneOptions(float(deadline), keep, cancel)
