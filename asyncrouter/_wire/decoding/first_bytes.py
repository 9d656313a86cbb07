"""Tells an event stream from a JSON document by its first bytes; content types are often wrong."""

from __future__ import annotations

from typing import Final, Literal

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that may stand before both."""

_EVENT_STREAM_STARTS: Final = (b"data:", b"event:", b":", b"id:", b"retry:")
"""How the first line of an event stream may begin; no JSON document begins like this."""

_LONGEST_START: Final = 6
"""The length of the longest of them."""


def first_bytes(start: bytes) -> Literal["events", "document", "neither", "undecided", "blank"]:
    """What begins like this, without the mark: "undecided" if more bytes are needed, "blank" if nothing has come."""
    head = start[:_LONGEST_START] if not start[:1].isspace() else start.lstrip()[:_LONGEST_START]
    if head.startswith((b"{", b"[")):
        return "document"
    if head.startswith(_EVENT_STREAM_STARTS):
        return "events"
    if not head:
        return "blank"
    if BOM.startswith(head) or any(known.startswith(head) for known in _EVENT_STREAM_STARTS):
        return "undecided"
    return "neither"
