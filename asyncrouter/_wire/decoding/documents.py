"""Reads the JSON documents in a body: one, or those of a list; and the one in an event.

A vendor's document is a whole answer; some gateways write `data: [DONE]` after it. A list holds the events of a stream
that was written without the form of events, as Google writes it unless it is asked for events. Characters that were cut
in two are put together, also over two documents of a list.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from asyncrouter._wire.decoding.sse import STRAY
from asyncrouter._wire.decoding.surrogates import HalfCharacters, read_mended
from asyncrouter._wire.decoding.weight import LIGHT_BYTES, is_too_heavy

if TYPE_CHECKING:
    from asyncrouter._types import Message
    from asyncrouter._wire.decoding.sse import Event


def read_documents(body: bytes | bytearray) -> list[object] | None:
    """The documents, of which any may be no object; `None` for a body that is no JSON."""
    read: object = None
    with suppress(ValueError):
        read = orjson.loads(body)
        if read is None:
            return [None]
    if read is None and (document := _without_end_mark(body)) is not None:
        body = document
        with suppress(ValueError):
            read = orjson.loads(body)
    if read is None:
        if body.startswith(b"[") and (listed := HalfCharacters().listed(body)) is not None:
            return list(listed)
        if (read := read_mended(body)) is None:
            return None
    return read if isinstance(read, list) and read else [read]


def _without_end_mark(body: bytes | bytearray) -> bytes | bytearray | None:
    """The body before the mark with which an event stream ends, which does not belong there; `None` without one."""
    document, mark, after = body.rpartition(b"data:")
    return document if mark and document and after.strip() == b"[DONE]" else None


def read_event(event: Event) -> Message | None:
    """The JSON object in an event, `None` when it holds none. An event named "error" is one, whatever its data are."""
    name, data = event
    if len(data) > LIGHT_BYTES and is_too_heavy(data):
        return None
    try:
        document: object = orjson.loads(data)
    except ValueError:
        document = data.decode("utf-8", "replace") if name == b"error" else None
    if type(document) is dict and (not name or (name is not STRAY and name != b"error")):
        return document
    if name is STRAY:
        return None
    if isinstance(document, list) and len(document) == 1:  # Google wraps its errors
        document = document[0]
    if name == b"error" and not (isinstance(document, dict) and document.get("error")):
        return {"error": document or "an error event"}
    return document if isinstance(document, dict) else None
