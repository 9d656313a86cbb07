"""Answers of simulated models, what is usual for them, and what can be wrong with them, by the time of day."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle, repeat
from random import Random
from typing import NamedTuple

SILENT = 100_000.0
"""Seconds of silence that stand for ever."""


TOKEN = 5
"""Characters of a token where its answer does not say otherwise."""
VARIED = (1, 8, 3, 5, 2, 7, 4, 6)
"""Tokens in one content after the other, of a server whose batches vary."""
PROSE = {1: 10, 2: 18, 3: 15, 4: 13, 5: 14, 6: 9, 7: 6, 8: 7, 9: 4, 10: 4}
JSON = {1: 21, 2: 53, 3: 14, 4: 4, 5: 8}
NUMBERS = {1: 50, 2: 27, 3: 23}
"""Characters of a token, by how often so many are met: o200k_base over English prose, arguments of a tool call, and a
table of numbers. By the mean (4.5, 2.3, 1.7 characters) Chinese and Japanese texts lie between the last two."""


class Answer(NamedTuple):
    """When the tokens of an answer come: the first one, the gap between two, and a silence before one of them.

    - `contents`: the tokens; each of them is a content, unless they come together.
    - `sizes`: the characters of each token; empty: each has `TOKEN`.
    - `together`: the tokens in each content after the first one, over and over; empty: one.
    - `every`: seconds after which the server sends what has come since; 0: each token at once.
    """

    first: float
    gap: float
    contents: int
    stall_at: int | None = None
    stall: float = 0.0
    sizes: tuple[int, ...] = ()
    together: tuple[int, ...] = ()
    every: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds until it is whole."""
        return self.first + self.gap * (self.contents - 1) + self.stall

    def times(self, sent_at: float) -> list[float]:
        """The instants of its tokens, if it was asked for at this one."""
        begin, gap = sent_at + self.first, self.gap
        if self.stall_at is None:
            return [begin + number * gap for number in range(self.contents)]
        pauses = (*repeat(0.0, self.stall_at), *repeat(self.stall, self.contents - self.stall_at))
        return [begin + number * gap + pause for number, pause in enumerate(pauses)]

    def parts(self, sent_at: float) -> tuple[list[float], list[int] | None]:
        """The instants of its contents, and the characters of each; `None`: each has `TOKEN`."""
        times = self.times(sent_at)
        if not (self.sizes or self.together or self.every):
            return times, None
        sizes = self.sizes or (TOKEN,) * len(times)
        found: dict[float, int] = {times[0]: sizes[0]}
        groups = cycle(self.together or (1,))
        left = next(groups)
        held, last = 0, times[-1]
        for at, size in zip(times[1:], sizes[1:], strict=True):
            held, left = held + size, left - 1
            if self.every:
                due = min(last, times[0] + self.every * math.ceil((at - times[0]) / self.every - 1e-9))
                found[due] = found.get(due, 0) + size
            elif left == 0 or at == last:
                found[at] = found.get(at, 0) + held
                held, left = 0, next(groups)
        return list(found), list(found.values())


@dataclass(frozen=True, slots=True)
class Law:
    """How the healthy answers of a chain's models are distributed.

    - `models`: median and sigma of the seconds to the first content (lognormal), by model.
    - `contents`, `lengths`: median and sigma of the contents of an answer (lognormal).
    - `gap`, `paces`: seconds between two contents, on average; each answer has a pace of its own, U(0.7, 1.3) times
      that, or lognormal with the sigma `paces`.
    - `silent`, `silence`: the share of answers with so many seconds of silence in the middle.
    - `one_piece`: the share of answers, tool calls, that come in one piece after as long as all contents take.
    - `late`, `late_by`: the share of first contents that come after so many seconds.
    - `texts`: kinds of text with their shares: how often a token has so many characters.
    - `together`, `every`: how the server puts tokens into contents, one way for each answer (`Answer`).
    """

    models: tuple[tuple[str, float, float], ...] = (("a", 0.6, 0.35), ("b", 0.7, 0.4), ("c", 0.4, 0.3))
    contents: int = 60
    lengths: float = 0.0
    gap: float = 0.03
    paces: float | None = None
    silent: float = 0.0
    silence: float = 20.0
    one_piece: float = 0.0
    late: float = 0.0
    late_by: float = 20.0
    texts: tuple[tuple[float, tuple[tuple[int, int], ...]], ...] = ()
    together: tuple[tuple[int, ...], ...] = ()
    every: float = 0.0

    def with_sigma(self, sigma: float) -> Law:
        """The same with this sigma of the first contents of every model."""
        return replace(self, models=tuple((name, median, sigma) for name, median, _ in self.models))

    def draw(self, random: Random, index: int) -> Answer:
        """A healthy answer of a model."""
        _, median, sigma = self.models[index]
        first = median * math.exp(random.gauss(0.0, sigma))
        gap = self.gap * (random.uniform(0.7, 1.3) if self.paces is None else math.exp(random.gauss(0.0, self.paces)))
        contents = self.contents
        if self.lengths:
            contents = max(1, round(contents * math.exp(random.gauss(0.0, self.lengths))))
        if self.late and random.random() < self.late:
            first = self.late_by
        if self.one_piece and random.random() < self.one_piece:
            if contents > 3:  # a word or two, then the call's arguments at once
                return Answer(first, gap, 4, 3, gap * (contents - 3))
        elif self.silent and random.random() < self.silent and contents > 2:
            return Answer(first, gap, contents, random.randrange(1, contents - 1), self.silence)
        return self._in_parts(Answer(first, gap, contents), random)

    def _in_parts(self, answer: Answer, random: Random) -> Answer:
        if self.texts:
            kind = random.choices([kind for _, kind in self.texts], [share for share, _ in self.texts])[0]
            sizes = random.choices([size for size, _ in kind], [often for _, often in kind], k=answer.contents)
            answer = answer._replace(sizes=tuple(sizes))
        if self.together:
            answer = answer._replace(together=random.choice(self.together))
        return answer._replace(every=self.every) if self.every else answer


