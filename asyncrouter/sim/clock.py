"""Virtual time: an asyncio loop that jumps to the next timer instead of waiting for it.

Every instant is exact and nothing ever sleeps, so hours run in milliseconds, always in the same order. Only
timers move it: threads and sockets are refused, and when no timer is left to wait for it says who waits where.
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
"""Where the wall clock of a `Clock` stands at its beginning: 2026-01-01 00:00 UTC."""
TURNS = 1_000_000
"""Turns of the loop at one instant after which something is taken to be spinning."""


class Deadlock(RuntimeError):
    """Nothing is left to wait for, yet the scenario has not ended. The message lists its tasks and where they wait."""


class Livelock(RuntimeError):
    """The loop turned a million times and the clock did not move: something spins without waiting."""


class _Jump(selectors.DefaultSelector):
    """A selector that never waits: where it would, it moves the loop's clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            self.loop.turn()
        else:
            self.loop.jump()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, in seconds from `start`; for `asyncio.Runner(loop_factory=VirtualLoop)`."""

    def __init__(self, start: float = 0.0, epoch: float = EPOCH) -> None:
        selector = _Jump()
        selector.loop = self
        self._now = start
        self._epoch = epoch
        self._turns = 0
        super().__init__(selector)
        self._exactly()

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._now

    def wall(self) -> float:
        """Seconds since the epoch, as `time.time()` would say in this world."""
        return self._epoch + self._now

    def jump(self) -> None:
        """Go to the next timer. Raises `Deadlock` when there is none."""
        # Read from the heap: adding up time-outs would round, and select() is never told of more than a day.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # private to asyncio
        when = scheduled[0].when() if scheduled else math.inf
        if math.isinf(when):
            raise Deadlock(_report(self))
        self._turns = 0
        self._now = max(self._now, when)
        self._exactly()

    def turn(self) -> None:
        """Note a turn without waiting. Raises `Livelock` when there were too many."""
        self._turns += 1
        if self._turns > TURNS:
            raise Livelock(f"{TURNS} turns of the loop at {self._now!r} s without waiting for anything")

    def _exactly(self) -> None:
        # asyncio runs timers up to one resolution early; the next float is the least that still runs those due now.
        self._clock_resolution = math.ulp(self._now)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Refuse: a thread needs real time, and this clock would jump past it."""
        raise RuntimeError(f"virtual time cannot wait for a thread ({getattr(func, '__qualname__', func)!r}): "
                           "pass in what it would return, or run this under a real loop")

    async def create_server(self, *_: Any, **__: Any) -> asyncio.Server:
        """Refuse, before asyncio has opened a socket that it would then leave open."""
        raise RuntimeError(_NO_SOCKETS)

    def _add_reader(self, fd: object, callback: Callable[..., object], *args: object) -> object:
        if fd != self._ssock.fileno():  # type: ignore[attr-defined]  # the loop's own wake-up pipe
            raise RuntimeError(_NO_SOCKETS)
        return super()._add_reader(fd, callback, *args)  # type: ignore[misc]  # private to asyncio

    def _add_writer(self, fd: object, callback: Callable[..., object], *args: object) -> object:
        raise RuntimeError(_NO_SOCKETS)


_NO_SOCKETS = "virtual time cannot wait for a socket: use world.transport(), or run this under a real loop"


class Clock:
    """Runs scenarios in virtual time. `now` is in seconds from 0.0 and stays readable when the run is over.

    A second run goes on where the first one ended. `wall()` is a wall clock that moves with it, for what wants dates.
    """

    def __init__(self, epoch: float = EPOCH) -> None:
        self._epoch = epoch
        self._now = 0.0
        self._loop: VirtualLoop | None = None

    def __repr__(self) -> str:
        return f"<Clock {self.now!r} s>"

    @property
    def now(self) -> float:
        """Virtual seconds: inside a run the present instant, afterwards the one at which it ended."""
        return self._now if self._loop is None else self._loop.time()

    def wall(self) -> float:
        """Seconds since the epoch, as `time.time()` would say in this world."""
        return self._epoch + self.now

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end and return what it returns.

        Raises `Deadlock` if it can never end, `RuntimeError` inside a running loop.
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
    """Run `main` in virtual time that begins at 0.0."""
    return Clock().run(main)


def _report(loop: asyncio.AbstractEventLoop) -> str:
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines = [f"  {task.get_name()}: {' → '.join(_waits(task)) or 'not started'}" for task in tasks]
    said = f"nothing is left to wait for at {loop.time()!r} s (threads and sockets do not count in virtual time)"
    return "\n".join([said, *(lines or ["  no task is left"])])


def _waits(task: asyncio.Task[Any]) -> Iterator[str]:
    """Where a suspended task stands, its outermost frame first."""
    awaited: object = task.get_coro()
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            code = frame.f_code
            yield f"{code.co_qualname} ({code.co_filename.rpartition('/')[2]}:{frame.f_lineno})"
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(subject: object, *names: str) -> Any:
    return next((found for name in names if (found := getattr(subject, name, None)) is not None), None)
