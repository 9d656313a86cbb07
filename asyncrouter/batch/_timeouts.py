"""The timeouts of a batch's calls: patient where nobody has said otherwise, and doubled for a row that ran into one.

A batch has no reader who waits. An answer that comes after minutes is an answer, while a timeout throws away what the
provider has done for it and asks for all of it again. So where nobody has set them to a number, neither in the
configuration nor with the call, the timeouts for the first token and between tokens are off (then the answer comes as
one JSON body, which costs a fifth of the processor time), an attempt has `TOTAL` seconds, and a call no deadline.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter import AutoSeconds, Defaults
from asyncrouter.batch._preflight import choice_of
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Explanation, Router

TOTAL = 600.0
"""Seconds of an attempt. The vendors' own clients wait as long."""
LONGEST = 3600.0
"""Seconds up to which a timeout is doubled."""
MAX_CHOICES = 1000
"""How many choices of models are remembered, so that memory is bounded where each row has its own."""
CLOCKS = ("first_token", "idle", "total")
_BUILT_IN = Defaults()

Timeouts = dict[str, object]
"""Arguments of `Router.chat`: `first_token`, `idle`, `total`, `deadline`, those that differ from the configuration."""


class BatchTimeouts:
    """The timeouts of the rows of one router; `of` is called with the arguments of `Router.chat` of a row."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._known: dict[bytes, Timeouts] = {}

    def __repr__(self) -> str:
        return f"<BatchTimeouts of {len(self._known)} choices of models>"

    def of(self, options: Mapping[str, object], doublings: int = 0) -> Timeouts:
        """The timeouts of a row that has met one so often before. Raises what `Router.explain` raises."""
        choice = choice_of(options)
        key = json_bytes([doublings, *sorted(choice.items())])
        timeouts = self._known.get(key)
        if timeouts is None:
            if len(self._known) >= MAX_CHOICES:
                self._known.clear()
            explanation = self._router.explain(**choice)  # type: ignore[arg-type]  # checked by explain
            timeouts = self._known[key] = _timeouts(explanation, options, doublings)
        return timeouts

    def seconds(self, options: Mapping[str, object]) -> float:
        """The seconds within which an answer has to come, `inf` for no limit."""
        timeouts = self.of(options)
        found = [value for name in ("total", "deadline") if isinstance(value := timeouts.get(name), float)]
        return min(found, default=inf)


def _timeouts(explanation: Explanation, options: Mapping[str, object], doublings: int) -> Timeouts:
    timeouts: Timeouts = {}
    for name in CLOCKS:
        seconds = _seconds(explanation, name, options)
        timeouts[name] = seconds if seconds is None else _doubled(seconds, doublings)
    deadline = explanation.deadline
    if "deadline" not in options and deadline == _BUILT_IN.deadline:
        deadline = None
    timeouts["deadline"] = None if deadline is None else _doubled(deadline, doublings)
    return timeouts


def _seconds(explanation: Explanation, name: str, options: Mapping[str, object]) -> float | None:
    """The timeout of this name as it is set, or as a batch has it where nobody has set it; `None` for no limit."""
    if name in options:
        given = options[name]
        return float(given) if isinstance(given, int | float) else None
    seconds = [getattr(step, name) for step in explanation.steps]
    if not seconds or any(one == getattr(_BUILT_IN, name) or isinstance(one, AutoSeconds) for one in seconds):
        return TOTAL if name == "total" else None
    return None if None in seconds else max(seconds)


def _doubled(seconds: float, doublings: int) -> float:
    return float(max(seconds, min(seconds * 2.0**doublings, LONGEST)))
