"""A rate limit that the provider does not announce, found by its 429s.

What is limited: requests a second to one model with one key. The state is a rate, kept evenly by GCRA; there is none,
and nothing is paced or counted, before the first 429.

The rate follows additive increase and multiplicative decrease, on the rate instead of on the number of connections. A
429 lowers it by a tenth, at most once a second. An answer to a request that this rate has paced raises it a little, but
only while the rate is what makes requests wait. Until the second 429 it doubles each second, to find the limit; from
then on it grows by 4 % a second, by 1 % near the limit, and more slowly at a slow rate. Five minutes without a 429 end
it.

A crowd that meets the limit at once tells more: of its requests as many get through as the provider's bucket holds,
which is a second's worth as a rule, and as came into it meanwhile. Then the rate begins with their number, and grows by
a fifth a second. At the second 429 it goes back to that number or by a tenth, whichever is lower, and that number is
taken for the limit.

Models of one provider have limits alike. So a model that has told none, beside one whose limit a crowd has found, is
sent no more in a second than that one takes, or than it has taken before; the rest waits, and its rate doubles.

Guaranteed: the rate falls at most once a second (but for that return to a crowd's number), and never below three
requests a minute.

Pacing beats back-off: 400 workers at a limit of 50 a second get 2.25 rejections a success with the back-off of the
OpenAI SDK, and 0.02 with this rate (simulated).
"""

from __future__ import annotations

from math import inf

from asyncrouter._policies.gcra import Gcra

FLOOR = 0.05
"""Requests a second that are left after any number of 429s: three a minute, so that pacing
alone never gives a model up."""
RATE_AT_FIRST = 10.0
"""Requests a second after the first 429, until a second of answers has shown how many get through."""
CUT = 0.9
"""What a 429 multiplies the rate by."""
DEEPEST_CUT = 0.5
"""What a 429 multiplies the rate by at the least, when far fewer requests than that get through: after a limit has
been lowered, a tenth each second would take too long."""
CUT_EVERY_SECONDS = 1.0
"""Seconds between two cuts: the 429s of requests that were sent before a cut say nothing new."""
MIN_ANSWERS = 10
"""Answers in a second below which their number is mostly chance, and does not decide how deep a cut is."""
STEP_INITIAL = 1.0
"""Requests a second that each answer adds until the second 429: the rate doubles each second."""
STEP_AFTER_CROWD = 0.2
"""Requests a second that each answer adds until the second 429 where a crowd has shown the limit: 20 % each second,
for a bucket may hold less than a second's worth."""
STEP_DOUBLES_EVERY = 1.5
"""Seconds after which that step is twice as large, up to the one without a crowd."""
MIN_CROWD = 3
"""Requests of one second that were turned down from which on they are a crowd."""
CROWD_SHARE = 0.2
"""How many of them there must be for each one that got through."""
STEP = 0.04
"""Requests a second that each answer adds from then on: 4 % each second, at any rate."""
STEP_NEAR_CEILING = 0.01
"""The same near the limit as far as it is known: 1 % each second."""
NEAR_CEILING = 0.95, 1.1
"""Where "near" begins and ends, in units of that limit."""
MAX_GROWTH = 0.004
"""What one answer raises the rate by at most, as a share of it: from a cut to the next 429 there are 25 requests then,
however slow the rate is."""
GATE_REQUESTS = 2.0
"""The pause after a 429 that names none, in requests at the present rate: time to hear of those under way."""
MAX_GATE_SECONDS = 0.2
"""Seconds that this silence lasts at most: at a slow rate two requests are a long time."""
MAX_GATE_AFTER_CROWD = 1.0
"""Seconds that it lasts at most after a crowd, which has emptied the provider's bucket: one request's time."""
SERVING_SECONDS = 5.0
"""Seconds after an answer for which a model is not away."""
FORGET_AFTER = 300.0
"""Seconds without a 429 after which the limit is forgotten."""


