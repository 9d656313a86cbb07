"""The rest of a reply after its first content: the limits it is read under, and the check that it is whole.

Theory of operation
===================

Reading begins here when an attempt has won its race. For `chat()` a `ReplyReader` reads to the end inside the attempt.
For `stream()` the attempt's coroutine is over, and the caller pulls one chunk after the other out of a `ChunkReader`.

States:

    reading    Bytes are still to come. Two limits run: the attempt's hard limit (`total`, the step's share of the
               deadline, or the deadline, whichever is soonest), which never moves, and the idle limit, which counts
               from the last content.
    draining   The decoder has seen the end of the answer (`[DONE]`), the body has not ended yet. Its end is read for
               0.25 s at most, so that the connection can serve again. No break or silence here makes the answer worse.
    over       The whole answer was returned, or an error was raised, or the caller of a stream has left.

Who ends the attempt. A `ReplyReader` returns or raises, and the attempt (`attempt.py`) ends itself. A `ChunkReader` has
to do it, as nobody else is left: it ends the attempt as won with the last chunk, as failed when the stream breaks, and
as cancelled when the caller leaves before that (`close()`).

Who may cancel. The caller may cancel at any await. A `ReplyReader` is inside an attempt, which ends then. A caller of
`ChunkReader.next()` may come back after a cancellation: nothing is lost, the next call goes on where this one stopped.
The clock cancels no task. It closes the response; the pending read, or the next one, raises `ConnectionFailed`, and
`clock.expired` says which limit it was.

The idle clock costs nothing per chunk. The attempt's `content_at` notes when the last content came. Only when the timer
comes due is that looked at, and the timer set again for what is left. While the caller of a stream does something else
with a chunk, nobody waits for the provider, and the idle limit begins anew with the next call of `next()`; the hard
limit runs on.

Batched reads. While many replies are read at once, `chat()` leaves each socket alone for a moment and then takes all
that has come. Content may then be waiting in the socket when the idle limit is reached. The limit is therefore judged
again after that read, and at the latest one such moment later.

At each await:

    response.read()        May be cancelled, or closed by the clock; also ends with `ConnectionFailed` when the
                           connection breaks. A break after the end of the answer is no failure. A `CancelledError`
                           that nobody has asked for, of a transport of the caller's own, is a broken connection.
    response.read() in     May be cancelled. `chat()` then loses the answer with its attempt. A caller of `next()` who
    draining               comes back gets the last chunk, without a second drain.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from asyncrouter._engine.answer_check import check_answer
from asyncrouter._engine.timeouts import lost, timeout_error, wait_longer
from asyncrouter._errors import AttemptError, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import ClockName
    from asyncrouter._transport.api import Response
    from asyncrouter._types import Chunk, Outcome, Reply
    from asyncrouter._wire.api import Decoder

BATCHED_READ_SECONDS = 0.2
"""Seconds for which a busy router leaves a socket alone before it reads all that has come.

That costs a third of the CPU of a read for each token (measured with 100 replies of 500 tokens at once), and delays the
end of a reply by this much at most.
"""
BATCHED_READ_MIN_REPLIES = 16
"""Replies being read at once from which on reads are batched; with fewer the CPU is not what limits anybody."""
MAX_IDLE_SHARE = 0.25
"""Share of the idle limit that a batched read may take at most, so that the limit stays meaningful."""
GIVEN_UP = "the transport gave up the request, though nobody has cancelled it"
"""The message for a `CancelledError` of a transport of the caller's own."""
MAX_AWAY_SECONDS = 0.05
"""Seconds for which the caller of a stream may do something else with a chunk, so that the contents still come at the
model's own pace."""
DRAIN_SECONDS = 0.25
"""Seconds given to the end of a body after the end of its answer, so that its connection can serve again."""


