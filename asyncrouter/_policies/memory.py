"""What is usual for the answers of one model on one wire: first content, longest silence, pace, length.

It is kept for each size of prompt and kind of request (`RequestKind`), and for all of them together; a kind that has
too few samples is judged by all. An answer costs six samples, a content of it nothing; once hundreds are known, most
answers cost one.

A pace is measured twice: in seconds from content to content, and in seconds for `WORD` characters. Neither would do
alone (`benchmarks/pace.py`). A busy server puts more tokens into a content, so that contents become rarer while the
answer is as quick as ever; a gateway that sends what has come every so often sends as many when it is slow. But where
each token is a content, their number is steady and their size is not: a token of a table of numbers has 1.7 characters,
of JSON 2.3, of English prose 4.5. So an answer is slow if it is slow by both; or by characters alone, where its
contents are smaller than any kind of text explains (`Usual.pace_of`). Lengths, and the time still to come, are
reckoned in characters, which mean the same at every model.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._policies.estimate import JITTER, Estimate
from asyncrouter._policies.latency import MIN_SAMPLES
from asyncrouter._policies.log_fit import LogFit, Prior

if TYPE_CHECKING:
    from asyncrouter._policies.latency import Histogram

FIRST = Prior(1.5, 0.5)
"""Seconds to the first content, before anything is known."""
WORD = 5
"""Characters of a word, the unit of lengths and of the pace by characters: that of typists, and about a token of
English prose."""
PACE = Prior(0.03, 0.3)
"""Seconds from one content to the next, and for a word, before anything is known."""
SILENCE = Prior(0.05, 1.0)
"""Seconds of the longest silence in an answer, before anything is known."""
LENGTH = Prior(200.0, 1.0)
"""Contents, and words, of an answer, before anything is known."""
SMALL_BYTES = 1024
"""Bytes of a request below which it belongs to the smallest size; each further size is four times as long."""
SIZES = 6
"""Sizes of requests that are told apart: from below 1 KiB to 256 KiB and more."""
MAX_KINDS = 32
"""Sizes and kinds of one model that are remembered apart; those met after them are only counted with all."""
WELL_KNOWN = 500
"""Whole answers seen from which on only some are taken down: they change little, and each costs time."""
ONE_IN = 5
"""The share of answers that is taken down then: one in so many, a prime, so that no pattern of requests is missed."""
ORDINARY_SILENCE = 0.5
"""Seconds of silence between contents up to which a silence says nothing against a model."""
SMALLER = 3.0
"""How many times as slow by characters as by contents an answer is whose contents are too small for any kind of text: a
token of prose has 2.6 times as many characters as one of a table of numbers (o200k_base), or of Japanese 2.3."""
MIN_PACE_CONTENTS = 8
"""Contents from which on an answer that was cut off says something about its pace, and the size of its contents is no
chance."""


class RequestKind(NamedTuple):
    """What of a request decides how long its answer takes: effort, tools, a format, the decade of its `max_tokens`."""

    effort: str = ""
    tools: bool = False
    formatted: bool = False
    decade: int = 0


ANY_KIND = RequestKind()
"""The kind of a request of which nothing is known."""


class Answer(NamedTuple):
    """An answer as far as it has come.

    - `contents`: how many have come; `seconds`: from the first to the last of them.
    - `longest`: seconds of the longest silence between two of them.
    - `quiet`: seconds since the last one, where the answer was cut off or still runs.
    - `size`: the words in a content, on average. `flowing`: the same without the first content and the one after the
      longest silence: of those whose time is in `pace`.
    """

    contents: int
    seconds: float
    longest: float
    quiet: float = 0.0
    size: float = 1.0
    flowing: float = 1.0

    @property
    def words(self) -> float:
        """The words that have come."""
        return self.contents * self.size

    @property
    def silence(self) -> float:
        """The longest silence, the one that runs included."""
        return max(self.longest, self.quiet)

    @property
    def pace(self) -> float | None:
        """Seconds from one content to the next, without the longest silence; `None` below three contents.

        A tool call that comes in one piece is a silence, and no slow pace.
        """
        return None if self.contents < 3 else max(0.0, self.seconds - self.longest) / (self.contents - 2)

    @property
    def word_pace(self) -> float | None:
        """Seconds for a word, in the same time."""
        pace = self.pace
        return None if pace is None else pace / self.flowing

    def after(self, contents: int) -> Answer:
        """What it would be, had it got as far as so many contents by now: it will be no quicker than that."""
        return Answer(contents, self.seconds + self.quiet, self.silence, 0.0, self.size, self.size)


class Usual:
    """What is usual for one kind of request."""

    __slots__ = ("_passed_over", "first", "length", "pace", "silence", "word_pace", "words")

    def __init__(self) -> None:
        self._passed_over = 0  # answers since the last one that was taken down
        self.first = Estimate(FIRST, JITTER, "to first content")
        self.silence = Estimate(SILENCE, what="of silence between contents")
        self.pace = Estimate(PACE, what="from content to content")
        self.word_pace = Estimate(PACE, what=f"for {WORD} characters")
        self.length = LogFit(LENGTH)  # in contents, for a reader
        self.words = LogFit(LENGTH)

    def __repr__(self) -> str:
        return f"<Usual {self.first!r}, pace {self.pace!r}, length {self.length!r}>"

    def is_ordinary(self, answer: Answer) -> bool:
        """Whether neither silence nor pace of a whole answer says anything against its model."""
        if answer.longest >= ORDINARY_SILENCE and answer.longest > self.silence.near:
            return False
        judged = self.pace_of(answer)
        if judged is None:
            return answer.contents == 2  # there is no time but the one silence
        return judged[1] <= judged[0].near

    def pace_of(self, answer: Answer) -> tuple[Estimate, float] | None:
        """By what an answer is judged, contents or characters, and its pace by that; `None` below three contents.

        It is the measure by which it is less slow. But where it is far slower by characters, they are what counts: as
        many contents come, with less in them.
        """
        pace = answer.pace
        if pace is None:
            return None
        word_pace = pace / answer.flowing
        by_contents, by_words = pace * self.word_pace.middle, word_pace * self.pace.middle  # times both medians
        most = SMALLER * by_contents if answer.contents >= MIN_PACE_CONTENTS else inf
        return (self.pace, pace) if by_contents <= by_words <= most else (self.word_pace, word_pace)

    def whole(self, after: float = 0.0) -> float:
        """The expected seconds of a whole answer that has more words than `after`."""
        if not self.length.weight and not self.first.is_young:  # one body: its first content is all
            return self.first.median
        return self.first.median + self.words.mean_above(after) * self.word_pace.median

    def pool(self, others: list[Usual]) -> None:
        """Let other models of the chain say what to expect, while this one has few samples."""
        if self.first.is_young:
            self.first.pool([other.first for other in others])
            self.silence.pool([other.silence for other in others])
            self.pace.pool([other.pace for other in others])
            self.word_pace.pool([other.word_pace for other in others])
            self.length.pool([other.length for other in others])
            self.words.pool([other.words for other in others])

    def add_answer(self, answer: Answer, now: float, *, whole: bool) -> None:
        """Count an answer, `whole` or cut off."""
        if self.silence.seen >= WELL_KNOWN:
            self._passed_over += 1
            if self._passed_over < ONE_IN:
                return
            self._passed_over = 0
        pace = answer.pace
        if pace is not None and (whole or answer.contents >= MIN_PACE_CONTENTS):
            self.pace.add(pace, now)
            self.word_pace.add(pace / answer.flowing, now)
        if answer.contents >= 2:
            if whole:
                self.silence.add(answer.silence, now)
            else:
                self.silence.add_cut(answer.silence, now)
        if whole and answer.contents:
            self.length.add(float(answer.contents))
            self.words.add(answer.words)

    def slower(self, times: float) -> Usual:
        """What would be usual, did everything take so many times as long."""
        made = self.copy()
        made.first = self.first.slower(FIRST, times)
        made.silence = self.silence.slower(SILENCE, times)
        made.pace = self.pace.slower(PACE, times)
        made.word_pace = self.word_pace.slower(PACE, times)
        return made

    def copy(self) -> Usual:
        """Another one with the same samples."""
        made = Usual()
        made.first = self.first.copy(FIRST)
        made.silence = self.silence.copy(SILENCE)
        made.pace = self.pace.copy(PACE)
        made.word_pace = self.word_pace.copy(PACE)
        for to, fit in ((made.length, self.length), (made.words, self.words)):
            to.weight, to.mean, to.squares = fit.weight, fit.mean, fit.squares
        return made


Found = tuple[tuple[Usual, ...], Usual]
"""What a request teaches, and what is usual for it."""


class Memory:
    """What is usual for a model on one wire, by size and kind of request."""

    __slots__ = ("_every", "_kinds", "_last", "_slower")

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, RequestKind], Usual] = {}
        self._every: Usual | None = None
        self._last: tuple[int, float, RequestKind, Found | None] = 0, 0.0, ANY_KIND, None  # what was found last
        self._slower: tuple[float, int, Usual] | None = None  # what it was made of: how much slower, so many samples

    def __repr__(self) -> str:
        return f"<Memory {self.every!r}>"

    @property
    def every(self) -> Usual:
        """What is usual for all requests together."""
        every = self._every
        if every is None:
            every = self._every = Usual()
        return every

    @property
    def samples(self) -> Histogram:
        """The times to first content of all requests."""
        return self.every.first.histogram

    def usual(self, size: int | None = None, kind: RequestKind = ANY_KIND) -> Usual:
        """What is usual for requests of about `size` bytes (`None`: for all), or for all while too little is known."""
        if len(self._kinds) < 2 or size is None:
            return self._every or self.every
        found = self._kinds.get((_size_class(size), kind))
        return found if found is not None and found.first.histogram.count >= MIN_SAMPLES else self.every

    def slower(self, times: float) -> Usual:
        """What would be usual for all requests, did everything take so many times as long."""
        added, made = self.samples.added, self._slower
        if made is None or made[:2] != (times, added):
            made = self._slower = times, added, self.every.slower(times)
        return made[2]

    def quantile(self, q: float) -> float | None:
        """A quantile of the seconds to first content of all requests; `None` below a hundred samples."""
        return None if self._every is None else self._every.first.histogram.quantile(q)

    def add(
        self, seconds: float, size: int, now: float, kind: RequestKind = ANY_KIND, *, censored: bool = False
    ) -> None:
        """Count a request of `size` bytes: seconds to its first content, or (`censored`) fewer than it would take."""
        for usual in self.find(size, kind)[0]:
            if censored:
                usual.first.add_cut(seconds, now)
            else:
                usual.first.add(seconds, now)

    def add_answer(
        self, answer: Answer, size: int, now: float, kind: RequestKind = ANY_KIND, *, whole: bool
    ) -> None:
        """Count an answer to a request of `size` bytes, `whole` or cut off."""
        for usual in self.find(size, kind)[0]:
            usual.add_answer(answer, now, whole=whole)

    def find(self, size: int, kind: RequestKind) -> Found:
        """What a request teaches (all together, and its kind where there are several), and what is usual for it.

        That is its own kind, once enough of that is known.
        """
        least, above, last_kind, found = self._last
        if least <= size < above and kind == last_kind and found is not None:
            return found
        return self._find(size, kind)

    def _find(self, size: int, kind: RequestKind) -> Found:
        every, kinds = self.every, self._kinds
        key = _size_class(size), kind
        found = kinds.get(key)
        if found is None and len(kinds) < MAX_KINDS:
            if len(kinds) == 1:
                only = next(iter(kinds))
                kinds[only] = every.copy()
            found = kinds[key] = Usual() if kinds else every
        if found is None or found is every:
            result: Found = (every,), every
        else:
            result = (every, found), found if found.first.histogram.count >= MIN_SAMPLES else every
        lasting = len(result[0]) == 1 or result[1] is found
        self._last = *_bounds(key[0]), kind, result if lasting else None
        return result


def pool(every: list[Usual]) -> None:
    """Let each of several models that has few samples expect what the others have."""
    for usual in every:
        usual.pool([other for other in every if other is not usual])


def _size_class(size: int) -> int:
    return 0 if size < SMALL_BYTES else min(SIZES - 1, max(0, (size.bit_length() - 9) // 2))


def _bounds(size_class: int) -> tuple[int, float]:
    """The least bytes of a size, and those from which on it is the next one."""
    least = 0 if size_class == 0 else 1 << (2 * size_class + 8)
    return least, 1 << (2 * size_class + 10) if size_class < SIZES - 1 else inf
