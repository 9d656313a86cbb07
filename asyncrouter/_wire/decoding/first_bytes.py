"""Tells an event stream from a JSON document by its first bytes; content types are often wrong."""

from __future__ import annotations

import re
from typing import Final, Literal

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that may stand before both."""

_EVENT_STREAM_STARTS: Final = (b"data:", b"event:", b"id:", b"retry:")
"""How the first line of an event stream may begin; no JSON document begins like this."""

_LONGEST_START: Final = 6
"""The length of the longest of them."""

_LEAD: Final = re.compile(rb"(?:\s|\xef\xbb\xbf|:[^\r\n]*[\r\n])*+")

_LONGEST_COMMENT: Final = 16_384
"""Bytes of a comment whose end is waited for."""


def without_lead(start: bytes) -> bytes:
    """The bytes without what keeps a connection alive until the answer comes: blanks, comments, and the mark.

    A comment without its line end stays, for it goes on.
    """
    lead = _LEAD.match(start)
    return start[lead.end() :] if lead else start


def first_bytes(start: bytes) -> Literal["events", "document", "neither", "undecided", "blank"]:
    """What begins like this, without its lead: "undecided" if more bytes are needed, "blank" if nothing has come."""
    head = start[:_LONGEST_START]
    if head.startswith((b"{", b"[")):
        return "document"
    if head.startswith(_EVENT_STREAM_STARTS):
        return "events"
    if not head:
        return "blank"
    if head.startswith(b":"):  # a JSON document may come after a comment
        return "undecided" if len(start) < _LONGEST_COMMENT else "events"
    if BOM.startswith(head) or any(known.startswith(head) for known in _EVENT_STREAM_STARTS):
        return "undecided"
    return "neither"
