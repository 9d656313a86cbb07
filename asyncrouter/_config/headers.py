"""Checks header fields: one rule for those of providers and of calls, whatever the size of the body.

A field that HTTP cannot carry, or that belongs to the connection, would be refused by a server, or would change what it
reads. So it is refused here, before anything is sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: token
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, 5.5: field-content

_OF_THE_CONNECTION: Final = frozenset({
    "connection", "content-encoding", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})
"""Fields that say how the body is framed or the connection is used: the transport writes what is needed of them."""


def is_token(text: object) -> bool:
    """Whether this can be the name of a header field, or of a method."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def name_fault(name: object, *, allowed: str = "") -> str:
    """What was expected in place of this name of a header field, "" if nothing is wrong with it.

    `allowed`: a field of the connection, in lower case, that may be given all the same.
    """
    if not isinstance(name, str) or not is_token(name):
        return "a header's name"
    lower = name.lower()
    ours = lower in _OF_THE_CONNECTION and lower != allowed
    return "a header that the transport does not write itself" if ours else ""


def repeated(names: Iterable[str]) -> str | None:
    """A name that stands there twice, as upper and lower case are the same; `None` for none."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def value_fault(value: str) -> str:
    """What was expected in place of this value of a header field, "" if nothing is wrong with it."""
    if any(sign in value for sign in "\r\n"):
        return "one line"
    return "" if _VALUE.fullmatch(value) else "Latin-1 text without control characters"