Trouble = Callable[[Answer, Random, float], Answer]
"""Makes an answer worse, or not; the last argument is the share of the day that has passed."""


def healthy(answer: Answer, random: Random, at: float) -> Answer:
    """Nothing happens."""
    return answer


def stragglers(share: float, factor: float = 20.0) -> Trouble:
    """A share of the first contents comes so many times later."""
    return lambda answer, random, at: (
        answer._replace(first=factor * answer.first) if random.random() < share else answer
    )


def slower(first: float = 1.0, gap: float = 1.0, begin: float = 1 / 3, end: float = 2 / 3) -> Trouble:
    """First contents, and gaps, are so many times longer for a part of the day."""
    def worse(answer: Answer, random: Random, at: float) -> Answer:
        return answer._replace(first=first * answer.first, gap=gap * answer.gap) if begin <= at < end else answer
    return worse


def larger(tokens: int, begin: float = 1 / 3, end: float = 2 / 3) -> Trouble:
    """Contents are so many times as large, and as rare, for a part of the day: as many characters a second as ever."""
    return lambda answer, random, at: answer._replace(together=(tokens,)) if begin <= at < end else answer


def outage(answer: Answer, random: Random, at: float) -> Answer:
    """No content comes in the middle third."""
    return answer._replace(first=SILENT) if 1 / 3 <= at < 2 / 3 else answer


def crawls(share: float) -> Trouble:
    """A share of the answers comes twenty times slower."""
    return lambda answer, random, at: answer._replace(gap=20 * answer.gap) if random.random() < share else answer


def stalls(share: float, seconds: float = 30.0) -> Trouble:
    """A share of the answers falls silent in the middle."""
    def worse(answer: Answer, random: Random, at: float) -> Answer:
        if random.random() >= share or answer.contents < 3:
            return answer
        least = min(5, answer.contents // 3)
        return answer._replace(stall_at=random.randrange(least, answer.contents - least) or 1, stall=seconds)
    return worse


def hangs(share: float) -> Trouble:
    """A share of the answers never begins."""
    return lambda answer, random, at: answer._replace(first=SILENT) if random.random() < share else answer


def all_of(*troubles: Trouble) -> Trouble:
    """One trouble after the other."""
    def worse(answer: Answer, random: Random, at: float) -> Answer:
        for trouble in troubles:
            answer = trouble(answer, random, at)
        return answer
    return worse


def now_and_then(first: float, every: float = 1 / 6, share: float = 0.2) -> Trouble:
    """First contents and gaps are slower for a share of every so long part of the day."""
    slow = slower(first, first, 0.0, 1.0)
    return lambda answer, random, at: slow(answer, random, at) if at % every < share * every else answer


DAYS: dict[str, Trouble] = {
    "healthy": healthy,
    "stragglers 2 %": stragglers(0.02),
    "stragglers 5 %": stragglers(0.05),
    "first x10": slower(10.0),
    "first x3": slower(3.0),
    "first and pace x3": slower(3.0, 3.0),
    "outage": outage,
    "pace x20": slower(gap=20.0),
    "crawl 3 %": crawls(0.03),
    "stall 2 %": stalls(0.02),
    "hang 2 %": hangs(0.02),
    "mixed": all_of(stragglers(0.02), stalls(0.02), slower(gap=20.0)),
}
"""Days by name: what is wrong with the answers of the first model, or of all."""