class ReplyReader:
    """What is left of a reply, read to the end by `read()`."""

    __slots__ = (
        "_asked_at", "_clock", "_decoder", "_drained", "_engine", "_idle", "_judge_idle", "_response",
        "_resting_until", "_sent", "_step_run", "_time", "_waiting",
    )

    def __init__(
        self, sent: SentAttempt, response: Response, decoder: Decoder, step_run: StepRun | None = None
    ) -> None:
        self._sent = sent
        self._engine = sent.engine
        self._time = sent.engine.time
        self._step_run = step_run  # `None`: its race is over
        self._clock = sent.clock
        self._response = response
        self._decoder = decoder
        self._idle = sent.step.idle
        sent.moved = None  # that was the limit of the first content
        self._asked_at = self._time()  # when the caller of a stream has begun to wait for it
        self._resting_until = 0.0  # when the present batched read begins
        self._judge_idle = False  # the idle limit came due during that rest, and is judged after the read
        self._waiting = True  # somebody waits for the provider
        self._drained = False
        self._clock.restart(*self._next_limit(self._asked_at), self._confirm_expiry)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._sent!r}>"

    async def read(self) -> Reply:
        """Read to the end; the whole answer. Raises the `AttemptError` that says why it is none."""
        self._engine.reading += 1
        try:
            while not self._decoder.done and await self._pull(None, self._rest()):
                pass
            return await self._finish()
        finally:
            self._engine.reading -= 1

    async def _pull(self, chunks: list[Chunk] | None, rest: float) -> bool:
        """Feed the decoder once, `rest` seconds from now at the earliest; whether there may be more."""
        decoder = self._decoder
        if rest > 0.0:
            self._resting_until = self._time() + rest
        try:
            data = await self._response.read(rest)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise ConnectionFailed(GIVEN_UP) from None
        except (ConnectionFailed, OSError, EOFError):
            # A connection that breaks, or falls silent, after the finish reason has cut nothing off.
            if decoder.close() is None:
                return False
            if self._clock.expired is not None:
                raise timeout_error(self._sent, self._clock.expired) from None
            raise
        if not data:
            return False
        before, contents = decoder.characters, decoder.content if rest > 0.0 else 0
        self._sent.feed(decoder, data, chunks)
        if (size := decoder.characters - before) > 0:
            sent, now = self._sent, self._time()
            if now - sent.content_at > sent.longest:
                sent.longest = now - sent.content_at
                sent.apart = size / (decoder.content - contents) if rest > 0.0 else size
            sent.content_at = now
        if self._judge_idle:
            self._judge_idle = False
            if self._limit_reached():
                self._clock.expire()
        return not decoder.done

    async def _finish(self) -> Reply:
        """Check that the answer is whole, and let the connection serve again."""
        if (error := self._decoder.close()) is not None:
            raise error
        if self._decoder.done and not self._drained:
            self._drained = True  # only once: a caller that was cancelled while draining has waited long enough
            await self._drain()
        self._clock.stop()
        return self._decoder.reply

    async def _drain(self) -> None:
        self._clock.restart(min(self._time() + DRAIN_SECONDS, self._sent.hard_limit[0]), "total")
        with suppress(ConnectionFailed, OSError, EOFError):
            while await self._response.read():
                pass

    def _rest(self) -> float:
        """Seconds to leave the socket alone before the next read."""
        ends_at, _ = self._sent.hard_limit
        if (
            self._engine.reading < BATCHED_READ_MIN_REPLIES
            or ends_at - self._time() < 2 * BATCHED_READ_SECONDS
        ):
            return 0.0
        return BATCHED_READ_SECONDS if self._idle is None else min(BATCHED_READ_SECONDS, self._idle * MAX_IDLE_SHARE)

    # The limits.

    def _next_limit(self, now: float) -> tuple[float, ClockName]:
        """The limit that comes next, as far as is known now."""
        until, limit_name = self._sent.hard_limit
        if self._idle is not None:
            # While nobody waits for the provider: look again after as long.
            idle_until = (max(self._sent.content_at, self._asked_at) if self._waiting else now) + self._idle
            if idle_until < until:
                return idle_until, "idle"
        return until, limit_name

    def _limit_reached(self) -> bool:
        """Set the clock to the limit that comes next; whether it is reached already."""
        now = self._time()
        until, limit_name = self._next_limit(now)
        if until <= now and limit_name == "idle" and wait_longer(self._sent, limit_name, self._step_run):
            self._idle = self._sent.moved
            until, limit_name = self._next_limit(now)
        self._clock.restart(until, limit_name, self._confirm_expiry)
        return until <= now

    def _confirm_expiry(self) -> bool:
        """Called when a limit of the clock comes due: whether it is really reached."""
        if self._clock.limit_name == "idle" and self._time() < self._resting_until:
            # What has come during the rest is not read yet. If nothing has come, the read goes on waiting: look again.
            self._judge_idle = True
            latest = self._resting_until + BATCHED_READ_SECONDS
            self._clock.restart(min(latest, self._sent.hard_limit[0]), "idle", self._confirm_expiry)
            return False
        return self._limit_reached()


