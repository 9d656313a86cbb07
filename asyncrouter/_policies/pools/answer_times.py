"""How long the whole answers of a model take now: a median over its last requests, those under way included.

What is kept: the requests in the order in which they were sent, each with the seconds that its answer took once it is
whole. One that is under way has taken longer than until now; so has one that another attempt has beaten. They are
right-censored samples, and the median is that of a product-limit estimator (Kaplan and Meier, 1958; `survival.py` has
one for histograms). So a model that hangs, or has become slow, shows before its first slow answer ends; and a burst of
requests that have just been sent changes nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._errors import AttemptTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Outcome

KEPT = 2048
"""Requests that are kept: twice as many as may be under way at one member."""
WINDOW = 40
"""Requests that are looked at besides twice those under way: enough for a median within a fifth, few enough to see a
change within seconds."""
LOOKED_AT = 64
"""Requests that an estimate is made of; of more, every n-th is taken."""
MAX_AGE = 600.0
"""Seconds after which a request says nothing about now."""
MIN_ANSWERS = 8
"""Whole answers below which there is no median."""
MIN_AT_RISK = 4
"""Requests that must have taken so long for a lower bound of the median, where too few have ended."""


class Cut(NamedTuple):
    """What a request says whose whole answer would have taken longer than so many seconds."""

    seconds: float


NOTHING: Final = Cut(0.0)
"""What a request says that has failed."""
Said = float | Cut | None
"""What a request says: the seconds of its whole answer, or how long it took at least; `None` while it is under way."""
Sample = tuple[float, bool]
"""Seconds that a request took, and whether its answer was whole by then; else it would have taken longer."""
WHOLE: Final[Callable[[Sample], bool]] = itemgetter(1)


class Usual(NamedTuple):
    """The median of whole answers, in seconds; or (`bound`) what it is at least."""

    seconds: float
    bound: bool = False


class AnswerTimes:
    """The last requests to one model, each known by its number: `sent` counts them, `ended` those that have ended,
    `answers` the whole answers.
    """

    __slots__ = ("_said", "_sent_at", "answers", "ended", "sent")

    def __init__(self) -> None:
        # Plain numbers, no object for each request: the garbage collector would have to look at thousands of them.
        self._sent_at: deque[float] = deque(maxlen=KEPT)
        self._said: deque[Said] = deque(maxlen=KEPT)
        self.sent = 0
        self.ended = 0
        self.answers = 0

    def __repr__(self) -> str:
        return f"<AnswerTimes {self.answers} answers of {self.sent} requests>"

    def begin(self, now: float) -> int:
        """Note that a request is sent now; its number."""
        self._sent_at.append(now)
        self._said.append(None)
        self.sent += 1
        return self.sent

    def end(
        self, number: int, seconds: float, outcome: Outcome, error: AttemptError | None = None, *,
        says_nothing: bool = False,
    ) -> None:
        """Note how a request ended, after so many seconds. One that was beaten by another attempt, or given up, would
        have taken longer.
        """
        whole = outcome in {"won", "not_accepted"}
        says_nothing = says_nothing or not (whole or outcome == "superseded" or isinstance(error, AttemptTimeout))
        self.ended += 1
        self.answers += whole
        at = number - self.sent - 1  # its place, from the end
        if -at <= len(self._said):
            self._said[at] = NOTHING if says_nothing else seconds if whole else Cut(seconds)

    def since(self, sent: int) -> list[tuple[float, Said]]:
        """When the requests after the first `sent` were sent, and what they say, in order, as far as they are kept."""
        first = max(len(self._said) - (self.sent - sent), 0)
        return [(self._sent_at[at], self._said[at]) for at in range(first, len(self._said))]

    def is_overdue(self, now: float, limit: float) -> bool:
        """Whether requests under way have taken longer than `limit` seconds; a single one that hangs may be missed."""
        running = min(self.sent - self.ended, len(self._said))
        return running > 0 and now - self._sent_at[-running] > limit

    def median(self, now: float, since: int = 0) -> Usual | None:
        """The median seconds of a whole answer, over requests after the first `since`; `None` while not known."""
        running, oldest = self.sent - self.ended, now - MAX_AGE
        window = min(len(self._said), self.sent - since, WINDOW + 2 * running)
        every = max(1, ceil(window / LOOKED_AT))
        sent_at = [*islice(reversed(self._sent_at), 0, window, every)]
        said = [*islice(reversed(self._said), 0, window, every)]
        if sent_at and sent_at[-1] < oldest:
            recent = sum(at >= oldest for at in sent_at)
            del sent_at[recent:], said[recent:]
        samples: list[Sample] = [(one, True) for one in said if one is not None and not isinstance(one, Cut)]
        if len(samples) < len(said):
            samples += [(one.seconds, False) for one in said if isinstance(one, Cut) and one is not NOTHING]
            samples += [(now - at, False) for at, one in zip(sent_at, said, strict=True) if one is None]
        return _median(samples)


def _median(samples: list[Sample]) -> Usual | None:
    samples.sort()
    left = 1.0
    for at_risk, (seconds, whole) in zip(range(len(samples), 0, -1), samples, strict=True):
        if whole:
            left *= 1.0 - 1.0 / at_risk
            if left <= 0.5:
                return Usual(seconds) if sum(map(WHOLE, samples)) >= MIN_ANSWERS else None
    bound = samples[-MIN_AT_RISK][0] if len(samples) >= MIN_AT_RISK else 0.0
    return Usual(bound, bound=True) if bound > 0.0 else None
