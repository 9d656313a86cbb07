"""When which fault of a batch API strikes. Every fault has draws of its own, so that one never changes another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

Chance = float | Iterable[int]
"""How often a fault strikes: a share of the occasions from 0 to 1, or the numbers of these occasions, from 0."""

FAULTS: Final[Mapping[str, str]] = {
    "upload_lost": "an upload breaks off, and nothing is stored",
    "upload_unanswered": "an upload is stored, and its connection is reset before the answer",
    "fresh_file": "a batch of a new file fails, because that cannot be found",
    "create_lost": "creating a batch is answered by 502, and nothing was created",
    "create_unanswered": "a batch is created, and the connection hangs before the answer",
    "create_429": "creating a batch is answered by 429",
    "token_limit": "a batch fails, because too many tokens of its model wait",
    "fails": "a batch fails as a whole, for no reason of ours",
    "late_batch": "for 90 seconds after its creation there is no such batch",
    "late_results": "for 90 seconds after the end there are no such results",
    "stuck": "a batch stays in its status (validating, running or finalising) until it is cancelled",
    "stuck_cancelling": "a batch that is stuck stays so for 20 more hours after it was cancelled, and is done then",
    "expires": "a batch expires with a part of its results",
    "nothing_out": "a batch is completed without an output file: each of its rows has failed",
    "row_errors": "a row is answered by an error of the server",
    "row_zero": "the line of a row has the status 0, or no response at all",
    "half": "a tenth of the results are missing, though they are counted",
    "cut": "a download breaks off in the middle",
    "torn": "a download ends in the middle of a line, as if that were all",
    "inline": "results come inline where a file was made (Gemini)",
    "duplicates": "a tenth of the results stand there twice",
    "reordered": "results stand there in another order",
    "wrong_ids": "results with ids that nobody has sent stand among the others",
    "look_429": "a look at a batch is answered by 429",
    "look_500": "a look at a batch is answered by 500",
}
"""Each fault of a batch API, and what it does."""


class Faults:
    """Which faults strike, and when."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._chances: dict[str, Chance] = {}
        self._occasions: dict[str, int] = {}

    def set(self, chances: Mapping[str, Chance]) -> None:
        """Set how often each of these strikes. Raises `ValueError` for an unknown one."""
        for name, chance in chances.items():
            if name not in FAULTS:
                raise ValueError(f"unknown fault of a batch API: {name!r}; known: {', '.join(FAULTS)}")
            self._chances[name] = chance if isinstance(chance, int | float) else frozenset(chance)

    def strikes(self, name: str) -> bool:
        """Whether a fault strikes on this occasion."""
        number = self._occasions[name] = self._occasions.get(name, -1) + 1
        chance = self._chances.get(name, 0.0)
        if isinstance(chance, int | float):
            return chance > 0 and self.random(name, number).random() < chance
        return number in chance

    def random(self, name: str, number: int) -> Random:
        """The generator of one occasion."""
        return Random(f"{self._seed}:{name}:{number}")
