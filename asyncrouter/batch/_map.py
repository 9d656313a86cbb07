"""`batch.map`: any stream of calls through a router, the results as they finish.

Worker tasks take calls from the caller's iterable and put results into a queue that the caller's `async for` empties.
Both ends are bounded: while `concurrency` results are ready no worker takes another call. So a reader that stops
reading stops the calls, and an iterable without end takes no more memory the longer it runs.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from asyncrouter import Embeddings
from asyncrouter.batch._asker import Asker
from asyncrouter.batch._patience import PATIENCE, Patience
from asyncrouter.batch._preflight import steps_for_all
from asyncrouter.batch._rows import Id, Row, RowError, fields_of

if TYPE_CHECKING:
    from asyncrouter import Reply, Router

Prompt = str | Sequence[Mapping[str, object]]
Item = Prompt | tuple[Id, Prompt] | Mapping[str, object]
"""A call: a prompt, a pair of an id and a prompt, or a row."""
_END = object()
"""Stands for the next call where there is none."""


async def map(  # noqa: A001  # it is `batch.map`, and means what `map` means
    router: Router, calls: Iterable[Item] | AsyncIterable[Item], *, concurrency: int = 1024,
    patience: float = PATIENCE, **options: object,
) -> AsyncIterator[tuple[Id, Reply | Exception]]:
    """Yield the id and the result of each call as it finishes; a failed call's result is its exception.

    `async for id, result in batch.map(router, prompts, task="fast"): …`

    `calls` is any iterable or async iterable, also one without end. A call is a prompt, a list of messages, a pair of
    an id and one of these, or a row as in a file (`{"id": …, "prompt": …, "task": …}`); without an id it is its number,
    from 0. As many calls are in flight as the server answers best with, found by trying: 16 at first, `concurrency` at
    most, and as many results wait to be taken.

    A call that meets a limit, an outage, a timeout or a server that fails is made again, as in `run`; its result is an
    exception when it failed of its own fault, seven times while others were answered, or when nobody has answered for
    `patience` seconds. Timeouts are those of `run`, too.

    `options` are those of `Router.chat`; what a row says itself goes before them. The priority is "batch" unless they
    say otherwise. Leaving the loop early cancels the calls in flight when the generator is closed; to close it at once,
    use `contextlib.aclosing`.

    Raises `TypeError` when `calls` is a single call, `ConfigError` for options no call could have, `ValueError` for a
    `concurrency` below 1, `RouterClosed`, and whatever `calls` raises, once the results of the calls before that have
    been yielded.
    """
    if isinstance(calls, str | bytes | Mapping):
        raise TypeError(f"calls: expected an iterable of calls, got one {type(calls).__name__}: put it into a list")
    steps_for_all(router, options)
    mapping = _Mapping(router, calls, concurrency, {"priority": "batch", **options})
    asker = mapping.asker
    watch = Patience(asker, router, patience, lambda reason: asker.give_up())
    asker.pool.when_ended(mapping.changed.set)
    try:
        while True:
            while mapping.ready:
                yield mapping.next_result()
            if asker.pool.ended:
                break
            mapping.changed.clear()
            await mapping.changed.wait()
        await asker.pool.wait()
    finally:
        watch.close()
        await asker.aclose()


class _Mapping:
    """What the workers and the reader of the results share. `changed` is set when there may be something to yield."""

    def __init__(
        self, router: Router, calls: Iterable[Item] | AsyncIterable[Item], max_ready: int, options: dict[str, object]
    ) -> None:
        self.ready: deque[tuple[Id, Reply | Exception]] = deque()
        self.changed = asyncio.Event()
        self._options = options
        self._max_ready = max_ready
        self._room = asyncio.Event()
        self._source_lock = asyncio.Lock()
        self._source = aiter(calls) if isinstance(calls, AsyncIterable) else iter(calls)
        self._count = 0
        self.asker = Asker(
            router, options, max_ready, random.Random(), take=self._take,
            answered=lambda row, reply, seconds: self._put(row, reply), failed=self._put,
        )

    def next_result(self) -> tuple[Id, Reply | Exception]:
        """Take out a result, which makes room for another."""
        self._room.set()
        return self.ready.popleft()

    async def _take(self) -> Row | None:
        """The next call that can be made, once there is room for results; `None` after the last one."""
        while True:
            while len(self.ready) >= self._max_ready:
                self._room.clear()
                await self._room.wait()
            item = await self._next_item()
            if item is _END:
                self.asker.no_more()
                return None
            number, self._count = self._count, self._count + 1
            id, fields = _id_and_fields(number, item)  # type: ignore[arg-type]  # noqa: A001  # not the end; as the field
            try:
                row = Row.of(number, id, fields, self._options)
                if row.embeds:
                    raise RowError("a row for embeddings is for batch.run; here use router.embed")
                return row
            except Exception as error:  # it is no call: that is its result
                self._put_result(id, error)

    def _put(self, row: Row, result: Reply | Embeddings | Exception) -> None:
        assert not isinstance(result, Embeddings)
        self._put_result(row.id, result)

    def _put_result(self, id: Id, result: Reply | Exception) -> None:  # noqa: A002  # as the field
        self.ready.append((id, result))
        self.changed.set()

    async def _next_item(self) -> object:
        if isinstance(self._source, Iterator):
            return next(self._source, _END)
        async with self._source_lock:  # an async generator raises when it is asked again before it has answered
            return await anext(self._source, _END)


def _id_and_fields(number: int, item: Item) -> tuple[Id, Mapping[str, object]]:
    """A call's id, its number where it has none, and its fields as those of a row."""
    if isinstance(item, Mapping):
        given = item.get("custom_id", item.get("id"))
        return given if isinstance(given, str | int) else number, item
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str | int):
        return item[0], fields_of(item[1])
    return number, fields_of(item)
