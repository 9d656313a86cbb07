"""Whether a model has become slow: evidence from the ranks of its attempts, demotion, and the probes that end it.

A breaker sees failures; a model that is merely slow never fails. So each attempt is compared with those before it. Its
p-value is the share of them that took as long. Under any steady distribution a p-value is uniform, and `KAPPA` ·
p^(`KAPPA` - 1) is an e-value: its mean is 1 (Vovk and Wang, 2021). The logarithms are summed up and never fall below 0
(CUSUM: Page, 1954). With exact p-values a steady model reaches e^`LIMIT` once in a million attempts at the most (Shin,
Ramdas and Rinaldo, 2022). First content, silence and pace each have a sum; one that reaches the limit demotes.

An attempt need not end to be evidence. While it is silent, its p-value can only become smaller; what is known is added
at once (`cut()`), and what was added is taken off when it ends (`given`).

A demoted model goes behind the others of its chain. It is probed after 5, 10, 20 … 60 s by a call that races it with
the next model at once, so that nobody waits for it. A probe that is as quick as usual ends the demotion; so do two
probes in a row that answer before the other model, for then the others have become slow, too.
"""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._policies.estimate import Estimate

    Seen = tuple[Estimate, float]  # what is usual, and what was seen

Dimension = Literal["first", "silence", "pace"]
Place = Literal["usual", "probe", "last"]

KAPPA = 0.3
"""The exponent of the e-value: small ones are quick to see much slower attempts, large ones a little slower ones."""
LIMIT = 14.0
"""Evidence from which on a model is slow. Nine calls reach it when the model is ten times slower; in 2.2 million calls
of eleven steady distributions, simulated, none did."""
HOLD = LIMIT / 3.0
"""Evidence from which on nothing is learned of that duration: it would soon make a brown-out what is usual."""
FEW_SAMPLES = 20
"""Samples below which all are learned: what a few of them call usual is too uncertain to stand by."""
LEARN_AGAIN_SECONDS = 600.0
"""Seconds after which a demoted model's times are learned again: never would leave a model that has changed for good
last for ever."""
FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS = 5.0, 60.0
"""Seconds until the first probe, and between two probes at most; each pause is twice as long as the one before. One
healthy probe in twenty is slow by chance: so there are two within two minutes of a recovery."""
GOOD_CONDUCT_SECONDS = 120.0
"""Seconds after a return from which on a new demotion begins with the shortest pause again."""
TRUCE_SECONDS = 60.0
"""Seconds for which no evidence is taken after a return by comparison: the model is not what it was."""
WINS = 2
"""Probes in a row that answer before the next model and so end a demotion. One is chance where times vary much."""
UNCLEAR = 2
"""Probes in a row that were cut off before it was clear how quick they are, and so end a demotion: where the next model
is always whole sooner, nothing else would. A model that is slow after all is soon demoted again, for longer."""
UNHEARD = 20
"""Races in a row lost by a model that has never given a content, from which on it is slow: it has no usual."""
_CONSTANT: Final = log(KAPPA)
_FACTOR: Final = KAPPA - 1.0


def step_of(p: float) -> float:
    """The evidence of an attempt whose p-value is `p` or smaller, and which has not ended."""
    return _FACTOR * log(p)


