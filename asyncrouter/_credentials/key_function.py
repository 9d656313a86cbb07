"""Runs a key function off the event loop, within a time limit, and judges what it returns.

An async function is awaited. A sync one may block, so it runs in a thread of its own: mostly it is done within
`QUICK_SECONDS`, for which the loop waits, so that nothing else happens in between. There is one thread at most: while a
function has not returned, it is not called again. The thread is a daemon, so it never keeps a process from ending.

Nothing of an exception but its class and place is kept: its message may quote a key.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from asyncrouter._credentials.secret import Secret, key_from

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAX_SECONDS: Final = 10.0
"""Seconds that a key function may take: vaults answer within one or two, and a call waits meanwhile."""
QUICK_SECONDS: Final = 0.01
"""Seconds for which the event loop waits for a sync function, before it goes on without it."""

Outcome = Secret | str
"""A key, or as plain text the reason why there is none."""


class KeyFunction:
    """A key function. `key` is what its last run has returned, `None` if nothing usable; then `failure` says why."""

    __slots__ = ("_function", "_running", "failure", "key")

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._running: Future[Outcome | Awaitable[object]] | Awaitable[object] | None = None
        self.key: Secret | None = None
        self.failure = ""

    def __repr__(self) -> str:
        return f"<KeyFunction {getattr(self._function, '__qualname__', type(self._function).__name__)}>"

    def begin(self) -> bool:
        """Call the function; whether it is done already. Otherwise `finish()` has to be awaited."""
        if isinstance(self._running, Future) and not self._running.done():
            self._judge(f"has not returned yet; it was called more than {MAX_SECONDS:g} s ago")
            return True
        self._running = None
        outcome = self._call()
        if isinstance(outcome, Secret | str):
            self._judge(outcome)
            return True
        self._running = outcome
        return False

    async def finish(self) -> None:
        """Wait for the run that has begun, for `MAX_SECONDS` at most."""
        running, self.key, self.failure = self._running, None, "the key function was cancelled"
        assert running is not None
        try:
            async with asyncio.timeout(MAX_SECONDS) as limit:
                outcome = await (asyncio.wrap_future(running) if isinstance(running, Future) else _awaited(running))
                if not isinstance(outcome, Secret | str):
                    outcome = await _awaited(outcome)
        except TimeoutError:
            assert limit.expired()
            outcome = f"gave no key within {MAX_SECONDS:g} s"
        self._judge(outcome)

    def _judge(self, outcome: Outcome) -> None:
        self.key, self.failure = (outcome, "") if isinstance(outcome, Secret) else (None, f"the key function {outcome}")

    def _call(self) -> Outcome | Awaitable[object] | Future[Outcome | Awaitable[object]]:
        if _is_async(self._function) or getattr(asyncio.get_running_loop(), "is_virtual", False):
            return _called(self._function)  # virtual time cannot wait for a thread
        future: Future[Outcome | Awaitable[object]] = Future()
        future.set_running_or_notify_cancel()
        context, done = copy_context(), threading.Event()

        def run() -> None:
            future.set_result(context.run(_called, self._function))
            done.set()

        try:
            threading.Thread(target=run, name="asyncrouter key function", daemon=True).start()
        except RuntimeError:
            return "was not called: this process can start no thread"
        return future.result() if done.wait(QUICK_SECONDS) else future


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # not whether, but which


def _called(function: Callable[[], object]) -> Outcome | Awaitable[object]:
    """Call the function. Raises nothing; the key is a `Secret` from here on."""
    try:
        returned = function()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # somebody has pressed Ctrl-C
        return _raised(error)
    return returned if inspect.isawaitable(returned) else _key_or_reason(returned)


async def _awaited(awaitable: Awaitable[object]) -> Outcome:
    """Await what the function has returned. Raises nothing but a cancellation and a `KeyboardInterrupt`."""
    try:
        return _key_or_reason(await awaitable)
    except (Exception, SystemExit) as error:
        return _raised(error)


def _key_or_reason(returned: object) -> Outcome:
    if not isinstance(returned, str):
        return f"returned {'None' if returned is None else type(returned).__name__}; a key is text"
    found = key_from(returned)
    if isinstance(found, Secret):
        return found
    return "returned no key" if found == "is empty" else f"returned a key that {found}"


def _raised(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
    return f"raised {type(error).__name__}{place}"
