"""Server-sent events out of bytes, however they are cut (WHATWG HTML, "Parsing an event stream").

It works on bytes: a character cut in two is whole again when its line is, and line ends are ASCII.
"""

from __future__ import annotations

Event = tuple[bytes, bytes]
"""Its name (`b""` for none, `STRAY` for what is none) and its data."""

_BOM = b"\xef\xbb\xbf"
STRAY = b"\n"
"""The name, which no event can have, of what stood in the place of one: lines that are no field of the standard."""

_LF, _CR, _COLON = b"\n\r:"
_LONGEST_STRAY = 16384


class EventParser:
    """Feed it bytes, get the events they complete. Linear in the bytes fed, whatever the cuts."""

    __slots__ = ("_after_cr", "_data", "_fresh", "_line", "_name", "_stray")

    def __init__(self) -> None:
        self._line = bytearray()  # a line whose end has not come; appended to, never searched again
        self._data: list[bytes] = []
        self._name = b""
        self._fresh = True
        self._after_cr = False
        self._stray = b""  # lines without a field, of the event that is being read

    def __repr__(self) -> str:
        return f"<EventParser {len(self._data)} data lines and {len(self._line)} bytes waiting>"

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end in `chunk`, in order."""
        events: list[Event] = []
        data = self._data
        for line in self._lines(chunk):
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif line:
                if line[0] != _COLON:
                    self._name = self._field(line, data, self._name)
            else:
                if data:
                    events.append((self._name, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                if self._stray:
                    events.append((STRAY, self._stray))
                    self._stray = b""
                self._name = b""
        return events

    def pending(self) -> Event | None:
        """The event that an end of the stream here would complete. Changes nothing.

        The standard drops it; servers that forget the last blank line are commoner than events cut at a line's end,
        and a cut inside JSON shows.
        """
        data, name, stray = self._data.copy(), self._name, self._stray
        if self._line:
            line = bytes(self._line)
            if self._fresh:
                line = line.removeprefix(_BOM)
            name = _read_field(line, data, name)
            stray += _read_stray(line)
        if data:
            return name, b"\n".join(data)
        return (STRAY, stray) if stray else None

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that end in `chunk`; the rest waits."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == _LF:  # the second half of a CRLF
                chunk = chunk[1:]
        if not chunk:
            return []
        lines = chunk.splitlines()
        last = chunk[-1]
        self._after_cr = last == _CR
        if last != _LF and last != _CR:
            rest = lines.pop()
            if not lines:
                self._line += rest
                return lines
        else:
            rest = b""
        if self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        if rest:
            self._line += rest
        if self._fresh:
            self._fresh = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _field(self, line: bytes, data: list[bytes], name: bytes) -> bytes:
        if len(self._stray) < _LONGEST_STRAY:
            self._stray += _read_stray(line)
        return _read_field(line, data, name)


def _read_field(line: bytes, data: list[bytes], name: bytes) -> bytes:
    """Apply one field line to `data`; the event's name after it. `id` and `retry` are for clients that reconnect."""
    field, _, value = line.partition(b":")
    value = value.removeprefix(b" ")
    if field == b"data":
        data.append(value)
    return value if field == b"event" else name


def _read_stray(line: bytes) -> bytes:
    """The line, or what is worth keeping of it, if it is neither a field nor a comment.

    A brace in a name or an id came from the next line: the end of this one was lost.
    """
    field = line.partition(b":")[0]
    known = field in (b"", b"data") or (field in (b"event", b"id", b"retry") and b"{" not in line)
    return b"" if known else line[:_LONGEST_STRAY] + b"\n"
