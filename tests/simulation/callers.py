"""The callers: each makes one call, reads, waits, judges, leaves early or is cancelled, and records what it got."""

from __future__ import annotations

import asyncio
from math import inf
from random import Random
from typing import TYPE_CHECKING

from .record import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Reply, Router
    from asyncrouter._reply_stream import ReplyStream

    from .record import CallRecord, Record


class ReaderError(Exception):
    """Raised by a reader inside `async with`."""


class AcceptError(Exception):
    """Raised by an `accept` that cannot judge."""


class Caller:
    """Makes one call and keeps its record."""

    def __init__(self, router: Router, record: Record, call: CallRecord) -> None:
        self._router = router
        self._record = record
        self._call = call
        self._loop = asyncio.get_running_loop()
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Make the call and record how it ended."""
        call, now = self._call, self._loop.time()
        limit = call.behaviour.options.get("deadline", call.plan.deadline)
        call.began = now
        call.deadline = inf if limit is None else now + limit  # type: ignore[operator]  # drawn as a number
        self._record.log(now, f"call {call.number} begins: {call.behaviour.task}")
        if call.behaviour.cancel_after is not None:
            self._loop.call_later(call.behaviour.cancel_after, self.cancel)
        try:
            await self._within_timeout()
        except asyncio.CancelledError:
            if call.cancelled_at is None:
                self._record.flag("cancel", f"call {call.number} was cancelled by nobody")
        except TimeoutError:
            pass  # the caller's own
        error = "" if call.error is None else f" {type(call.error).__name__}"
        text = "" if call.reply is None else f" {words_of(call.reply)!r}"
        self._record.log(self._loop.time(), f"call {call.number} ends: {call.outcome}{error}{text}")

    def cancel(self) -> None:
        """Cancel the caller's task, as often as its behaviour says."""
        call = self._call
        if call.over or call.cancelled_at is not None or self.task is None:
            return
        call.cancelled_at = self._loop.time()
        for _ in range(call.behaviour.cancels):
            call.cancels += self.task.cancel()
        self._record.log(call.cancelled_at, f"call {call.number} is cancelled")

    async def _within_timeout(self) -> None:
        """Make the call within the caller's own `asyncio.timeout`, if it has one."""
        timeout = self._call.behaviour.timeout
        if timeout is None:
            await self._ask()
            return
        async with asyncio.timeout(timeout) as scope:
            try:
                await self._ask()
            finally:
                if scope.expired() and self._call.cancelled_at is None:
                    self._call.cancelled_at = scope.when()
                    self._call.cancels = 1

    async def _ask(self) -> None:
        """Make the call, and check when and how it ended."""
        call = self._call
        try:
            await (self._stream() if call.behaviour.stream else self._chat())
            outcome, error = "reply" if call.reply is not None else "left", None
        except BaseException as caught:
            outcome = {asyncio.CancelledError: "cancelled", ReaderError: "left", AcceptError: "accept raised"}.get(
                type(caught), type(caught).__name__
            )
            error = caught
        now = self._loop.time()
        call.finish(now, outcome, error)
        if call.trace is None and error is not None:
            call.trace = getattr(error, "trace", None)
        self._on_time(call.began if not call.behaviour.stream else now)
        self._accounted(outcome)
        if outcome == "cancelled":
            raise asyncio.CancelledError

    def _accounted(self, outcome: str) -> None:
        """Check that a cancellation is neither swallowed nor made up."""
        call, task = self._call, asyncio.current_task()
        assert task is not None
        if call.cancelled_at is not None and call.behaviour.timeout is None:
            if outcome != "cancelled":
                self._record.flag("cancel", f"call {call.number} was cancelled and ended as {outcome}")
            if call.ended != call.cancelled_at:
                self._record.flag("cancel", f"call {call.number} ended at {call.ended}, cancelled {call.cancelled_at}")
        elif outcome != "cancelled" and task.cancelling():
            self._record.flag("cancel", f"call {call.number} ended as {outcome} and leaves a cancel behind")
        if outcome == "cancelled" and call.cancelled_at is not None and task.cancelling() != call.cancels:
            self._record.flag("cancel", f"call {call.number}: {call.cancels} cancels, {task.cancelling()} counted")

    def _on_time(self, began: float) -> None:
        """Check that the router has answered by the deadline."""
        now = self._loop.time()
        if now > max(began, self._record.late(self._call.deadline)):
            self._record.flag("deadline", f"call {self._call.number} at {now!r}, due {self._call.deadline!r}")

    async def _chat(self) -> None:
        call = self._call
        behaviour = call.behaviour
        accept = None if behaviour.accept is None else self._accept()
        call.reply = await self._router.chat(
            self._prompt(), task=behaviour.task, accept=accept, tags=self._tags(), **behaviour.options  # type: ignore[arg-type]
        )
        call.trace = call.reply.trace

    def _tags(self) -> dict[str, str]:
        tags, tenant = {"call": str(self._call.number)}, self._call.behaviour.tenant
        return tags if tenant is None else {**tags, "tenant": tenant}

    def _prompt(self) -> str:
        return f"{self._call.number} {'word ' * self._call.behaviour.padding}"

    def _accept(self) -> Callable[[Reply], object]:
        """The `accept` of this call."""
        behaviour = self._call.behaviour
        random = Random(f"accept {self._record.seed} {self._call.number}")

        def judge(reply: Reply) -> bool:
            if not any(words_of(reply) == exchange.text() for exchange in self._call.exchanges):
                self._record.flag("reply", f"accept of call {self._call.number} got {words_of(reply)!r}")
            if behaviour.accept == "raises":
                raise AcceptError
            return behaviour.accept in {"yes", "slow"} or (behaviour.accept == "maybe" and random.random() < 0.5)

        async def judge_slowly(reply: Reply) -> bool:
            await asyncio.sleep(behaviour.accept_seconds)
            self._holds_nothing(reply.model)
            return judge(reply)

        return judge_slowly if behaviour.accept_seconds else judge

    def _holds_nothing(self, model: str) -> None:
        """Check that no slot is taken but for requests that run, end at this very instant, or are read slowly."""
        now, record = self._loop.time(), self._record
        if self._router.config.places(model) is not None:
            return
        if any(now == ends for _, ends in record.blocked):
            return  # who waits may have been given a slot, and sends its request in this very turn of the loop
        running = sum(
            one.ended is None or one.ended >= now or (one.call.behaviour.stream and not one.call.over)
            for one in record.exchanges if one.model == model
        )
        held = self._router.health()[model].in_flight
        if held > running:
            record.flag("accept", f"call {self._call.number}: {held} of {model} in flight, {running} running")

    async def _stream(self) -> None:
        call = self._call
        behaviour = call.behaviour
        on_interrupt = "restart" if behaviour.restart else "raise"
        began = self._loop.time()
        stream = self._router.stream(
            self._prompt(), task=behaviour.task, on_interrupt=on_interrupt, tags=self._tags(),  # type: ignore[arg-type]
            **behaviour.options,  # type: ignore[arg-type]
        )
        try:
            async with stream:
                self._on_time(began)
                call.trace = stream.trace
                await self._read(stream)
        finally:
            if call.trace is None:
                call.trace = getattr(stream, "trace", None)

    async def _read(self, stream: ReplyStream) -> None:
        """Read a stream to its end, or as far as this reader does."""
        call = self._call
        behaviour = call.behaviour
        taken = 0
        while True:
            began = self._loop.time()
            try:
                chunk = await anext(stream)
            except StopAsyncIteration:
                call.reply = stream.reply
                return
            finally:
                self._on_time(began)
            if chunk.restart:
                call.chunks.clear()
            else:
                call.chunks.append(chunk)
            taken += 1
            if behaviour.leave_after is not None and taken > behaviour.leave_after:
                if behaviour.leave_by_raising:
                    raise ReaderError
                return
            pause = behaviour.pause + (behaviour.first_pause if taken == 1 else 0.0)
            if pause:
                await asyncio.sleep(pause)
