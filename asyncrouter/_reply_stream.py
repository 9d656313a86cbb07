"""A reply in its reader's hands: chunk by chunk, broken off cleanly, begun again if that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from asyncrouter._engine.race import Race
from asyncrouter._engine.reading import ReplyReader
from asyncrouter._errors import AttemptError, CallError, Refused, StreamInterrupted
from asyncrouter._types import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._types import Call, Reply, Trace


class ReplyStream:
    """What `router.stream()` returns: an async context manager and an async iterator of `Chunk`.

    Entering waits for the first content; it raises what `chat()` would. Iterating raises `StreamInterrupted` when the
    reply breaks. `reply` is the assembled `Reply` after the end, `trace` all attempts so far.
    """

    __slots__ = (
        "_begin", "_call", "_end", "_engine", "_entered", "_over", "_plan", "_reply", "_rest", "_restart", "_tail",
        "trace",
    )

    trace: Trace

    def __init__(
        self,
        plan: Plan,
        begin: Callable[[], tuple[Engine, Call, Trace]],
        end: Callable[[Engine, Call, Trace, BaseException | None], None],
        *,
        restart: bool,
    ) -> None:
        self._plan = plan
        self._begin = begin
        self._end = end
        self._restart = restart
        self._tail: ReplyReader | None = None
        self._reply: Reply | None = None
        self._entered = self._over = False

    @property
    def reply(self) -> Reply:
        """The whole reply. Raises `RuntimeError` before the end."""
        if self._reply is None:
            raise RuntimeError("stream.reply: the stream has not come to its end")
        return self._reply

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream can be read once; call router.stream() again")
        self._entered = True
        self._engine, self._call, self.trace = self._begin()
        try:
            self._tail = await self._race(None, "first")
        except BaseException as error:
            self._finish(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._tail is not None:
            self._tail.close()
        self._finish(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        if self._tail is None:
            raise RuntimeError("use it as `async with router.stream(…) as stream:`")
        try:
            chunk = await self._tail.next()
        except AttemptError as error:
            return await self._begin_again(self._tail, error)
        if chunk is None:
            if not self._over:  # cancelled in the middle of a restart: half an answer is no answer
                raise self._broken(self._tail, "a restart was cancelled")
            raise StopAsyncIteration
        if chunk.finish_reason is not None:
            self._reply = self._tail.reply
            self._finish(None)
        return chunk

    async def _begin_again(self, broken: ReplyReader, error: AttemptError) -> Chunk:
        """The chunk that says so, or `StreamInterrupted` when that was not asked for or nothing is left."""
        cause: Exception = error
        if self._restart and self._rest:
            try:
                self._tail = await self._race(self._rest, "restart")
            except (CallError, Refused) as failed:
                cause = failed
            else:
                return Chunk(restart=True)
        raise self._broken(broken, error) from cause

    def _broken(self, broken: ReplyReader, why: object) -> StreamInterrupted:
        message = f"the stream broke after {len(broken.text())} characters: {why}"
        interrupted = StreamInterrupted(message, self.trace, broken.text())
        self._finish(interrupted)
        return interrupted

    async def _race(self, left: list[int] | None, cause: Literal["first", "restart"]) -> ReplyReader:
        race = Race(self._engine, self._call, self._plan, self.trace, left, cause)
        tail = await race.run()
        assert isinstance(tail, ReplyReader)
        self._rest = race.behind(tail.index)
        return tail

    def _finish(self, error: BaseException | None) -> None:
        if not self._over:
            self._over = True
            self._end(self._engine, self._call, self.trace, error)
