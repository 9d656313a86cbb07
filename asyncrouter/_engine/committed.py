"""A stream after its first content: with `on_interrupt="restart"` other steps take over when it breaks or falls silent.

Theory of operation
===================

A stream is committed with its first content: its caller reads on to the end. One that may begin again is over before
that in two cases:

    It breaks       `restart()` races the later steps, in the caller's task. First comes another member of its pool.
    It is silent    Nobody waits for it to break. The clock of its attempt looks at it, as at a whole answer
                    (`watching.py`). When it is late, and a budget allows it (`race_budgets.py`), the later steps are
                    raced in a task of their own (`later_race.py`), and the stream is read on meanwhile. A stream that
                    its caller does not read is not late.

That race ends in one of four ways, each a plain call; who comes first has decided:

    An answer begins      `_later_ended()`: the silent attempt is settled as "superseded", which closes its response.
                          The pending read raises, and `restart()` returns the stream that has begun.
    The stream goes on    `_moved()`, called after each read: the race is settled as "superseded". The stream is raced
                          again only after a silence twice as long as its longest.
    All steps fail        The silent stream is read on. If it breaks after all, the call has failed.
    The caller leaves     `close()`: both are settled as "cancelled".

If the silent stream breaks during the race, `restart()` waits for it. The caller may be cancelled there, and at any
await of a race in its own task. Then the stream is over, and nothing runs any more.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING

from asyncrouter._engine.failure import log_unseen
from asyncrouter._engine.later_race import LaterTask, StreamCall
from asyncrouter._engine.race import Race
from asyncrouter._engine.race_budgets import RaceBudgets
from asyncrouter._engine.reading import ChunkReader
from asyncrouter._engine.watching import MOST_LOOK, ROUNDING, look_at_silence
from asyncrouter._errors import CallError, ConnectionFailed, Refused
from asyncrouter._policies.lateness import MIN_SILENCE

if TYPE_CHECKING:
    from contextvars import Context

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.step_run import Beside
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Call, Trace

LONGER = 2.0
"""Times its longest silence for which a stream that has gone on in time must be silent to be raced again."""


async def begin_stream(engine: Engine, call: Call, plan: Plan, trace: Trace, *, restart: bool) -> CommittedStream:
    """The stream of the first step that answers; `restart`: it may begin again. Raises what `chat()` would."""
    of = StreamCall(engine, call, plan, trace)
    return await _begin(of, Race(*of), copy_context() if restart else None)


async def _begin(of: StreamCall, race: Race, context: Context | None) -> CommittedStream:
    reader = await race.run()
    assert isinstance(reader, ChunkReader), "the race of a stream ends in a reader"
    return CommittedStream(reader) if context is None else RestartableStream(of, race, reader, context)


class CommittedStream:
    """A stream that has begun. When it breaks it is over."""

    __slots__ = ("reader",)

    def __init__(self, reader: ChunkReader) -> None:
        self.reader = reader

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.reader!r}>"

    async def restart(self, error: AttemptError) -> CommittedStream | None:
        """The stream that takes the place of this one, which `error` has ended; `None`: no step is left for it."""
        return None

    def close(self) -> None:
        """Its caller reads no further."""
        self.reader.close()


class RestartableStream(CommittedStream):
    """A stream that begins again with the steps that are left, when it breaks or is silent for too long.

    `context` is that of the caller: its timers, which all calls share, have another's.
    """

    __slots__ = ("_budgets", "_contents", "_context", "_failure", "_later", "_next", "_of", "_raced", "_rest")

    def __init__(self, of: StreamCall, race: Race, reader: ChunkReader, context: Context) -> None:
        super().__init__(reader)
        self._of = of
        self._context = context
        self._rest = race.rest()
        self._budgets: RaceBudgets | None = None  # made when it may be late
        self._later: LaterTask | None = None  # the later steps, while they are raced with it
        self._contents = 0  # how many had come when that began
        self._raced = False  # that was in vain before
        self._next: RestartableStream | None = None  # what takes its place
        self._failure: BaseException | None = None  # why nothing does
        if self._rest.remaining.may_race:
            self._look_in(MIN_SILENCE)

    async def restart(self, error: AttemptError) -> CommittedStream | None:
        """The same; raises `CallError`, `Refused`, or what is no provider's doing, when no other step answers."""
        if self._later is not None:
            self._later.go_alone()
            try:
                await asyncio.wait((self._later.task,))
            except BaseException:
                self.close()
                raise
        self.reader.moved = None
        if self._next is not None:
            following, self._next = self._next, None
            return following
        self._rest.broken(error)
        if not self._rest.remaining.is_empty:
            return await _begin(self._of, Race(*self._of, self._rest.remaining, "restart"), self._context)
        if self._failure is not None:
            raise self._failure
        return None

    def close(self) -> None:
        """Its caller reads no further: nothing runs any more."""
        self.reader.close()
        self.reader.moved = None
        if self._later is not None:
            self._later.abort("cancelled")
            self._later = None
        if self._next is not None:
            self._next.close()
            self._next = None

    # Is it silent?

    def _look_in(self, seconds: float) -> None:
        self.reader.look_at(self._of.engine.time() + seconds, self._look)

    def _look(self) -> None:
        self._context.run(self._look_now)

    def _look_now(self) -> None:
        """Look whether it is silent for too long, and when to look again; called by its clock."""
        sent, now = self.reader.sent, self._of.engine.time()
        since = self.reader.silent_since
        if since is None or sent.attempt.outcome is not None:
            self._look_in(MOST_LOOK)
            return
        quiet, least = now - since, max(MIN_SILENCE, LONGER * sent.longest if self._raced else 0.0)
        if quiet < least - ROUNDING:
            self._look_in(least - quiet)
        elif sent.decoder is not None and sent.decoder.would_be_whole():
            self._look_in(MOST_LOOK)  # nothing is missing but the end of the body
        else:
            self._judge(quiet, now)

    def _judge(self, quiet: float, now: float) -> None:
        """Race it with the later steps if it is late and a budget allows it."""
        sent, index = self.reader.sent, self._step_to_race()
        if self._budgets is None:
            _, call, plan, trace = self._of
            self._budgets = RaceBudgets(self._of.engine, call, plan, trace)
        budgets = self._budgets
        found = look_at_silence(sent, budgets.budget.fill, budgets.usual(sent, self._rest.step, index), quiet, now)
        if found.dimension is not None:
            sent.lease.is_late(found.dimension, found.value, now)
            if index is None:
                budgets.deny("no other model could be sent now")
            elif (beside := budgets.pay(sent, found, index)) is not None:
                self._race(index, beside)
                return
        self._look_in(found.again_at - now)

    def _step_to_race(self) -> int | None:
        engine = self._of.engine
        if engine.closed or engine.room.waiting:
            return None
        return self._rest.remaining.hedge_step(self._rest.step)

    # The race of the later steps.

    def _race(self, index: int, beside: Beside) -> None:
        self._contents = self.reader.sent.answer(0.0).contents
        self.reader.moved = self._moved
        self._later = LaterTask(self._of, self._rest.remaining, index, beside, self._context, self._later_ended)

    def _moved(self) -> None:
        """Something has been read. Raises `ConnectionFailed` if another answer has taken its place already."""
        if self._next is not None:
            raise ConnectionFailed("another answer has taken its place")
        sent = self.reader.sent
        more = sent.decoder is not None and (sent.decoder.content > self._contents or sent.decoder.would_be_whole())
        if more and self._later is not None:
            self._later.abort("superseded")
            self._later, self._raced = None, True
            self.reader.moved = None
            self._look_in(MIN_SILENCE)

    def _later_ended(self) -> None:
        """The race has ended by itself."""
        later, self._later = self._later, None
        assert later is not None
        if later.reader is not None and later.race is not None:
            self._next = RestartableStream(self._of, later.race, later.reader, self._context)
            self.reader.end("superseded")
            return
        self._failure = later.failure
        self.reader.moved = None
        if self._failure is not None and not isinstance(self._failure, CallError | Refused):
            log_unseen(self._failure)
        self._look_in(MIN_SILENCE)
