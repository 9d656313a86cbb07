"""What `router.stream()` returns: a reply read chunk by chunk, left early without a trace, restarted when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from asyncrouter._errors import AttemptError, CallError, Refused, StreamInterrupted
from asyncrouter._types import Chunk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.committed import CommittedStream
    from asyncrouter._engine.engine import Engine
    from asyncrouter._types import Call, Reply, Trace


class StreamCall(NamedTuple):
    """The call behind a stream; it begins when the stream is entered."""

    engine: Engine
    call: Call
    trace: Trace


class ReplyStream:
    """What `router.stream()` returns: an async context manager and an async iterator of `Chunk`.

    Entering waits for the first content; it raises what `chat()` would. Iterating raises `StreamInterrupted` when the
    reply breaks. `reply` is the assembled `Reply` after the end, `trace` all attempts so far, once it is entered.
    """

    __slots__ = ("_begin", "_call", "_end", "_entered", "_over", "_plan", "_reply", "_restart", "_source", "_start")

    def __init__(
        self,
        plan: Plan,
        begin: Callable[[], tuple[Engine, Call, Trace]],
        start: Callable[..., Awaitable[CommittedStream]],
        end: Callable[[Engine, Call, Trace, BaseException | None], None],
        *,
        restart: bool,
    ) -> None:
        self._plan = plan
        self._begin = begin
        self._start = start
        self._end = end
        self._restart = restart
        self._call: StreamCall | None = None
        self._source: CommittedStream | None = None
        self._reply: Reply | None = None
        self._entered = self._over = False

    def __repr__(self) -> str:
        state = "ended" if self._over else "open" if self._source else "begun" if self._entered else "not entered"
        return f"<ReplyStream {state}>"

    @property
    def reply(self) -> Reply:
        """The whole reply. Raises `RuntimeError` before the end."""
        if self._reply is None:
            raise RuntimeError("stream.reply: the stream has not ended; read all its chunks first")
        return self._reply

    @property
    def trace(self) -> Trace:
        """All attempts so far. Raises `AttributeError` before the stream is entered."""
        if self._call is None:
            raise AttributeError("stream.trace: the stream has not been entered")
        return self._call.trace

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream can be read once; call router.stream() again")
        self._entered = True
        call = self._call = StreamCall(*self._begin())
        try:
            self._source = await self._start(call.engine, call.call, self._plan, call.trace, restart=self._restart)
        except BaseException as error:
            self._finish(call, error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._source is not None:
            self._source.close()
        if self._call is not None:
            self._finish(self._call, error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        call, source = self._call, self._source
        if call is None or source is None:
            raise RuntimeError("use it as `async with router.stream(…) as stream:`")
        try:
            chunk = await source.reader.next()
        except AttemptError as error:
            return await self._begin_again(call, source, error)
        if chunk is None:
            if not self._over:  # cancelled in the middle of a restart: half an answer is no answer
                raise self._interrupted(call, source, "a restart was cancelled")
            raise StopAsyncIteration
        if chunk.finish_reason is not None:
            self._reply = source.reader.reply
            self._finish(call, None)
        return chunk

    async def _begin_again(self, call: StreamCall, broken: CommittedStream, error: AttemptError) -> Chunk:
        """The chunk that announces a restart, or `StreamInterrupted` if none was asked for, or no step is left."""
        cause: Exception = error
        try:
            source = await broken.restart(error)
        except (CallError, Refused) as failed:
            cause = failed
        else:
            if source is not None:
                self._source = source
                error.__traceback__ = error.__context__ = None  # the trace keeps it, and it would keep our frames
                return Chunk(restart=True)
        raise self._interrupted(call, broken, error) from cause

    def _interrupted(self, call: StreamCall, broken: CommittedStream, why: object) -> StreamInterrupted:
        text = broken.reader.reply.text
        interrupted = StreamInterrupted(f"the stream broke after {len(text)} characters: {why}", call.trace, text)
        self._finish(call, interrupted)
        return interrupted

    def _finish(self, call: StreamCall, error: BaseException | None) -> None:
        if not self._over:
            self._over = True
            self._end(*call, error)
