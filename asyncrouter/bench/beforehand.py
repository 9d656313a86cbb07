"""What somebody would do who knows beforehand which answers of the first model will be bad.

The best that a router could do at no price: it asks the first model, but the next one where the first one's answer will
fail, or will take longer than 99.5 % of its answers on an ordinary day. A second world of the same day, which nobody
else asks, says what the answer will be.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from asyncrouter.bench.scenarios import Day, Scenario
    from asyncrouter.sim import World

BAD_SHARE = 0.005
"""The share of the ordinary answers that count as bad, for they take longest."""
ORDINARY_ANSWERS = 2000
"""Ordinary answers that are drawn to find out how long the others take."""
URL = "https://sim.invalid/v1/chat/completions"
"""A URL at which a world takes chat completions: the host does not matter."""


class Beforehand:
    """Knows the answers of a model on a day of a scenario."""

    def __init__(self, scenario: Scenario, day: Day, model: str) -> None:
        self._world = scenario.world(day)
        self._model = model
        ordinary = scenario.world(day, ordinary=True)
        taken = sorted(_seconds(ordinary, model, f"ordinary {number}", 0.0) for number in range(ORDINARY_ANSWERS))
        self._limit = taken[-1 - int(BAD_SHARE * ORDINARY_ANSWERS)]

    def __repr__(self) -> str:
        return f"<Beforehand {self._model!r}: bad beyond {self._limit:.3g} s>"

    def is_bad(self, prompt: str, at: float) -> bool:
        """Whether the answer to a prompt that is asked at an instant, for the first time, will be bad."""
        return _seconds(self._world, self._model, prompt, at) > self._limit


def _seconds(world: World, model: str, prompt: str, at: float) -> float:
    """The seconds of an answer; `inf` if it fails."""
    # Not streamed: as long, and made at once.
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]})
    request, play = world.begin(URL, {"content-type": "application/json"}, body, at)
    ending = last = None
    if play.status == 200 and play.connect_fault is None and play.headers_fault is None:
        for part in play.body:
            ending, last = part.ending, part.at
    world.end(request, at)
    whole = ending == "end" and request.act.fault in {None, "stall"}
    return play.connect + last if whole and last is not None else math.inf
