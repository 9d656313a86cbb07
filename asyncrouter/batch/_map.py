"""Any stream of calls through a router, so many at once; the results as they finish."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from asyncrouter import Reply, RouterClosed
from asyncrouter.batch._rows import Id, Row, fields_of
from asyncrouter.batch._survey import steps_for_all
from asyncrouter.batch._window import Window

if TYPE_CHECKING:
    from asyncrouter import Router

Prompt = str | Sequence[Mapping[str, object]]
Item = Prompt | tuple[Id, Prompt] | Mapping[str, object]
_END = object()


async def map(  # noqa: A001  # it is `batch.map`, and means what `map` means
    router: Router, calls: Iterable[Item] | AsyncIterable[Item], *, concurrency: int = 64, **options: object
) -> AsyncIterator[tuple[Id, Reply | Exception]]:
    """The results of `calls` as they finish: `async for id, result in batch.map(router, calls, task="fast"): …`.

    A call is a prompt, messages, a pair of an id and one of these, or a row as in a file (`{"id": …, "prompt": …,
    "task": …}`); without an id it is its number, from 0. `calls` may be any iterable or async iterable, also one
    without end: at most `concurrency` are on their way, and as many results wait to be taken. It begins with a few and
    doubles as answers come.

    A failure is a value: the error instead of the reply. `options` are those of `Router.chat`, under what a row says
    itself; priority is "batch" unless they say otherwise. Raises `ConfigError` for options that no call could be made
    with, what `calls` raises, once the calls before it have been handed over, and `RouterClosed`. Leaving early cancels
    what is on its way (at once, with `contextlib.aclosing`).
    """
    if isinstance(calls, str | bytes | Mapping):
        raise TypeError(f"calls: expected an iterable of calls, got one {type(calls).__name__}: put it into a list")
    steps_for_all(router, options)
    mapping = _Mapping(router, calls, concurrency, options)
    window = Window(concurrency, mapping.take, mapping.ask)
    window.when_over(mapping.something_new.set)
    try:
        while True:
            while mapping.ready:
                yield mapping.next_ready()
            if window.over:
                break
            mapping.something_new.clear()
            await mapping.something_new.wait()
        await window.wait()
    finally:
        await window.aclose()


class _Mapping:
    """Between the calls, the workers and the reader of the results."""

    def __init__(
        self, router: Router, calls: Iterable[Item] | AsyncIterable[Item], most: int, options: dict[str, object]
    ) -> None:
        self.ready: deque[tuple[Id, Reply | Exception]] = deque()
        self.something_new = asyncio.Event()
        self._router = router
        self._options: dict[str, object] = {"priority": "batch", **options}
        self._most = most
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()
        self._source = aiter(calls) if isinstance(calls, AsyncIterable) else iter(calls)
        self._count = 0

    def next_ready(self) -> tuple[Id, Reply | Exception]:
        """A result, which makes room for one more."""
        self._room.set()
        return self.ready.popleft()

    async def take(self) -> tuple[int, Item] | None:
        """The next call, as soon as there is room for its result."""
        while len(self.ready) >= self._most:
            self._room.clear()
            await self._room.wait()
        item = await self._next()
        if item is _END:
            return None
        self._count += 1
        return self._count - 1, item  # type: ignore[return-value]  # it is not the end, so it is an item

    async def ask(self, numbered: tuple[int, Item]) -> bool:
        """Make a call; its result, or its error, is ready then."""
        number, item = numbered
        id, fields = _fields(number, item)  # noqa: A001
        result: Reply | Exception
        try:
            row = Row.of(number, id, fields, self._options)
            result = await self._router.chat(row.prompt, **row.options)  # type: ignore[arg-type]  # checked by chat
        except RouterClosed:
            raise
        except Exception as error:  # a failure is a value
            result = error
        self.ready.append((id, result))
        self.something_new.set()
        return isinstance(result, Reply)

    async def _next(self) -> object:
        if isinstance(self._source, Iterator):
            return next(self._source, _END)
        async with self._turn:  # an async generator cannot be asked twice at a time
            return await anext(self._source, _END)


def _fields(number: int, item: Item) -> tuple[Id, Mapping[str, object]]:
    """An id for a call, and its row."""
    if isinstance(item, Mapping):
        given = item.get("custom_id", item.get("id"))
        return given if isinstance(given, str | int) else number, item
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str | int):
        return item[0], fields_of(item[1])
    return number, fields_of(item)
