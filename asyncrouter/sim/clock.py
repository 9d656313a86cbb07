"""Virtual time: an asyncio event loop that goes to the next timer at once instead of waiting for it.

Theory of operation. An event loop waits in one place only, the `select` of its selector, for as long as there are no
callbacks to run. Here that selector never waits: it sets the loop's clock to the next timer and returns. So time stands
still while callbacks run and is exact when a timer fires; hours pass in milliseconds, in the same order in every run.

Only timers move this time. A thread or a socket lives in real time, so the loop refuses to wait for one. With no timer
left, nothing could ever happen again: that is a `Deadlock`, which lists the tasks and where they wait. Callbacks that
keep scheduling each other would stop the clock for ever: that is a `Livelock`.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Executor

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_767_225_600.0
"""The wall time at which a `Clock` begins, in seconds since the epoch: 2026-01-01 00:00 UTC."""
MAX_ITERATIONS = 1_000_000
"""Iterations of the event loop at one instant that are a livelock: honest work needs some thousands."""


class Deadlock(RuntimeError):
    """No timer is left, and the scenario has not ended. The message lists its tasks and where each of them waits."""


class Livelock(RuntimeError):
    """The event loop ran a million iterations at one instant: something loops without ever waiting."""


class _VirtualSelector(selectors.DefaultSelector):
    """A selector that never waits: where it would, it moves the event loop's clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            self.loop.count_iteration()
        else:
            self.loop.advance()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, for `asyncio.Runner(loop_factory=VirtualLoop)`.

    `start` is its first instant and `epoch` the wall time of instant 0.0, in seconds.
    """

    is_virtual = True
    """Whether its time is virtual, so that it cannot wait for a thread."""

    def __init__(self, start: float = 0.0, epoch: float = EPOCH) -> None:
        selector = _VirtualSelector()
        selector.loop = self
        self._now = start
        self._epoch = epoch
        self._iterations = 0
        super().__init__(selector)
        self._sharpen()

    def time(self) -> float:
        """The present instant, in seconds of virtual time."""
        return self._now

    def wall(self) -> float:
        """The wall time of the present instant, in seconds since the epoch, like `time.time()`."""
        return self._epoch + self._now

    def advance(self) -> None:
        """Set the clock to the next timer. Raises `Deadlock` when there is none."""
        # Read from the loop's heap: adding up `select`'s timeouts would round, and they are a day at most.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # private to asyncio
        when = scheduled[0].when() if scheduled else math.inf
        if math.isinf(when):
            raise Deadlock(_report(self))
        self._iterations = 0
        self._now = max(self._now, when)
        self._sharpen()

    def count_iteration(self) -> None:
        """Count an iteration that did not move the clock. Raises `Livelock` when there are too many."""
        self._iterations += 1
        if self._iterations > MAX_ITERATIONS:
            raise Livelock(f"{MAX_ITERATIONS} turns of the loop at {self._now!r} s without waiting for anything")

    def _sharpen(self) -> None:
        # asyncio runs timers up to one clock resolution early. The distance to the next float is the least that works.
        self._clock_resolution = math.ulp(self._now)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Refuse, as a thread needs real time. Raises `RuntimeError`."""
        raise RuntimeError(f"virtual time cannot wait for a thread ({getattr(func, '__qualname__', func)!r}): "
                           "pass in what it would return, or run this under a real loop")

    async def create_server(self, *_: Any, **__: Any) -> asyncio.Server:
        """Refuse, before asyncio opens a socket that it would then leave open. Raises `RuntimeError`."""
        raise RuntimeError(_NO_SOCKETS)

    def _add_reader(self, fd: object, callback: Callable[..., object], *args: object) -> object:
        if fd != self._ssock.fileno():  # type: ignore[attr-defined]  # the loop's own wake-up pipe
            raise RuntimeError(_NO_SOCKETS)
        return super()._add_reader(fd, callback, *args)  # type: ignore[misc]  # private to asyncio

    def _add_writer(self, fd: object, callback: Callable[..., object], *args: object) -> object:
        raise RuntimeError(_NO_SOCKETS)


_NO_SOCKETS = "virtual time cannot wait for a socket: use world.transport(), or run this under a real loop"
"""The message of the `RuntimeError` for every use of a socket."""


class Clock:
    """Runs scenarios in virtual time, from instant 0.0 on; a second run goes on where the first one ended.

    `epoch` is the wall time of instant 0.0, in seconds since the epoch. The method `wall` is a wall clock for what
    takes one, as in `Router(wall=clock.wall)`.
    """

    def __init__(self, epoch: float = EPOCH) -> None:
        self._epoch = epoch
        self._now = 0.0
        self._loop: VirtualLoop | None = None

    def __repr__(self) -> str:
        return f"<Clock {self.now!r} s>"

    @property
    def now(self) -> float:
        """The present instant in a run, in virtual seconds; between runs the one at which the last one ended."""
        return self._now if self._loop is None else self._loop.time()

    def wall(self) -> float:
        """The wall time of the present instant, in seconds since the epoch, like `time.time()`."""
        return self._epoch + self.now

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, in an event loop of its own, and return its result.

        Raises what the coroutine raises, `Deadlock` if it can never end, `Livelock` if time stands still, and
        `RuntimeError` when an event loop is running already.
        """
        if asyncio._get_running_loop() is not None:
            main.close()
            raise RuntimeError("virtual time needs a loop of its own, and one is running: call this outside of it")
        self._loop = loop = VirtualLoop(self._now, self._epoch)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                return runner.run(main)
            finally:
                self._now, self._loop = loop.time(), None


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time that begins at 0.0, and return its result; see `Clock.run`."""
    return Clock().run(main)


def _report(loop: asyncio.AbstractEventLoop) -> str:
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines = [f"  {task.get_name()}: {' → '.join(_waits(task)) or 'not started'}" for task in tasks]
    headline = f"nothing is left to wait for at {loop.time()!r} s (threads and sockets do not count in virtual time)"
    return "\n".join([headline, *(lines or ["  no task is left"])])


def _waits(task: asyncio.Task[Any]) -> Iterator[str]:
    """Where a suspended task waits, the outermost frame first."""
    awaited: object = task.get_coro()
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            code = frame.f_code
            yield f"{code.co_qualname} ({code.co_filename.rpartition('/')[2]}:{frame.f_lineno})"
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(subject: object, *names: str) -> Any:
    return next((found for name in names if (found := getattr(subject, name, None)) is not None), None)