class HiddenLimit:
    """What is known of a model's hidden limit: `limit` is `None` until a 429 has come; nothing goes before `gate`."""

    __slots__ = (
        "_answered_at", "_answers", "_answers_before", "_began_at", "_ceiling", "_crowd", "_cut_at", "_peak", "_second",
        "_sent", "_sent_since", "_turned_down", "_waited_at", "gate", "limit",
    )

    def __init__(self) -> None:
        self.limit: Gcra | None = None
        self.gate = -inf
        self._began_at = -inf  # when the first 429 came
        self._ceiling = inf  # where the limit lies: the rate at which the last 429 came
        self._cut_at = -inf
        self._waited_at = -inf
        self._second = -1
        self._sent = self._turned_down = 0  # requests since `_sent_since`, a second at most, and those turned down
        self._sent_since = -inf
        self._peak = 0  # the most that got through in a second before that
        self._answered_at = -inf
        self._crowd: float | None = None  # how many of a crowd got through
        self._answers = self._answers_before = 0  # in this second, and in the one before

    def __repr__(self) -> str:
        return "<HiddenLimit unknown>" if self.limit is None else f"<HiddenLimit {self.limit.rate:.3g}/s>"

    @property
    def met_by_crowd(self) -> bool:
        """Whether many requests at once have met the limit: then those that were turned down queue for it."""
        return self.limit is not None and self._turned_down >= MIN_CROWD

    def sent(self, now: float) -> None:
        """Note that a request goes now."""
        if now > self._sent_since + 1.0:
            self._peak = max(self._peak, self._sent - self._turned_down)
            self._sent_since = now
            self._sent = self._turned_down = 0
        self._sent += 1

    def not_sent(self) -> None:
        """Take back a request that was noted and did not go: there was no room for it on this machine."""
        self._sent = max(0, self._sent - 1)

    def note_wait(self, now: float) -> None:
        """Note that this rate makes a request wait."""
        self._waited_at = now

    def rejected(self, now: float, sent_at: float, *, hinted: bool) -> None:
        """Note a 429 or 529 for a request that was sent at `sent_at`; `hinted`: it came with a Retry-After."""
        if sent_at >= self._sent_since:
            self._turned_down += 1
            self._learn_from_crowd(now, sent_at)
        after_crowd = self._crowd is not None and sent_at > self._began_at  # back to its number, whenever that is
        if sent_at <= self._cut_at or (now < self._cut_at + CUT_EVERY_SECONDS and not after_crowd):
            return
        self._cut_at = now
        if self.limit is None:
            self._begin(now)
        else:
            self._cut(now, self.limit)
        if not hinted and self.limit is not None:
            self.gate = now + min(MAX_GATE_SECONDS, GATE_REQUESTS / self.limit.rate)

    def unavailable(self, now: float, sent_at: float) -> None:
        """Note a 503 with a Retry-After for a request that was sent at `sent_at`.

        While others get through that is a limit, as a 429 is. When none does the model is away: nothing is learned.
        """
        if now - self._answered_at < SERVING_SECONDS or self._sent - self._turned_down > 1:
            self.rejected(now, sent_at, hinted=True)
        elif self._ceiling == inf:
            self.limit = None

    def answered(self, now: float, sent_at: float) -> None:
        """Note that a request that was sent at `sent_at` was answered."""
        limit = self.limit
        self._answered_at = now
        if limit is None:
            return
        if now - max(self._cut_at, self._began_at) > FORGET_AFTER:
            self.limit = None
            return
        self._rotate(now)
        self._answers += 1
        if sent_at > self._began_at and now - self._waited_at < max(1.0, 2.0 / limit.rate):
            limit.rate += self._step(limit.rate, now)

    def suspect(self, now: float, rate: float) -> None:
        """Take a limit for likely, because another model of the same key has one that lets `rate` a second through.

        It begins when more requests would go within a second than that, and than this model has ever taken. A model
        that has not answered yet is sent whatever there is: it may have no limit, and will tell.
        """
        likely = max(rate, float(self._peak))
        if self.limit is None and self._answered_at > -inf and now <= self._sent_since + 1.0 and self._sent >= likely:
            self.limit = Gcra(likely)
            self._began_at = now
            self._ceiling, self._crowd = inf, None

    def _begin(self, now: float) -> None:
        self.limit = Gcra(RATE_AT_FIRST)
        self._began_at = now
        self._ceiling = inf
        self._crowd = None
        self._second = int(now)
        self._answers = self._answers_before = 0

    def _learn_from_crowd(self, now: float, sent_at: float) -> None:
        """The rate begins with the number of a crowd that got through, as far as is known."""
        through = self._sent - self._turned_down
        in_first_second = self._ceiling == inf and sent_at <= self._cut_at
        if self.limit is not None and in_first_second and self._turned_down >= max(MIN_CROWD, CROWD_SHARE * through):
            rate = through / (1.0 + sent_at - self._sent_since)  # what came into the bucket meanwhile
            self.limit.rate = max(1.0, rate)
            self._crowd = rate or None  # none: another model of the same key has taken them all
            if self.gate > now:  # no hint: the next one goes when the bucket holds one again
                self.gate = now + min(MAX_GATE_AFTER_CROWD, 1.0 / self.limit.rate)

    def _cut(self, now: float, limit: Gcra) -> None:
        self._rotate(now)
        self._ceiling = limit.rate
        lower = limit.rate * CUT
        if self._crowd is not None:
            if (crowd := self._crowd) >= DEEPEST_CUT * limit.rate:
                self._ceiling = crowd
            lower, self._crowd = min(lower, max(crowd, DEEPEST_CUT * limit.rate)), None
        if self._answers_before >= MIN_ANSWERS:
            lower = max(limit.rate * DEEPEST_CUT, min(lower, float(self._answers_before)))
        limit.rate = max(FLOOR, lower)

    def _step(self, rate: float, now: float) -> float:
        if self._ceiling == inf:
            if self._crowd is None:
                return STEP_INITIAL
            # The bucket of this provider holds less than a second's worth, the less the longer nothing is rejected.
            doublings = min((now - self._began_at) / STEP_DOUBLES_EVERY, 3.0)
            return float(min(STEP_INITIAL, STEP_AFTER_CROWD * 2.0**doublings))
        begin, end = NEAR_CEILING
        near = begin * self._ceiling < rate < end * self._ceiling
        return min(STEP_NEAR_CEILING if near else STEP, MAX_GROWTH * rate)

    def _rotate(self, now: float) -> None:
        """Count anew each second; until the second 429, what got through in one can get through in the next."""
        second = int(now)
        if second != self._second:
            self._answers_before = self._answers if second == self._second + 1 else 0
            self._second, self._answers = second, 0
            if self.limit is not None and self._ceiling == inf and self._crowd is None:
                self.limit.rate = max(self.limit.rate, float(self._answers_before))
