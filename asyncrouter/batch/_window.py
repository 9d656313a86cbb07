"""How many requests of a batch run at once: a window that finds the server's best from its measured throughput. Pure.

Theory of operation. The throughput at a size W follows from Little's law without waiting for a clock: X = W / q, where
q is the sum of the seconds of some calls over the sum of their answers' tokens (over their number, where tokens are not
known). Only calls begun after the last change of the size count. Latency alone says little: lengths of answers
spread it, and a server that batches slows every token down long before its throughput falls.

- *Ramp.* From `START` on the size doubles with each round while that gains 5 % and no call comes near its timeout; once
  a doubling gains less than 50 %, steps are of half the length. A step that gains less than 5 % is not followed by
  another; one that loses is taken back, and no other size is tried for long: both neighbours are known.
- *Hold.* After two rounds a smaller size is tried, which is kept unless it loses 2 % of the best throughput known; now
  and then a larger one, which is kept if it gains 5 %. After a smaller size has failed, none is tried for long.
- *Change.* A throughput that moves by more than 30 % while the size stands still is no effect of the size: it is the
  new best, and nothing shrinks.
- *Timeouts.* One cuts the size by 0.7, at most once in the time of a call. The first later call that is answered
  in less than twice the usual time returns the old size.

A round counts only calls that ended while the window was full: where rows are few, wait for a limit of requests, or
for a reader of their results, the size is not what decides the throughput.

Simulated with answers of log-normal length it reaches at least 0.95 of the best fixed size, on servers of 1 to 64
slots, servers that batch, and servers that thrash (`benchmarks/batch_window.py`).
"""

from __future__ import annotations

from math import inf, sqrt
from typing import Literal

START = 16
"""Calls at the beginning: few, so that a wrong key or a bad prompt costs few calls before it is known."""
FLOOR = 2
"""Calls at the least: with a single one a server would stand idle between two."""
RAMP_ROUND = 8
"""Calls of a round of the ramp at the least; at larger sizes half of the size."""
HOLD_ROUND = 32
"""Calls of a later round at the least; at larger sizes the size."""
GAIN = 1.05
"""What a larger size must multiply the throughput by to be kept."""
LOSS = 0.98
"""What a smaller size may multiply the best throughput by and still be kept."""
DOUBLE_GAIN = 1.5
"""What a step of the ramp must multiply the throughput by for the next one to double the size: a server near its best
may lose far more beyond it than is to be gained, and is slow to recover."""
RAMP_STEP = 2.0**0.5
"""What other steps of the ramp multiply the size by."""
SMALLER, LARGER = 0.8, 1.25
"""What a trial multiplies the size by."""
HOLD_ROUNDS = 2
"""Rounds of a size that was kept, before the next trial."""
REST_ROUNDS = 24
"""Rounds without a smaller size after one has lost throughput."""
LARGER_EVERY = 6
"""Rounds between two trials of a larger size; twice as many after each that has failed, up to
`LARGER_EVERY_MOST`."""
LARGER_EVERY_MOST = 48
"""See `LARGER_EVERY`."""
ERROR = 0.05
"""The relative standard error that a round's throughput may have; until then it lasts longer, where that decides."""
MOST_ROUNDS = 4
"""How many times its usual number of calls a round lasts at most for that."""
EARLY_CALLS = 8
"""Calls from which on a larger size is given up, within its round, whose throughput is below the last."""
EARLY_LOSS = 0.9
"""What "below" means: less than this share of it, and that by two standard errors."""
CHANGE = 1.3
"""The ratio of two throughputs at one size beyond which the server has changed."""
CLOCK_SHARE = 0.25
"""The share of a call's timeout that its latency may reach during the ramp."""
CUT = 0.7
"""What a timeout multiplies the size by."""
RECOVERED = 2.0
"""The ratio to the usual seconds for a token below which a call after a timeout says that all is well again."""

Phase = Literal["ramp", "hold", "smaller", "larger"]
GROWING: frozenset[Phase] = frozenset({"ramp", "larger"})
"""The phases in which a larger size is tried."""


