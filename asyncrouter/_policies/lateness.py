"""When an attempt is late, in three ways: no first content, silence between two contents, a slow pace.

`m` is what is usual for the model that may be late, `o` for the one that would be started beside it. Late is decided by
worth: the expected time still to come of the one is more than the other would take from its beginning, by a margin (a
gain of 0.5 means one and a half times as long). A plain quantile of silences would not do: where 2 % of the answers
stall, the p99 is the stall.

A hedge is paid from a budget, which bounds how many attempts may be late (`HedgeBudget.aim`). A rescue comes later,
when there is hardly a doubt, and is paid from a small budget of its own (`rescue_budget.py`).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter._config.config import Hedge
    from asyncrouter._policies.estimate import Estimate
    from asyncrouter._policies.hedge_budget import HedgeBudget
    from asyncrouter._policies.memory import Answer, Usual

LEAST_AIM = 0.01
"""The share that may be late at the least, however many races for silence and pace the budget has paid."""
EARLIEST_WORTH = 0.8
"""The quantile of first contents below which no race is worth its request."""
YOUNG_SAMPLES = 300
"""First contents seen from which on their quantiles are taken; with fewer an attempt is late by a rule of thumb."""
RULE_OF_THUMB = 3.5
"""Times the median after which an attempt is late by that rule, from `RULE_SAMPLES` samples on."""
RULE_SAMPLES = 5
"""First contents, or paces, seen before their median counts."""
YOUNG_LATEST = 8.0
"""Seconds after which an attempt is late at the latest, while little is known."""
HEDGE_GAIN, AUTO_GAIN = 2.0, 0.5
"""The gain that is worth a race although the budget would not reach to this quantile yet; and the gain that each race
must be worth with `hedge="auto"`, while the bucket is full."""
LULL_SHARE = 0.25
"""The share of the other's whole answer over which it is seen whether attempts still begin."""
MIN_SILENCE, MAX_SILENCE = 0.5, 30.0
"""Seconds of silence between two contents that are late at the earliest and at the latest."""
YOUNG_SILENCE, YOUNG_SILENCE_RESCUE = 8.0, 12.0
"""Seconds of silence that are late, and that are rescued, while little is known."""
SILENCE_GAIN = 0.5
"""The gain that a race for silence must be worth while the bucket is full; twice as much when it is empty."""
MIN_PACE_SECONDS = 0.6
"""Seconds after the first content from which on the pace is judged."""
PACE_TIMES = 1.5
"""Times the median up to which a pace is usual."""
PACE_GAIN = 0.5
"""The gain that a race for pace must be worth."""
RESCUE_GAIN = 1.5
"""The gain that a rescue must be worth."""
RESCUE_EARLIEST, RESCUE_LATEST = 2.0, 10.0
"""Seconds of silence after which a rescue comes at the earliest and at the latest."""
CLOCK_SAMPLES = 500
"""Samples from which on a limit may follow the model: a mode of 5 % was then missed once in 10^11."""
CLOCK_QUANTILE = 1.0 - 1e-5
"""The quantile of first contents, or silences, that stands behind such a limit."""
CLOCK_TIMES = 2.0
"""Times that quantile at which it cuts. With 1 a hundred times as many healthy answers were cut."""


def late_first(hedge: Hedge, budget: HedgeBudget, m: Usual, o: Usual) -> float:
    """Seconds after sending from which on an attempt without content is late."""
    earliest = hedge.quantile
    if earliest is None:
        return float(hedge.after)
    if m.first.seen < YOUNG_SAMPLES:
        after = rule_of_thumb(m.first)
    elif hedge.after == "auto":
        after = max(_affordable(earliest, budget, m, o), _worth(m, o, AUTO_GAIN * (2.0 - budget.fill)))
    else:
        after = _affordable(earliest, budget, m, o)
    return after if hedge.cap is None else min(after, hedge.cap)


