"""The rows of a file through one router: asked, tallied, handed to whoever writes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from asyncrouter import RouterClosed
from asyncrouter.batch._accept import guarded
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._ids import Names
from asyncrouter.batch._lines import Format, answer_line, failure_line, limit_met
from asyncrouter.batch._rows import AT_ONCE, Row, RowError
from asyncrouter.batch._rules import Rules
from asyncrouter.batch._tally import Tally
from asyncrouter.batch._window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from asyncrouter import Config, NotSent, RateLimited, Router
    from asyncrouter.batch._ids import Ids
    from asyncrouter.batch._source import Source

    Write = Callable[[bytes], None]

logger = logging.getLogger("asyncrouter")

PAUSES = (2.0, 4.0, 8.0, 16.0)
"""Seconds at most before a row that met a limit is asked again, and again; longer if it was told so."""
LONGEST = 600.0
"""Seconds after which it is asked again whatever it was told."""
TOLD_AFTER = 10.0
"""Seconds without any answer after which it is told what the rows wait for."""
IN_VAIN = 1800.0
"""Seconds without any answer after which a limit is a reason to stop."""


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
        if (accept := orders.options.get("accept")) is not None:
            orders = replace(orders, options={**orders.options, "accept": guarded(accept)})  # type: ignore[arg-type]  # surveyed
        self._orders = orders
        self._feed = feed(source, orders, router.config, done)
        self._answers = answers
        self._failures = failures
        self._window: Window[Row] | None = None
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._answered_at = self._loop.time()
        self._told = False

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
            self._feed.close()

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
        tries = 0
        while True:
            try:
                reply = await self._router.chat(row.prompt, **row.options)  # type: ignore[arg-type]  # surveyed
            except RouterClosed:
                raise
            except Exception as error:  # one bad row is no reason to lose the others
                limit = limit_met(error)
                if limit is None:
                    self._failures(failure_line(row, error))
                    self.tally.fail(error)
                    return False
                self.tally.asks_again(error)
                self._keep_hoping(limit)
                told = min(limit.retry_after or 0.0, LONGEST)
                pause = max(PAUSES[min(tries, len(PAUSES) - 1)] * random.random(), told)
                tries += 1
            else:
                self._answers(answer_line(row, reply, self._orders.format, raw=self._orders.raw))
                self.tally.answered(reply)
                self._answered_at = self._loop.time()
                return True
            if await self._stopped_within(pause):
                return False  # it is left to the next run

    def _keep_hoping(self, limit: RateLimited | NotSent) -> None:
        """Stop when nobody has been answered for so long: rows do not fail of limits, but "tomorrow" is no pause."""
        silent = self._loop.time() - self._answered_at
        if silent > TOLD_AFTER and not self._told:
            self._told = True
            logger.warning("no answer for %.0f s: the rows wait for a limit: %s", silent, limit)
        if silent > IN_VAIN:
            self.stop(f"nothing but limits for {IN_VAIN / 60:.0f} minutes: {limit}")

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()


def feed(source: Source, orders: Orders, config: Config, done: Ids | None) -> Generator[Row | None, None, None]:
    """The rows still to be sent, in order; now and then `None`, to let others have the loop. Raises `BatchError`."""
    names, index, number = Names(), -1, -1
    mine, among = orders.share
    for place, fields in source.lines():
        try:
            if isinstance(fields, str):
                raise RowError(fields)
            index += 1
            if index % AT_ONCE == AT_ONCE - 1:
                yield None
            id = names.name(fields)  # noqa: A001
            if done is not None and id in done:
                continue
            number += 1
            if orders.limit is not None and number >= orders.limit:
                return
            if number % among == mine:
                yield Row.of(index, id, fields, orders.options, config)
        except RowError as error:
            raise BatchError(f"{source.name}: has changed since it was read: line {place}: {error}") from None


async def count_done(source: Source, done: Ids) -> int:
    """How many rows of an input are done."""
    names, count = Names(), 0
    for number, (_, fields) in enumerate(source.lines()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if isinstance(fields, dict):
            count += names.name(fields) in done
    return count