class Window:
    """The number of calls that may run at once, `size`, at most `most`. `timeout` is that of a call, in seconds.

    A call takes the `epoch` at its beginning, and gives it back with what became of it: `answered` or `timed_out`.
    """

    __slots__ = (
        "_best", "_calls", "_cut_from", "_cut_until", "_larger_every", "_latencies", "_previous", "_rest", "_round",
        "_rounds", "_seconds", "_since_larger", "_tokens", "_usual", "_x", "_xx", "_xy", "_yy", "epoch", "most",
        "phase", "size", "timeout",
    )

    def __init__(self, most: int, timeout: float = inf) -> None:
        self.most = most
        self.timeout = timeout
        self.size = min(most, START)
        self.phase: Phase = "ramp"
        self.epoch = 0
        self._previous = self.size  # the size before the last trial or doubling
        self._x = 0.0  # the throughput at that size
        self._best = 0.0
        self._rounds = self._rest = self._since_larger = 0
        self._larger_every = LARGER_EVERY
        self._usual = inf  # seconds for a token in the last full round
        self._cut_from = 0  # the size before a timeout cut it; 0 for none
        self._cut_until = -inf
        self._forget()

    def __repr__(self) -> str:
        return f"<Window {self.size} of {self.most}, {self.phase}>"

    def answered(self, epoch: int, seconds: float, tokens: float, *, full: bool) -> None:
        """Note an answer: its provider took so many seconds for so many tokens.

        `full`: as many calls as the size says were running when it ended.
        """
        if epoch != self.epoch:
            return
        if self._cut_from and seconds / tokens < RECOVERED * self._usual:
            self._change(self._cut_from, "hold")
            return
        if not full:
            return
        self._calls += 1
        self._seconds += seconds
        self._tokens += tokens
        self._xx += seconds * seconds
        self._xy += seconds * tokens
        self._yy += tokens * tokens
        self._latencies.append(seconds)
        known = self._calls >= self._round and self._is_certain()
        if known or (self._calls >= EARLY_CALLS and self.phase in GROWING and self._is_clearly_below()):
            self._end_round()

    def timed_out(self, epoch: int, now: float, seconds: float) -> None:
        """Note a call that ran into its timeout after so many seconds."""
        if now < self._cut_until or epoch != self.epoch:
            return
        self._cut_until = now + seconds
        old = self._cut_from or self.size
        self._change(min(old, max(FLOOR, int(self.size * CUT))), "hold")
        self._cut_from = old

    @property
    def _throughput(self) -> float:
        return self.size * self._tokens / max(self._seconds, 1e-9)

    def _is_certain(self) -> bool:
        """Whether the round's throughput is known well enough, or more calls would take too long."""
        if self._calls >= MOST_ROUNDS * self._round:
            return True
        if self.phase == "ramp" and self._throughput >= GAIN * self._x:
            return True
        return self._error() <= ERROR

    def _error(self) -> float:
        """The relative standard error of the round's throughput."""
        q = self._seconds / self._tokens
        spread = max(0.0, self._xx - 2.0 * q * self._xy + q * q * self._yy)
        return sqrt(spread) / max(self._seconds, 1e-9)

    def _is_clearly_below(self) -> bool:
        """Whether it is clear already that a larger size loses."""
        return self._throughput * (1.0 + 2.0 * self._error()) < EARLY_LOSS * self._x

    def _end_round(self) -> None:
        x = self._throughput
        self._usual = self._seconds / self._tokens
        slow = sorted(self._latencies)[int(0.95 * len(self._latencies))] > CLOCK_SHARE * self.timeout
        self._forget()
        match self.phase:
            case "ramp":
                self._ramped(x, slow=slow)
            case "hold":
                self._held(x, slow=slow)
            case "smaller":
                self._tried_smaller(x)
            case "larger":
                self._tried_larger(x, slow=slow)

    def _ramped(self, x: float, *, slow: bool) -> None:
        if self._x and x < LOSS * self._x:
            self._rest, self._larger_every = REST_ROUNDS, REST_ROUNDS
            self._change(self._previous, "hold")
        elif x < GAIN * self._x or slow or self.size >= self.most:
            self._change(self.size, "hold")
        else:
            step = 2.0 if x >= DOUBLE_GAIN * self._x else RAMP_STEP
            self._x = x
            self._try(int(self.size * step), "ramp")
            return
        self._best = 0.0

    def _held(self, x: float, *, slow: bool) -> None:
        moved = self._x and not self._x / CHANGE < x < self._x * CHANGE
        if moved or not self._best:
            self._best = x
            self._rounds = 0
        self._x = x
        self._best = max(self._best, x) if self._rounds < HOLD_ROUNDS else self._best
        self._rounds += 1
        self._rest -= 1
        self._since_larger += 1
        if self._rounds < HOLD_ROUNDS:
            return
        if self._rest <= 0 and self.size > FLOOR:
            self._try(max(FLOOR, int(self.size * SMALLER)), "smaller")
        elif self._since_larger >= self._larger_every and self.size < self.most and not slow:
            self._since_larger = 0
            self._try(max(self.size + 1, int(self.size * LARGER)), "larger")

    def _tried_smaller(self, x: float) -> None:
        if x >= LOSS * self._best:
            self._x, self._best = x, max(x, self._best)
            self._change(self.size, "hold")
        else:
            self._rest = REST_ROUNDS
            self._change(self._previous, "hold")

    def _tried_larger(self, x: float, *, slow: bool) -> None:
        if x >= GAIN * self._x and not slow:
            self._best = self._x = x
            self._larger_every = LARGER_EVERY
            self._since_larger = LARGER_EVERY  # the next one may gain, too
            self._change(self.size, "hold")
        else:
            self._larger_every = min(2 * self._larger_every, LARGER_EVERY_MOST)
            self._change(self._previous, "hold")

    def _try(self, size: int, phase: Phase) -> None:
        self._previous = self.size
        self._change(min(size, self.most), phase)

    def _change(self, size: int, phase: Phase) -> None:
        if size != self.size:
            self.epoch += 1
        self.size = size
        self.phase = phase
        self._rounds = 0
        self._cut_from = 0
        self._forget()

    def _forget(self) -> None:
        """Begin a round."""
        ramp = self.phase == "ramp"
        self._round = max(RAMP_ROUND, self.size // 2) if ramp else max(HOLD_ROUND, self.size)
        self._calls = 0
        self._seconds = 0.0
        self._tokens = self._xx = self._xy = self._yy = 0.0
        self._latencies: list[float] = []
