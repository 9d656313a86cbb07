"""Asks rows through a router until each has its result: the window, the rows that wait to be asked again, the probes.

Theory of operation. The owner gives new rows by `take` and hears what became of each by `answered` or `failed`, once.
A row is in one of three places: in flight, in a worker of the pool; waiting, in the heap `_waiting`, ordered by when it
is due; or with its owner. A worker takes the next row by this order: while nobody answers (`Availability.down`) one
probe when it is due, and else nothing; then a waiting row that is due; then a new one, unless too many wait. A worker
that finds nothing ends; the timer of the next due row, and every answer after which more may be asked, wake the pool.

How many rows may be in flight: `Window.size`, and those beside that only stand in the queue of a limit inside the
router. They are no load on any server, so they neither fill the window nor hold up rows of other models. Their number
comes from `Router.health`, twenty times a second while the window is full.

A failure that says that nobody could have answered the row (a key, an account, a model that is not there) may be the
row's or everybody's. With `keep_unusable` such rows are kept back: the next answer makes them failures of their own,
and a job that stops before that has no result for them.

Stopping drops the rows that wait here, and those in flight that have no request on the wire: as queues inside the
router are served in order, these are the ones that were begun last.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import CallError, Reply, RouterClosed
from asyncrouter.batch._accept import AcceptFailed
from asyncrouter.batch._availability import Availability, Past
from asyncrouter.batch._failure import is_access, is_only_disabled, kind_of, was_sent
from asyncrouter.batch._tally import provider_seconds
from asyncrouter.batch._timeouts import BatchTimeouts
from asyncrouter.batch._waiting_rows import WaitingRows
from asyncrouter.batch._window import Window
from asyncrouter.batch._worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from asyncrouter import Embeddings, Router
    from asyncrouter.batch._failure import Kind
    from asyncrouter.batch._rows import Row

MAX_WAITING = 2048
"""Rows that wait to be asked again, beyond which no new ones are taken: memory stays bounded."""
POLL_SECONDS = 0.05
"""Seconds between two looks at the queues inside the router."""
PAUSING = 0.2
"""The share of the rows in flight that pause before a retry from which on the window learns nothing: the server turns
requests down, and of those that are answered soon nothing follows for more of them."""
CHARACTERS_PER_TOKEN = 4.0
"""Characters of an answer that count as one token where its usage is not known."""
CALL_TOKENS = 16.0
"""What a call costs a server beside its answer, in tokens of it: with answers of a word that is most of it."""


class Item(NamedTuple):
    """A row that is asked now, its past, and whether it is a probe."""

    row: Row
    past: Past | None = None
    probe: bool = False


class Asker:
    """Asks the rows that `take` gives, until it gives `None` and every row has its result.

    `options` are the arguments of `Router.chat` for all rows. `answered` gets the seconds that the provider took, and
    may raise for an answer that cannot be used:
    the row fails of that. `again` is called with the error of each call after which its row is asked again. `may_begin`
    says before each row whether it may be begun; when it may not, its worker ends. Raises `ValueError` for a
    `concurrency` below 1.
    """

    def __init__(
        self, router: Router, options: dict[str, object], concurrency: int, random: Random, *,
        take: Callable[[], Awaitable[Row | None]], answered: Callable[[Row, Reply | Embeddings, float], None],
        failed: Callable[[Row, Exception], None], again: Callable[[Exception], None] = lambda error: None,
        may_begin: Callable[[], bool] = lambda: True, keep_unusable: bool = False,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency: expected at least 1, got {concurrency}")
        self.heard_at = asyncio.get_running_loop().time()
        """When the last answer came, or there was nothing to wait for."""
        self.last_error: Exception | None = None
        """Why the last call failed whose row is asked again; `None` after an answer."""
        self.unusable_in_a_row = 0
        """Failures, since the last answer, that say that nobody could have answered."""
        self.kept_back: list[tuple[Row, Exception]] = []
        """Rows whose failure may be everybody's."""
        self.availability = Availability(random)
        self._router = router
        self._options = options
        self._take, self._answered, self._failed, self._again = take, answered, failed, again
        self._may_begin, self._keep_unusable = may_begin, keep_unusable
        self._loop = asyncio.get_running_loop()
        self._timeouts = BatchTimeouts(router)
        self._common: dict[str, object] | None = None
        self.window = Window(concurrency)
        self._queued = 0
        self._pausing = False
        self._waiting = WaitingRows()
        self._more = True
        self._giving_up = self._stopped = False
        self._begun: dict[asyncio.Task[object] | None, bool] = {}  # in the order of their beginning: has own choice
        self._answered_by: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._poller: asyncio.TimerHandle | None = None
        self.pool: WorkerPool[Item] = WorkerPool(
            self._size, self._next, self._ask, self._expected,
            lambda: bool(self._waiting) or (self.availability.down and self._more),
        )
        self._poll()

    def __repr__(self) -> str:
        return f"<Asker {self.pool!r}, {len(self._waiting)} waiting, {self.availability!r}>"

    @property
    def in_flight(self) -> int:
        """Rows that are being asked, or wait to be asked again."""
        return self.pool.in_flight + len(self._waiting)

    async def run(self) -> None:
        """Run until every row has its result, or until stopped. Raises `RouterClosed`, and what `take` raises."""
        try:
            await self.pool.wait()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Cancel what is in flight."""
        for timer in (self._timer, self._poller):
            if timer is not None:
                timer.cancel()
        await self.pool.aclose()

    def stop(self) -> None:
        """Begin no more rows, and drop those that wait; those whose request is on the wire are finished."""
        self._stopped = True
        self._waiting.take_all()
        self.pool.stop()
        self._drop_queued()

    def _drop_queued(self) -> None:
        requests = self.requests()
        queued = len(self._begun) - requests
        if queued > 0 and (requests == 0 or not any(self._begun.values())):
            for task in list(self._begun)[-queued:]:
                if task is not None:
                    task.cancel()

    def give_up(self) -> None:
        """Let every row that waits, or fails from now on until the next answer, fail of its last error."""
        self._giving_up = True
        for each in self._waiting.take_all():
            self._failed(each.row, each.error)
        self.availability.down = False
        self.pool.wake()

    def requests(self) -> int:
        """How many requests of this router are on the wire."""
        return sum(model.in_flight for model in self._router.health().values())

    # Which row is next.

    def _size(self) -> int:
        return min(self.window.most, self.window.size + self._queued)

    def _expected(self) -> int:
        """About how many rows could be begun now."""
        if self.availability.down:
            return 1
        return self.window.most if self._more else len(self._waiting)

    async def _next(self) -> Item | None:
        if not self._may_begin():
            return None
        if self.availability.down and (self._more or not self._waiting.are_suspects()):
            return await self._next_probe()
        if self._waiting:
            if self._waiting.due <= self._loop.time():
                each = self._waiting.take_first()
                return Item(each.row, each.past)
            self._set_timer(self._waiting.due)
            if len(self._waiting) >= MAX_WAITING:
                return None
        row = await self._take() if self._more else None
        return None if row is None else Item(row)

    async def _next_probe(self) -> Item | None:
        """The row to probe with, if a probe is due: one that has failed by itself only if there is no other."""
        if self.availability.probing:
            return None
        if self.availability.probe_at > self._loop.time():
            self._set_timer(self.availability.probe_at)
            return None
        self.availability.probing = True
        best = self._waiting.probe()
        if (best is None or best.past.is_suspect) and self._more:
            try:
                new = await self._take()
            except BaseException:
                self.availability.probing = False
                raise
            if new is not None:
                return Item(new, None, probe=True)
        if best is None:
            self.availability.probing = False
            return None
        self._waiting.remove(best)
        return Item(best.row, best.past, probe=True)

    def no_more(self) -> None:
        """Note that `take` will give no more rows."""
        self._more = False

    def _set_timer(self, at: float) -> None:
        timer = self._timer
        if timer is not None and self._loop.time() < timer.when() <= at and not timer.cancelled():
            return
        if timer is not None:
            timer.cancel()
        self._timer = self._loop.call_at(at, self.pool.wake)

    # What becomes of it.

    async def _ask(self, item: Item) -> None:
        row, past = item.row, item.past
        if self.pool.in_flight == 1 and not self._waiting:
            self.heard_at = self._loop.time()
        task, epoch = asyncio.current_task(), self.window.epoch
        self._begun[task] = row.options is not self._options
        try:
            options = self._with_timeouts(row, past)
            reply = await row.ask(self._router, options)
        except RouterClosed:
            raise
        except Exception as error:  # one bad row is no reason to lose the others
            self._note_failure(row, past or Past(), error, epoch, probe=item.probe)
        else:
            self._note_answer(row, reply, epoch)
        finally:
            del self._begun[task]

    def _with_timeouts(self, row: Row, past: Past | None) -> dict[str, object]:
        doublings = 0 if past is None else past.timeouts
        if row.options is not self._options or doublings:
            return {**row.options, **self._timeouts.of(row.options, doublings)}
        if self._common is None:
            self._common = {**self._options, **self._timeouts.of(self._options)}
            self.window.timeout = self._timeouts.seconds(self._options)
        return self._common

    def _note_answer(self, row: Row, reply: Reply | Embeddings, epoch: int) -> None:
        now = self._loop.time()
        usage, trace = reply.usage, reply.trace
        if usage is not None:
            tokens = float(usage.output_tokens)
        else:
            tokens = len(reply.text) / CHARACTERS_PER_TOKEN if isinstance(reply, Reply) else 0.0
        full = self.pool.in_flight - self._queued >= self.window.size and not self._pausing
        seconds = provider_seconds(trace)
        self.window.answered(epoch, seconds, tokens + CALL_TOKENS, full=full)
        self.heard_at = now
        self.last_error = None
        self._giving_up = False
        self._answered_by.add(reply.model)
        if self.availability.answered():
            self.availability.probing = False
            self._waiting.hasten(now)
            self.pool.wake()
        if self.unusable_in_a_row:
            self.unusable_in_a_row = 0
            self.fail_kept_back()
        try:
            self._answered(row, reply, seconds)
        except Exception as error:  # an answer that cannot be kept
            self._failed(row, error)

    def _note_failure(self, row: Row, past: Past, error: Exception, epoch: int, *, probe: bool) -> None:
        kind = kind_of(error)
        if kind == "unusable" and is_only_disabled(error, self._answered_by):
            kind = "outage"  # a model that has answered is not there for a while
        if probe:
            self.availability.probing = False
        if kind == "timeout":
            self.window.timed_out(epoch, self._loop.time(), _seconds(error))
        if kind == "own" and not self.availability.answers and is_access(error):
            kind = "unusable"  # it may be everybody's, which the first answer will tell
        if kind == "own":
            self._failed(row, error)
        elif kind == "unusable":
            self._note_unusable(row, error)
        elif self._stopped:
            self._again(error)  # the next run asks it
        elif self._giving_up or self.availability.failed(self._loop.time(), kind, past, probe=probe) == "final":
            self._failed(row, error)
        else:
            self._ask_again(row, past, error, kind)
        if self.availability.down and not self.availability.probing:
            self._set_timer(self.availability.probe_at)

    def _ask_again(self, row: Row, past: Past, error: Exception, kind: Kind) -> None:
        self.last_error = error
        self._again(error)
        retry_after = error.retry_after if isinstance(error, CallError) else None
        due = self._loop.time() + self.availability.pause(kind, past, retry_after)
        self._waiting.add(due, row, past, error)

    def _note_unusable(self, row: Row, error: Exception) -> None:
        self.unusable_in_a_row += 1
        if self._keep_unusable and not isinstance(error, AcceptFailed):
            self.kept_back.append((row, error))
        else:
            self._failed(row, error)

    def fail_kept_back(self) -> None:
        """Let the rows that were kept back fail: it was their own fault."""
        kept, self.kept_back = self.kept_back, []
        for row, error in kept:
            if was_sent(error):
                self._failed(row, error)
            else:  # it was only held back with the others
                self._ask_again(row, Past(), error, "outage")

    # The queues inside the router.

    def _poll(self) -> None:
        """Look how many rows only queue for a limit."""
        self._poller = self._loop.call_later(POLL_SECONDS, self._poll)
        if self._stopped:
            self._drop_queued()
        if self.pool.in_flight < self.window.size and not self._queued:
            return
        models, in_flight = self._router.health().values(), self.pool.in_flight
        self._queued = min(sum(model.waiting for model in models), in_flight)
        idle = in_flight - self._queued - sum(model.in_flight for model in models)
        self._pausing = idle > PAUSING * in_flight
        if self._queued:
            self.pool.wake()


def _seconds(error: Exception) -> float:
    return error.trace.seconds if isinstance(error, CallError) else 0.0