class ChunkReader(ReplyReader):
    """What is left of a reply, read chunk by chunk by `next()`. `chunks` are those that came with the first content.

    `moved` is called after each read while other steps are raced with this stream.
    """

    __slots__ = ("_chunks", "_over", "moved")

    def __init__(self, sent: SentAttempt, response: Response, decoder: Decoder, chunks: list[Chunk]) -> None:
        super().__init__(sent, response, decoder)
        self._waiting = False
        self._chunks = chunks
        self._over = False
        self.moved: Callable[[], None] | None = None

    @property
    def sent(self) -> SentAttempt:
        """Its attempt."""
        return self._sent

    @property
    def reply(self) -> Reply:
        """The reply as far as it has come."""
        return self._decoder.reply

    @property
    def silent_since(self) -> float | None:
        """Since when its caller waits for more content; `None` while nobody waits."""
        return max(self._sent.content_at, self._asked_at) if self._waiting else None

    async def next(self) -> Chunk | None:
        """The next chunk, `None` after the last one. Raises the `AttemptError` that broke the stream."""
        chunks = self._chunks
        if not chunks:
            self._asked_at = now = self._time()  # the caller's own time does not count as idle
            if now - self._sent.content_at > MAX_AWAY_SECONDS:
                self._sent.untaken = True
            while not chunks:
                if self._over:
                    return None
                await self._advance()
        return chunks.pop(0)

    def close(self) -> None:
        """The caller reads no further. Nothing happens when the reply is whole already."""
        self._over = True
        self.end("cancelled")

    def end(self, outcome: Outcome) -> None:
        """Another answer takes its place, or none is wanted; the pending read, or the next one, raises."""
        self._chunks.clear()  # what is left of a reply nobody will finish must not look like its end
        self._sent.end(outcome)

    def look_at(self, when: float, look: Callable[[], None]) -> None:
        """Call `look` at this instant, unless the attempt has ended by then."""
        if self._sent.attempt.outcome is None:
            self._clock.look(look, when)

    async def _advance(self) -> None:
        """Read once; at the end of the reply append the last chunk and end the attempt."""
        if self._waiting:
            raise RuntimeError("a stream has one reader at a time, and another task is reading it")
        self._waiting = True
        try:
            over = self._decoder.done or not await self._pull(self._chunks, 0.0)
            if self.moved is not None:
                self.moved()
            if over:
                reply = await self._finish()
                parse = self._sent.entry.call.parse
                if parse is not None and (misfit := check_answer(parse, self._sent.complete(reply))) is not None:
                    raise misfit
                self._over = True
                self._chunks.append(self._decoder.final())
                self._sent.win(reply)
        except AttemptError as error:
            self._over = True
            raise self._sent.fail(self._sent.judge(error)) from None
        except (OSError, EOFError) as error:
            self._over = True
            raise self._sent.fail(lost(self._sent, error)) from None
        except Exception as error:  # no provider's doing: the caller gets it as it is
            self._over = True
            self._sent.end("failed", self._sent.entry.note_raised(error))
            raise
        finally:
            self._waiting = False
