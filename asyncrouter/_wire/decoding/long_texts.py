"""Takes pictures and sounds in base64 out of a long body while it comes, and puts them back when it has been read.

A JSON document is read in one go, which holds the event loop for more than a millisecond a MiB. Prose ends long before
that matters, pictures do not. But a piece of a body that holds nothing but letters and digits of base64 can only stand
inside a text, unless it is short: then it may be a number, or a name. So it is set aside, a mark is read in its place,
and the text is joined afterwards, in a third of the time. The marks hold a random number, so that nobody else can write
them: each text is put back once.
"""

from __future__ import annotations

import os
import re
from typing import Final

MAX_REST_BYTES: Final = 1 << 23
"""Bytes of one document beside such texts: 2 million tokens, which are read in about 20 ms."""
SHORT_BYTES: Final = 1 << 21
"""Bytes of a stream up to which nothing is set aside: 10,000 tokens of most hosts."""
TOO_LONG: Final = "more text in it than any answer has"
"""What the error of a longer document says."""
_PIECE: Final = 1 << 16
_SHORTEST: Final = 256
"""Bytes of a piece that is set aside: more than a number or a name has, fewer than a packet of TCP."""
_LONGEST_ESCAPE: Final = 6
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=_-]++")


class LongTexts:
    """The texts of one body that were set aside; `size` is how many bytes they have."""

    __slots__ = ("_end", "_in_text", "_mark", "_texts", "size")

    def __init__(self) -> None:
        self._mark = os.urandom(12).hex()
        self._texts: list[list[str]] = []
        self._in_text = False  # the last piece belonged to one
        self._end = b"\\"  # of the last piece: an escape may go on in the next one; not known yet
        self.size = 0

    def __repr__(self) -> str:
        return f"<LongTexts {len(self._texts)} of {self.size} bytes>"

    def take(self, data: bytes) -> bytes:
        """What is to be read of the next piece: all of it, a mark, or nothing."""
        if len(data) > _PIECE:  # of a transport of the caller's own
            return b"".join([self.take(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE)])
        cut = b"\\" in self._end
        self._end = (self._end + data[-_LONGEST_ESCAPE:])[-_LONGEST_ESCAPE:]
        if len(data) < _SHORTEST or cut or _BASE64.fullmatch(data) is None:
            self._in_text = False
            return data
        self.size += len(data)
        if self._in_text:
            self._texts[-1].append(data.decode("ascii"))
            return b""
        self._in_text = True
        self._texts.append([data.decode("ascii")])
        return b"%b-%d." % (self._mark.encode(), len(self._texts) - 1)

    def put_back(self, document: object) -> object:
        """The document, which is changed, with the texts in the place of their marks."""
        if not self.size:
            return document
        whole = [document]
        waiting: list[dict[object, object] | list[object]] = [whole]
        while waiting:
            holder = waiting.pop()
            for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
                if isinstance(value, str):
                    if self._mark in value:
                        holder[key] = self._joined(value)  # type: ignore[call-overload]  # a key of a dict, an index of a list
                elif isinstance(value, dict | list):
                    waiting.append(value)
        return whole[0]

    def _joined(self, text: str) -> str:
        pieces: list[str] = []
        for at, part in enumerate(re.split(rf"{self._mark}-(\d+)\.", text)):
            pieces += self._texts[int(part)] if at % 2 else [part]
        return "".join(pieces)
