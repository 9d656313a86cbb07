"""Reads a JSON object with one long list element by element, in the memory of its longest element.

OpenRouter's batches, and Gemini's small ones, hold their results inline. Five thousand long answers are 100 MB and
more: such a body is neither kept nor parsed whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE: Final = 1 << 16
"""Bytes that are read at once."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+("?)|[{}\[\]]', re.DOTALL)
"""What opens and closes, or a string; its group is empty where its end is still to come."""
_MARGIN: Final = 200
"""Bytes of the body before a piece in which the list's name may begin."""


class ListReader:
    """Takes a body apart: `feed` gives the objects in the list of this name, `rest` is everything else.

    Names of lists cannot be mistaken in a text: its quotation marks are escaped.
    """

    __slots__ = ("_at", "_buffer", "_depth", "_first", "_head", "_opening", "_tail")

    def __init__(self, name: str) -> None:
        self._opening = re.compile(rb'"%b"\s*:\s*\[' % name.encode())
        self._head: bytes | None = None  # up to the list's beginning; `None` before it has come
        self._tail: bytes | None = None  # from its end on
        self._first = b""
        self._buffer = b""
        self._at = 0  # where the next token of the buffer is looked for
        self._depth = 0

    def __repr__(self) -> str:
        state = "before" if self._head is None else "in" if self._tail is None else "after"
        return f"<ListReader {state} the list>"

    def feed(self, data: bytes) -> list[bytes]:
        """Take in a piece of the body; the objects of the list that are whole now."""
        if self._tail is not None:
            self._tail += data
            return []
        before, self._buffer = len(self._buffer), self._buffer + data
        if self._head is None:
            found = self._opening.search(self._buffer, max(0, before - _MARGIN))
            if found is None:
                return []
            self._head, self._buffer, self._at = self._buffer[: found.end()], self._buffer[found.end() :], 0
        elements = self._scan(self._buffer)
        self._first = self._first or next(iter(elements), b"")
        return elements

    def rest(self) -> bytes:
        """The body with the first of the objects alone: whether there are any can still be seen."""
        if self._head is None:
            return self._buffer
        return self._head + self._first + (b"" if self._tail is None else self._tail)

    def _scan(self, buffer: bytes) -> list[bytes]:
        elements: list[bytes] = []
        begin, end = 0, self._at
        for token in _TOKEN.finditer(buffer, self._at):
            kind = token[0]
            if token[1] == b"":
                break  # the string goes on in the next piece
            end = token.end()
            if kind in b"{[":
                if self._depth == 0:
                    begin = token.start()
                self._depth += 1
            elif kind in b"}]":
                self._depth -= 1
                if self._depth < 0:
                    self._tail, self._buffer = buffer[token.start() :], b""
                    return elements
                if self._depth == 0:
                    elements.append(buffer[begin:end])
                    begin = end
        if self._depth == 0:
            begin = end
        self._buffer, self._at = buffer[begin:], end - begin
        return elements


def read_list(path: Path, name: str) -> Iterator[dict[str, object]]:
    """The objects in the list of this name in a file. Raises `ValueError` for a file that is cut."""
    reader = ListReader(name)
    with path.open("rb") as file:
        while data := file.read(PIECE):
            for element in reader.feed(data):
                record: object = orjson.loads(element)
                if isinstance(record, dict):
                    yield record
    orjson.loads(reader.rest())
