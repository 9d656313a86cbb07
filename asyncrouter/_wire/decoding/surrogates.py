"""Reads JSON that strict readers refuse: with a character cut in two, UTF-16's halves of it each an escape of its own.

A server that sends one token at a time may put the halves of an emoji into two events. Neither is a character, and
strict readers refuse both. Here the first half is held back until the next event brings the second; a half that stays
alone becomes U+FFFD, as everywhere in Unicode. Beside them `NaN` and `Infinity` are read, as null.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter._wire.json_text import MAX_ARGUMENTS

if TYPE_CHECKING:
    from asyncrouter._types import Message

_ESCAPED_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_NUMBER: Final = re.compile(rb"\bNaN\b|\bInfinity\b")
"""Matches what Python writes for numbers that JSON does not have, such as the logarithm of no probability."""
_FIRST_HALF: Final = re.compile("[\ud800-\udbff]\\Z")
_ENDS: Final = re.compile(rb'"(?:finish_reason|stop_reason|finishReason)":\s*"')
"""Matches an event that ends its answer: no second half comes after it."""

_MARKS: Final = frozenset({"index", "type", "item_id", "output_index", "content_index"})
"""The fields that say where in an answer a piece belongs."""

_LONGEST: Final = 1 << 21
"""Bytes of a document up to which it is mended: no token is as long, and the lenient reader takes its time."""
_DEEPEST: Final = 32
"""Levels of nesting down to which halves are looked for; answers have no more."""

Path = tuple[str | int, ...]


def read_mended(data: bytes | bytearray) -> object:
    """The document in `data`, lone halves as U+FFFD; `None` if it is no JSON for other reasons."""
    return HalfCharacters().mended(_lenient(data))


def is_json(text: str) -> bool:
    """Whether a text is whole JSON, and no longer than arguments are; lone halves of characters do not matter."""
    if len(text) > MAX_ARGUMENTS:
        return False
    try:
        orjson.loads(text)
    except ValueError:
        data = text.encode("utf-8", "replace")
        return _ESCAPED_HALF.search(data) is not None and read_mended(data) is not None
    return True


class HalfCharacters:
    """Reads the events of one stream that hold halves, and keeps the first half of a character for the next event."""

    __slots__ = ("_carrier", "_half", "_path")

    def __init__(self) -> None:
        self._half = ""
        self._path: Path = ()
        self._carrier: Message = {}  # an event that would bring the half alone

    def __repr__(self) -> str:
        return f"<HalfCharacters {'one waits' if self._half else 'none waits'}>"

    def documents(self, document: Message | None, data: bytes) -> list[Message]:
        """What an event brings, in order: U+FFFD for a half that it does not continue, and its own document.

        `document` is the event's, if a strict reader can read its `data`; nothing comes of data that nobody can read.
        """
        if document is not None:
            return self._continued(document, strict=True, last=False)
        read = _lenient(data)
        return self._continued(read, strict=False, last=_is_last(data)) if isinstance(read, dict) else []

    def listed(self, data: bytes | bytearray) -> list[Message] | None:
        """The same for a list of documents in which halves are; `None` if it is none."""
        read = _lenient(data)
        if not isinstance(read, list) or not all(isinstance(item, dict) for item in read):
            return None
        last = [_is_last(json.dumps(item).encode()) for item in read]
        found = [self._continued(item, strict=False, last=end) for item, end in zip(read, last, strict=True)]
        return [*chain.from_iterable(found), *self.flush()]

    def flush(self) -> list[Message]:
        """An event that brings U+FFFD where a half was found that nothing continues; none if there is no such half."""
        found = [self._carrier] if self._half else []
        self._half = ""
        return found

    def mended(self, document: object) -> object:
        """A whole document, whose halves nothing continues."""
        return self._mended(document, (), None)

    def _continued(self, document: Message, *, strict: bool, last: bool) -> list[Message]:
        """What a document brings; `strict`: there are no halves in it, `last`: no second half comes after it."""
        found: list[Message] = []
        if self._half and document.get("type") != "ping":
            if isinstance(_at(document, self._path), str):
                self._join(document, mend=strict)
            else:
                found = self.flush()
        if not strict:
            mended = self._mended(document, (), document if not (self._half or last) else None)
            assert isinstance(mended, dict)
            document = mended
        return [*found, document]

    def _join(self, document: Message, *, mend: bool) -> None:
        """Put the half before the text that continues it; if it is not the other half, U+FFFD will stand there."""
        holder, key = _at(document, self._path[:-1]), self._path[-1]
        text = self._half + holder[key]  # type: ignore[index]  # a text was found there
        holder[key] = _characters(text) if mend else text  # type: ignore[index]
        self._half = ""

    def _mended(self, value: object, path: Path, document: Message | None) -> object:
        """The value without lone halves; with `document`, a first half at the end of a text is kept back."""
        if len(path) > _DEEPEST:
            return None
        if isinstance(value, dict):
            return {_characters(key): self._mended(inner, (*path, key), document) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._mended(inner, (*path, index), document) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        if document is not None and not self._half and _FIRST_HALF.search(value):
            self._half, self._path = value[-1], path
            self._carrier = _carrier(document, path)
            value = value[:-1]
        return _characters(value)


def _lenient(data: bytes | bytearray) -> object:
    """The document, with lone halves in it; `None` if a strict reader cannot read it for another reason."""
    if len(data) > _LONGEST or (_ESCAPED_HALF.search(data) is None and _NO_NUMBER.search(data) is None):
        return None
    try:
        return json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _is_last(data: bytes) -> bool:
    """Whether these are the data of an event that ends its answer."""
    return _ENDS.search(data) is not None


def _characters(text: str) -> str:
    """The text with halves that stand side by side joined, and the others replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _at(value: object, path: Path) -> object:
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _carrier(value: object, path: Path) -> Message:
    """The document with nothing in it but U+FFFD at the path, and what says where in the answer it belongs."""
    built: object = "\ufffd"
    for depth in range(len(path) - 1, -1, -1):
        key, holder = path[depth], _at(value, path[:depth])
        if isinstance(holder, dict):
            marks: Message = {name: holder[name] for name in _MARKS & holder.keys()}
            built = {**marks, str(key): built}
        else:
            built = [built]
    assert isinstance(built, dict)
    return built
