"""`batch.map`: any stream of calls through a router, the results as they finish.

Worker tasks take calls from the caller's iterable and put results into a queue that the caller's `async for` empties.
Both ends are bounded: while `concurrency` results are ready no worker takes another call. So a reader that stops
reading stops the calls, and an iterable without end takes no more memory the longer it runs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from asyncrouter import Reply, RouterClosed
from asyncrouter.batch._preflight import steps_for_all
from asyncrouter.batch._rows import Id, Row, fields_of
from asyncrouter.batch._worker_pool import WorkerPool

if TYPE_CHECKING:
    from asyncrouter import Router

Prompt = str | Sequence[Mapping[str, object]]
Item = Prompt | tuple[Id, Prompt] | Mapping[str, object]
"""A call: a prompt, a pair of an id and a prompt, or a row."""
_END = object()
"""Stands for the next call where there is none."""


async def map(  # noqa: A001  # it is `batch.map`, and means what `map` means
    router: Router, calls: Iterable[Item] | AsyncIterable[Item], *, concurrency: int = 64, **options: object
) -> AsyncIterator[tuple[Id, Reply | Exception]]:
    """Yield the id and the result of each call as it finishes; a failed call's result is its exception.

    `async for id, result in batch.map(router, prompts, task="fast"): …`

    `calls` is any iterable or async iterable, also one without end. A call is a prompt, a list of messages, a pair of
    an id and one of these, or a row as in a file (`{"id": …, "prompt": …, "task": …}`); without an id it is its number,
    from 0. At most `concurrency` calls are in flight, and as many results wait to be taken; the first 8 begin at once,
    and each success adds one.

    `options` are those of `Router.chat`; what a row says itself goes before them. The priority is "batch" unless they
    say otherwise. Leaving the loop early cancels the calls in flight when the generator is closed; to close it at once,
    use `contextlib.aclosing`.

    Raises `TypeError` when `calls` is a single call, `ConfigError` for options no call could have, `RouterClosed`, and
    whatever `calls` raises, once the results of the calls before that have been yielded.
    """
    if isinstance(calls, str | bytes | Mapping):
        raise TypeError(f"calls: expected an iterable of calls, got one {type(calls).__name__}: put it into a list")
    steps_for_all(router, options)
    mapping = _Mapping(router, calls, concurrency, options)
    pool = WorkerPool(concurrency, mapping.next_call, mapping.make_call)
    pool.when_ended(mapping.changed.set)
    try:
        while True:
            while mapping.ready:
                yield mapping.next_result()
            if pool.ended:
                break
            mapping.changed.clear()
            await mapping.changed.wait()
        await pool.wait()
    finally:
        await pool.aclose()


class _Mapping:
    """What the workers and the reader of the results share. `changed` is set when there may be something to yield."""

    def __init__(
        self, router: Router, calls: Iterable[Item] | AsyncIterable[Item], max_ready: int, options: dict[str, object]
    ) -> None:
        self.ready: deque[tuple[Id, Reply | Exception]] = deque()
        self.changed = asyncio.Event()
        self._router = router
        self._options: dict[str, object] = {"priority": "batch", **options}
        self._max_ready = max_ready
        self._room = asyncio.Event()
        self._source_lock = asyncio.Lock()
        self._source = aiter(calls) if isinstance(calls, AsyncIterable) else iter(calls)
        self._count = 0

    def next_result(self) -> tuple[Id, Reply | Exception]:
        """Take out a result, which makes room for another."""
        self._room.set()
        return self.ready.popleft()

    async def next_call(self) -> tuple[int, Item] | None:
        """The next call with its number, once there is room for results; `None` after the last one."""
        while len(self.ready) >= self._max_ready:
            self._room.clear()
            await self._room.wait()
        item = await self._next_item()
        if item is _END:
            return None
        self._count += 1
        return self._count - 1, item  # type: ignore[return-value]  # it is not the end, so it is an item

    async def make_call(self, numbered: tuple[int, Item]) -> bool:
        """Make a call and put its result into the queue; whether it succeeded."""
        number, item = numbered
        id, fields = _id_and_fields(number, item)  # noqa: A001  # as the field
        result: Reply | Exception
        try:
            row = Row.of(number, id, fields, self._options)
            result = await self._router.chat(row.prompt, **row.options)  # type: ignore[arg-type]  # checked by chat
        except RouterClosed:
            raise
        except Exception as error:  # the result of a failed call is its exception
            result = error
        self.ready.append((id, result))
        self.changed.set()
        return isinstance(result, Reply)

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
