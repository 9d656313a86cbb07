"""The tail of a won reply: idle, total and deadline, the whole-answer check, and the end of its attempt."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptError, AttemptTimeout, ConnectionFailed

if TYPE_CHECKING:
    from asyncrouter._engine.running_attempt import RunningAttempt
    from asyncrouter._errors import ClockName
    from asyncrouter._types import Chunk, Reply

SIP = 0.2
"""Seconds for which a busy router leaves a socket alone: a third of the CPU of a read per token (measured)."""
CROWD = 16
"""Replies being read at once from which on it sips."""
DRAIN = 0.25
"""Seconds given to the end of a body after its `[DONE]`, so that the connection can serve again."""


class ReplyReader:
    """What is left of a reply after its first content: read to the end for `chat()`, chunk by chunk for `stream()`.

    Its clock has no task to cancel (no scope can span two reads of a caller): it closes the response, which wakes a
    pending read, and the read then raises.
    """

    __slots__ = (
        "_awake", "_chunks", "_clock", "_decoder", "_drained", "_flight", "_hard", "_over", "_overdue", "_since",
        "_waiting",
    )

    def __init__(self, flight: RunningAttempt, chunks: list[Chunk] | None) -> None:
        assert flight.decoder is not None
        self._flight = flight
        self._clock = flight.clock
        self._decoder = flight.decoder
        self._chunks = chunks
        self._over = self._drained = False
        self._waiting = self._overdue = False
        self._awake = 0.0  # when the present rest is over
        self._since = flight.engine.loop.time()
        self._hard = hard_limit(flight)
        self._clock.strike = self._due
        self._aim(self._since)

    def __repr__(self) -> str:
        return f"<ReplyReader of {self._flight!r}>"

    async def read(self) -> Reply:
        """Read to the end; the whole answer. Raises the `AttemptError` that says why it is none."""
        engine = self._flight.engine
        self._waiting = True
        engine.reading += 1
        try:
            while not self._decoder.done and await self._pull(self._rest()):
                pass
            return await self._finish()
        finally:
            engine.reading -= 1

    async def next(self) -> Chunk | None:
        """The next chunk, `None` after the last one. Raises the `AttemptError` that broke the stream."""
        assert self._chunks is not None
        if not self._chunks:
            self._since = self._flight.engine.loop.time()
        while not self._chunks:
            if self._over:
                return None
            await self._advance()
        return self._chunks.pop(0)

    @property
    def index(self) -> int:
        """Which step of the plan this is."""
        return self._flight.lane.index

    @property
    def reply(self) -> Reply:
        """The reply as far as it has come."""
        return self._decoder.reply

    def text(self) -> str:
        """What has come so far."""
        return self._decoder.reply.text

    def close(self) -> None:
        """The caller has left; nothing happens when the reply is whole already."""
        self._over = True
        if self._chunks:
            self._chunks.clear()  # what is left of a reply nobody will finish must not look like its end
        self._flight.end("cancelled")

    async def _advance(self) -> None:
        assert self._chunks is not None
        if self._waiting:
            raise RuntimeError("a stream has one reader at a time, and another task is reading it")
        self._waiting = True
        try:
            if self._decoder.done or not await self._pull(0.0):
                reply = await self._finish()
                self._over = True
                self._chunks.append(self._decoder.final())
                self._flight.answer(reply)
        except AttemptError as error:
            self._over = True
            raise self._flight.fail(error) from None
        finally:
            self._waiting = False

    async def _pull(self, rest: float) -> bool:
        """Feed the decoder once; whether there may be more."""
        flight, decoder = self._flight, self._decoder
        assert flight.response is not None
        if rest > 0.0:
            self._awake = flight.engine.loop.time() + rest
        try:
            data = await flight.response.read(rest)
        except ConnectionFailed:
            # A connection that breaks, or falls silent, after the finish reason has cut nothing off.
            if decoder.close() is None:
                return False
            if self._clock.fired is not None:
                raise timed_out(flight, self._clock.fired) from None
            raise
        if not data:
            return False
        before = decoder.content
        flight.take(data, self._chunks)
        if decoder.content != before:
            self._since = flight.engine.loop.time()
            flight.attempt.last_content = self._since - flight.call.began
        if self._overdue:
            self._overdue = False
            self._due()
        return not decoder.done

    async def _finish(self) -> Reply:
        """Check that the answer is whole, and let the connection serve again; a reader cancelled here may come back."""
        if (error := self._decoder.close()) is not None:
            raise error
        if self._decoder.done and not self._drained:
            self._drained = True  # once: who was cancelled in it has waited for that long enough
            await self._drain()
        self._clock.stop()
        return self._decoder.reply

    async def _drain(self) -> None:
        response = self._flight.response
        assert response is not None
        self._clock.strike = response.close
        self._clock.move(min(self._flight.engine.loop.time() + DRAIN, self._hard[0]), "total")
        with suppress(ConnectionFailed):
            while await response.read():
                pass

    def _rest(self) -> float:
        engine, idle = self._flight.engine, self._flight.step.idle
        if engine.reading < CROWD or self._hard[0] - engine.loop.time() < 2 * SIP:
            return 0.0
        return SIP if idle is None else min(SIP, idle / 4)

    def _aim(self, now: float) -> bool:
        """Set the clock to the next limit; whether that is still to come."""
        until, word = self._hard
        idle = self._flight.step.idle
        if idle is not None:
            # While the caller thinks nobody waits for the provider: look again after as long.
            idle_until = (self._since if self._waiting else now) + idle
            if idle_until < until:
                until, word = idle_until, "idle"
        self._clock.fired = None
        self._clock.move(until, word)
        return until > now

    def _due(self) -> None:
        now = self._flight.engine.loop.time()
        if now < self._awake and self._clock.fired == "idle":
            # What has come in the meantime is not read yet; if nothing has, nobody else will look.
            self._overdue = True
            self._clock.fired = None
            self._clock.move(min(self._awake + SIP, self._hard[0]), "idle")
            return
        if not self._aim(now):
            self._clock.stop()
            self._clock.fired = self._clock.word
            assert self._flight.response is not None
            self._flight.response.close()


def hard_limit(flight: RunningAttempt) -> tuple[float, ClockName]:
    """The instant at which an answering attempt must be over, and the clock that says so."""
    until, total = flight.lane.answer_until, flight.step.total
    if total is not None and flight.sent_at is not None:
        until = min(until, flight.sent_at + total)
    return (until, "total") if until < flight.call.deadline else (flight.call.deadline, "deadline")


def timed_out(flight: RunningAttempt, clock: ClockName) -> AttemptTimeout:
    """The error for a clock that fired, in words that name its limit."""
    if clock == "deadline":
        return AttemptTimeout(clock, "the call's deadline came first")
    step = flight.step
    limit = {"connect": step.connect, "first_token": step.first_token, "idle": step.idle, "total": step.total}[clock]
    missing = {"connect": "connection", "first_token": "content", "idle": "more content", "total": "end"}[clock]
    spent = flight.engine.loop.time() - (flight.sent_at or 0.0)
    if clock != "idle" and (limit is None or spent < limit):
        return AttemptTimeout(clock, f"no {missing} within {spent:.3g} s, its share of the deadline")
    return AttemptTimeout(clock, f"no {missing} within {limit:g} s")