class Slowness:
    """The evidence against a model, and whether it is demoted. `changed` is called with a new state and the reason."""

    __slots__ = (
        "_changed", "_evidence", "_next_probe", "_pause", "_returned_at", "_truce_until", "_unclear",
        "_unheard", "_wins", "calm", "ordinary_at", "since", "why",
    )

    def __init__(self, changed: Callable[[str, str], None]) -> None:
        self._changed = changed
        self._evidence: dict[Dimension, float] = {"first": 0.0, "silence": 0.0, "pace": 0.0}
        self.since = -inf
        """When it was demoted last."""
        self.ordinary_at = -inf
        """When an attempt on it was last as quick as usual, to the end."""
        self._next_probe: float | None = None  # `None` while it is not demoted
        self._pause = FIRST_PROBE_SECONDS
        self._returned_at = -inf
        self._truce_until = -inf
        self._wins = self._unclear = 0
        self._unheard = 0
        self.calm = True
        """Whether nothing stands against the model, so that an ordinary attempt changes nothing."""
        self.why = ""
        """Why it is demoted; "" while it is not."""

    def __repr__(self) -> str:
        return f"<Slowness {'slow' if self.slow else 'none'}, {max(self._evidence.values()):.1f} of {LIMIT:g}>"

    @property
    def slow(self) -> bool:
        """Whether the model is demoted."""
        return self._next_probe is not None

    @property
    def doubted(self) -> bool:
        """Whether there is evidence that the model may be slow, too."""
        return not self.calm and max(self._evidence.values()) > HOLD

    def learns(self, dimension: Dimension, now: float, seen: int = FEW_SAMPLES) -> bool:
        """Whether a duration seen now may be taken for what is usual, of which `seen` samples are known."""
        if self._next_probe is not None:
            return now - self.since >= LEARN_AGAIN_SECONDS
        return self._evidence[dimension] <= HOLD or seen < FEW_SAMPLES

    # Evidence.

    def ended(self, dimension: Dimension, p: float, now: float, given: float = 0.0, seen: Seen | None = None) -> None:
        """Count an attempt that has ended, or has got as far as `dimension`; `given` was counted before."""
        self._add(dimension, _CONSTANT + _FACTOR * log(p) - given, now, seen)

    def cut(self, dimension: Dimension, p: float, now: float, given: float = 0.0, seen: Seen | None = None) -> float:
        """Count an attempt that would have taken longer; what is counted of it by now."""
        step = _FACTOR * log(p)
        if step <= given:
            return given
        self._add(dimension, step - given, now, seen)
        return step

    def lost_unheard(self, now: float) -> None:
        """Count a lost race of a model that has never given a content."""
        self._unheard += 1
        self.calm = False
        if self._unheard >= UNHEARD:
            self._demote(now, f"it has lost {UNHEARD} races and never given a content")

    def heard(self) -> None:
        """A content has come."""
        if self._unheard:
            self._unheard = 0
            self._find_calm()

    def _add(self, dimension: Dimension, evidence: float, now: float, seen: Seen | None) -> None:
        if self._next_probe is not None or now < self._truce_until:
            return
        before = self._evidence[dimension]
        self._evidence[dimension] = total = max(0.0, before + evidence)
        if total >= LIMIT:
            self._demote(now, _in_words(seen))
        elif (total == 0.0) != (before == 0.0):
            self._find_calm()

    def _find_calm(self) -> None:
        self.calm = self._next_probe is None and not self._unheard and not any(self._evidence.values())

    def _demote(self, now: float, why: str) -> None:
        if self._next_probe is not None:
            return
        if now - self._returned_at >= GOOD_CONDUCT_SECONDS:
            self._pause = FIRST_PROBE_SECONDS
        self.since, self._next_probe = now, now + self._pause
        self._wins = 0
        self.calm = False
        self.why = why
        self._changed("slow", why)

    # Probes.

    @property
    def next_probe(self) -> float:
        """The instant from which on it may be probed; `inf` while it is not demoted."""
        return inf if self._next_probe is None else self._next_probe

    def place(self, now: float) -> Place:
        """Where the model stands in a chain now. Who takes it as a probe calls `begin_probe()`."""
        if self._next_probe is None:
            return "usual"
        return "probe" if now >= self._next_probe else "last"

    def begin_probe(self, now: float) -> None:
        """A call probes the model; the next one does so after a pause twice as long."""
        self._pause = min(LAST_PROBE_SECONDS, 2.0 * self._pause)
        self._next_probe = now + self._pause

    def passed(self, now: float) -> None:
        """A probe was as quick as usual: the model is back, with half the evidence against it left."""
        if self._next_probe is not None:
            self._return(now, 0.5 * LIMIT)

    def won(self, now: float) -> None:
        """A probe has answered before the next model."""
        self._wins += 1
        if self._next_probe is not None and self._wins >= WINS:
            self._truce_until = now + TRUCE_SECONDS
            self._return(now, 0.0)

    def lost(self, now: float, *, unclear: bool = False) -> None:
        """A probe has not answered before the next model; `unclear`: it was not slower than usual until then."""
        self._wins = 0
        self._unclear = self._unclear + 1 if unclear else 0
        if self._next_probe is not None and self._unclear >= UNCLEAR:
            self._return(now, 0.5 * LIMIT)

    def pardon(self, now: float) -> None:
        """End a demotion that helps nobody, as every model of the chain is slow."""
        if self._next_probe is not None:
            self._return(now, 0.5 * LIMIT)

    def _return(self, now: float, evidence: float) -> None:
        self._next_probe = None
        self._returned_at = now
        self._unheard = self._unclear = 0
        self.why = ""
        for dimension in self._evidence:
            self._evidence[dimension] = min(self._evidence[dimension], evidence)
        self._find_calm()
        self._changed("not slow any more", "")


def _in_words(seen: Seen | None) -> str:
    """Why a model is slow: the last duration that spoke against it, beside what is usual."""
    if seen is None:
        return "answers do not end within `total`"
    usual, value = seen
    return f"{value:.3g} s {usual.what}, {usual.word} {usual.median:.3g} s"
