"""Reads the JSON documents in a body: one, or those of a list.

A vendor's document is a whole answer. A list holds the events of a stream that was written without the form of events,
as Google writes it unless it is asked for events. Characters that were cut in two are put together, also over two
documents of a list.
"""

from __future__ import annotations

from contextlib import suppress

import orjson

from asyncrouter._wire.decoding.surrogates import HalfCharacters, read_mended


def read_documents(body: bytes | bytearray) -> list[object] | None:
    """The documents, of which any may be no object; `None` for a body that is no JSON."""
    read: object = None
    with suppress(ValueError):
        read = orjson.loads(body)
        if read is None:
            return [None]
    if read is None:
        if body.startswith(b"[") and (listed := HalfCharacters().listed(body)) is not None:
            return list(listed)
        if (read := read_mended(body)) is None:
            return None
    return read if isinstance(read, list) and read else [read]
