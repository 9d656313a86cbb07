"""The rows of a file through one router: asked, tallied, handed to whoever writes them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter import AllModelsFailed, RateLimited, RouterClosed
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._ids import Names
from asyncrouter.batch._lines import Format, Row, answer_line, cause_of, failure_line
from asyncrouter.batch._rows import Asked, RowError
from asyncrouter.batch._rules import Rules
from asyncrouter.batch._tally import Tally
from asyncrouter.batch._window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import Config, Router
    from asyncrouter.batch._ids import Ids
    from asyncrouter.batch._source import Source

    Write = Callable[[bytes], None]

PAUSES = (2.0, 4.0, 8.0, 16.0)
"""Seconds at most before a row is asked again that met a limit, and at least until the instant that was told."""
AT_ONCE = 500
"""Rows that are passed over between two looks at the rest of the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What is asked of every row, and how. `share` is which of how many processes this is; `limit` counts for all."""

    options: dict[str, object] = field(default_factory=dict)
    format: Format = "native"
    raw: bool = False
    concurrency: int = 64
    limit: int | None = None
    rules: Rules = field(default_factory=Rules)
    share: tuple[int, int] = (0, 1)


class Job:
    """One router at work. `stopped` says why it took no more rows, `None` when it took all there were."""

    def __init__(
        self, router: Router, source: Source, orders: Orders, done: Ids | None, answers: Write, failures: Write
    ) -> None:
        self.tally = Tally()
        self.stopped: str | None = None
        self._router = router
        self._orders = orders
        self._feed = feed(source, orders, router.config, done)
        self._answers = answers
        self._failures = failures
        self._window: Window[Row] | None = None
        self._stopping = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Job {self.tally.done} done, {self.tally.failed} failed, {self._window!r}>"

    @property
    def busy(self) -> int:
        """Rows on their way."""
        return 0 if self._window is None else self._window.busy

    @property
    def affordable(self) -> bool:
        """Whether the budget has nothing to do with it that this has stopped."""
        return self._orders.rules.affords(self.tally, 0)

    async def run(self) -> None:
        """To the end, or until stopped. Raises `BatchError` when the input has changed under it, and `RouterClosed`."""
        self._window = Window(self._orders.concurrency, self._take, self._ask)
        if self.stopped is not None:
            self._window.stop()
        try:
            await self._window.wait()
        finally:
            await self._window.aclose()

    def stop(self, reason: str) -> None:
        """Begin no more rows; those on their way are finished."""
        self.stopped = self.stopped or reason
        self._stopping.set()
        if self._window is not None:
            self._window.stop()

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those on their way."""
        self.stop(reason)
        if self._window is not None:
            self._window.abort()

    async def _take(self) -> Row | None:
        rules, window = self._orders.rules, self._window
        assert window is not None
        if (reason := rules.reason(self.tally)) is not None:
            self.stop(reason)
            return None
        if not rules.affords(self.tally, window.busy):
            if window.busy == 0:
                self.stop(rules.spent(self.tally))
            return None  # the others go on; when they turn out cheap, there will be workers again
        for row in self._feed:
            if row is not None:
                return row
            await asyncio.sleep(0)
            if self.stopped is not None:
                break
        return None

    async def _ask(self, row: Row) -> bool:
        _, prompt, options = row.asked
        pauses = iter(PAUSES)
        while True:
            try:
                reply = await self._router.chat(prompt, **options)  # type: ignore[arg-type]  # surveyed
            except RouterClosed:
                raise
            except Exception as error:  # one bad row is no reason to lose the others
                if (pause := self._pause(error, pauses)) is None:
                    self._failures(failure_line(row, error))
                    self.tally.fail(error)
                    return False
            else:
                self._answers(answer_line(row, reply, self._orders.format, raw=self._orders.raw))
                self.tally.answered(reply)
                return True
            if await self._stopped_within(pause):
                return False  # it is left to the next run

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    def _pause(self, error: Exception, pauses: Iterator[float]) -> float | None:
        """Seconds until a row is asked again that only met limits, which are no fault of its own; else `None`."""
        limited = cause_of(error)
        if not isinstance(error, AllModelsFailed) or not isinstance(limited, RateLimited) or self.stopped is not None:
            return None
        pause = next(pauses, None)
        if pause is None:
            return None
        self.tally.asks_again(error)
        return max(pause * random.random(), limited.retry_after or 0.0)


def feed(source: Source, orders: Orders, config: Config, done: Ids | None) -> Iterator[Row | None]:
    """The rows still to be sent, in order; now and then `None`, to let others have the loop. Raises `BatchError`."""
    names, index, number = Names(), -1, -1
    mine, among = orders.share
    for line in source.lines():
        try:
            if isinstance(line.fields, str):
                raise RowError(line.fields)
            index += 1
            if index % AT_ONCE == AT_ONCE - 1:
                yield None
            id = names.name(line.fields)  # noqa: A001
            if done is not None and id in done:
                continue
            number += 1
            if orders.limit is not None and number >= orders.limit:
                return
            if number % among == mine:
                yield Row(index, Asked.of(id, line.fields, orders.options, config), line.fields)
        except RowError as error:
            raise BatchError(f"{source.name}: has changed since it was read: line {line.number}: {error}") from None


async def count_done(source: Source, done: Ids) -> int:
    """How many rows of an input are done."""
    names, count = Names(), 0
    for number, line in enumerate(source.lines()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if isinstance(line.fields, dict):
            count += names.name(line.fields) in done
    return count
