"""Reads the JSON documents in a body: one, those of a list, or one a line.

A vendor's document is a whole answer. A list, or a line each, are the events of a stream that was written without the
form of events: Google writes a list unless it is asked for events, and some servers write lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter._wire.decoding.surrogates import HalfCharacters, read_mended

if TYPE_CHECKING:
    from asyncrouter._types import Message

_END: Final = b"[DONE]"
"""The mark that ends a stream of Chat Completions, among lines too."""


def read_documents(body: bytes) -> list[object] | None:
    """The documents, of which any may be no object; `None` for a body that is no JSON."""
    try:
        read: object = orjson.loads(body)
    except ValueError:
        found = HalfCharacters().listed(body) if body.startswith(b"[") else _lines(body)
        if found is not None:
            return list(found)
        if (read := read_mended(body)) is None:
            return None
    return read if isinstance(read, list) and read else [read]


def _lines(body: bytes) -> list[Message] | None:
    """The objects that stand one a line; `None` where they do not."""
    lines = [line for line in body.splitlines() if line and not line.isspace()]
    if len(lines) < 2 or not lines[0].lstrip().startswith(b"{"):
        return None
    halves = HalfCharacters()
    found: list[Message] = []
    for line in lines:
        documents = halves.documents(_object(line), line)
        if not documents and line.strip() != _END:
            return None
        found += documents
    return [*found, *halves.flush()]


def _object(line: bytes) -> Message | None:
    try:
        read: object = orjson.loads(line)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
