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
from operator import attrgetter, itemgetter
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


Sample = tuple[float, bool]
"""Seconds that a request took, and whether its answer was whole by then; else it would have taken longer."""
NOTHING: Final = ()
"""What a request says that has failed."""


class Timed:
    """One request: when it was sent, and what it says; `None` while it is under way."""

    __slots__ = ("_times", "said", "sent_at")

    def __init__(self, times: AnswerTimes, sent_at: float) -> None:
        self._times = times
        self.sent_at = sent_at
        self.said: Sample | tuple[()] | None = None

    def __repr__(self) -> str:
        return f"<Timed at {self.sent_at:g}, {self.said}>"

    def end(
        self, now: float, outcome: Outcome, error: AttemptError | None = None, *, says_nothing: bool = False
    ) -> None:
        """Note how it ended. One that was beaten by another attempt, or given up, would have taken longer."""
        whole = outcome in {"won", "not_accepted"}
        self._times.ended += 1
        self._times.answers += whole
        if says_nothing or not (whole or outcome == "superseded" or isinstance(error, AttemptTimeout)):
            self.said = NOTHING
        else:
            self.said = now - self.sent_at, whole


SAID: Final[Callable[[Timed], Sample | None]] = attrgetter("said")  # `NOTHING` is as good as none
WHOLE: Final[Callable[[Sample], bool]] = itemgetter(1)


class Usual(NamedTuple):
    """The median of whole answers, in seconds; or (`bound`) what it is at least."""

    seconds: float
    bound: bool = False


class AnswerTimes:
    """The last requests to one model. `sent` counts them, `ended` those that have, `answers` the whole answers."""

    __slots__ = ("_recent", "answers", "ended", "sent")

    def __init__(self) -> None:
        self._recent: deque[Timed] = deque(maxlen=KEPT)
        self.sent = 0
        self.ended = 0
        self.answers = 0

    def __repr__(self) -> str:
        return f"<AnswerTimes {self.answers} answers of {self.sent} requests>"

    def begin(self, now: float) -> Timed:
        """Note that a request is sent now."""
        timed = Timed(self, now)
        self._recent.append(timed)
        self.sent += 1
        return timed

    def since(self, sent: int) -> list[Timed]:
        """The requests after the first `sent`, as far as they are kept, in the order in which they were sent."""
        count = min(self.sent - sent, len(self._recent))
        return [self._recent[index] for index in range(len(self._recent) - count, len(self._recent))]

    def is_overdue(self, now: float, limit: float) -> bool:
        """Whether requests under way have taken longer than `limit` seconds; a single one that hangs may be missed."""
        running = min(self.sent - self.ended, len(self._recent))
        return running > 0 and now - self._recent[-running].sent_at > limit

    def median(self, now: float, since: int = 0) -> Usual | None:
        """The median seconds of a whole answer, over requests after the first `since`; `None` while not known."""
        running, oldest = self.sent - self.ended, now - MAX_AGE
        window = min(len(self._recent), self.sent - since, WINDOW + 2 * running)
        looked_at = [*islice(reversed(self._recent), 0, window, max(1, ceil(window / LOOKED_AT)))]
        if looked_at and looked_at[-1].sent_at < oldest:
            looked_at = [one for one in looked_at if one.sent_at >= oldest]
        samples: list[Sample] = [*filter(None, map(SAID, looked_at))]
        if running:
            samples += [(now - one.sent_at, False) for one in looked_at if one.said is None]
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