def _affordable(earliest: float, budget: HedgeBudget, m: Usual, o: Usual) -> float:
    """The quantile that was asked for (p95: Dean and Barroso, "The Tail at Scale", 2013), or a later one if the budget
    cannot pay for so many; or sooner where waiting brings nothing.

    Where there are more stragglers than the budget can pay for, its quantile lies among them. Then a race is started as
    soon as it is worth it and hardly any healthy attempt can still be expected.
    """
    share = min(1.0 - earliest, max(LEAST_AIM, budget.aim - budget.later_races))
    curve = m.first.curve
    quantile, worth = curve.quantile(1.0 - share), _worth(m, o, HEDGE_GAIN)
    if worth >= quantile:
        return quantile
    whole = o.whole()
    return min(quantile, curve.first_lull(worth, LULL_SHARE * whole, 1.0 / (HEDGE_GAIN * whole)))


def rule_of_thumb(first: Estimate) -> float:
    """When an attempt is late while little is known."""
    rule = RULE_OF_THUMB * first.middle if first.seen >= RULE_SAMPLES else inf
    return min(first.far, rule, YOUNG_LATEST)


def _worth(m: Usual, o: Usual, gain: float) -> float:
    """Seconds without content from which on another attempt is worth its request; `inf` for never."""
    curve = m.first.curve
    rest = m.whole() - m.first.median
    return curve.first_worth(curve.quantile(EARLIEST_WORTH), (1.0 + gain) * o.whole() - rest)


def late_silence(m: Usual, o: Usual, words: float, fill: float) -> float:
    """Seconds of silence after so many words that are late; `fill` is that of the hedge budget, 0 to 1."""
    if m.silence.is_young:
        return YOUNG_SILENCE
    return min(max(MIN_SILENCE, _silence_worth(m, o, words, SILENCE_GAIN * (2.0 - fill))), MAX_SILENCE)


def _silence_worth(m: Usual, o: Usual, words: float, gain: float) -> float:
    """Seconds of silence that are worth a race, or that one answer in a thousand has."""
    rest, curve = (m.words.mean_above(words) - words) * m.word_pace.median, m.silence.curve
    return min(curve.quantile(0.999), curve.first_worth(MIN_SILENCE, (1.0 + gain) * o.whole(words) - rest))


def is_slow_pace(answer: Answer, m: Usual, o: Usual, gain: float = PACE_GAIN) -> bool:
    """Whether an answer comes so slowly that another attempt would be done sooner, by this margin."""
    judged = m.pace_of(answer)
    if judged is None or judged[0].seen < RULE_SAMPLES or judged[1] <= _pace_limit(judged[0]):
        return False
    words = answer.words
    left = (m.words.mean_above(words) - words) * (answer.word_pace or 0.0)
    return left > (1.0 + gain) * o.whole(words)


def _pace_limit(pace: Estimate) -> float:
    """Seconds between two contents, or for a word, that are usual at the most."""
    median, rare = pace.median, pace.quantile(0.999)
    most = max(0.25, 4.0 * median) if pace.is_young else 2.5 * median
    return max(PACE_TIMES * median, min(most, rare))


def is_usual_pace(answer: Answer, m: Usual) -> bool:
    """Whether an answer comes about as fast as usual."""
    judged = m.pace_of(answer)
    return judged is not None and judged[1] <= PACE_TIMES * judged[0].middle


def rescue_first(late: float, m: Usual, o: Usual) -> float:
    """Seconds after sending from which on a silent attempt is rescued; it was late after `late` seconds."""
    if m.first.seen < YOUNG_SAMPLES:
        return max(RESCUE_EARLIEST, 2.0 * max(late, rule_of_thumb(m.first)))
    return min(RESCUE_LATEST, max(RESCUE_EARLIEST, 1.2 * late, _worth(m, o, RESCUE_GAIN)))


def rescue_silence(late: float, m: Usual, o: Usual, words: float) -> float:
    """Seconds of silence after so many words that are rescued; they were late after `late` seconds."""
    if m.silence.is_young:
        return YOUNG_SILENCE_RESCUE
    return min(MAX_SILENCE, max(late + 0.5, RESCUE_EARLIEST, _silence_worth(m, o, words, RESCUE_GAIN)))


def automatic_limit(estimate: Estimate) -> float:
    """Seconds that no healthy attempt takes: at most one in 100,000 takes longer. While that cannot be known, twice the
    longest seen; 0 before the first.
    """
    histogram = estimate.histogram
    if histogram.count < CLOCK_SAMPLES:
        return CLOCK_TIMES * histogram.longest()
    rare = max(estimate.quantile(CLOCK_QUANTILE), histogram.lognormal_quantile(), histogram.longest())
    return CLOCK_TIMES * rare
