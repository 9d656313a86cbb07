"""Parses bytes into server-sent events (WHATWG HTML, "Parsing an event stream"), wherever the bytes are cut.

It works on bytes, not on text: line ends are ASCII, and a character that was cut in two is whole again once its line
is. Two things differ from the standard. `pending()` gives the last event even if its blank line is missing, and lines
that are no field of the standard are not dropped but handed out under the name `STRAY`: they may be an error page, or
a piece of an answer whose field name was lost.
"""

from __future__ import annotations

Event = tuple[bytes, bytes]
"""An event's name and its data. The name is `b""` for an event without one, and `STRAY` for stray lines."""

STRAY = b"\n"
"""The name under which stray lines are handed out; no event can have it, for it is a line end."""

MAX_STRAY_BYTES = 16384
"""How many bytes of stray lines are kept: more than any JSON error has, and a bound for a page that never ends."""

MAX_LINES = 10_000
"""How many data lines of one event are kept apart: each takes fifty bytes beside its own."""

_LONGEST_FIELD = 16
"""So many bytes of a line are searched for the end of its field's name: the standard's are shorter."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR, _COLON = b"\n\r:"


class EventParser:
    """Takes bytes and returns the events they complete, in time linear in the bytes."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_joined", "_line", "_name", "_stray")

    def __init__(self) -> None:
        self._line = bytearray()  # a line whose end has not come; appended to, never searched again
        self._data: list[bytes] = []
        self._joined = 0  # how many of these are several lines already
        self._name = b""
        self._at_start = True
        self._after_cr = False
        self._stray = b""  # stray lines of the event that is being read

    def __repr__(self) -> str:
        return f"<EventParser {len(self._data)} data lines and {len(self._line)} bytes waiting>"

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end in `chunk`, in order."""
        events: list[Event] = []
        data = self._data
        for line in self._lines(chunk):
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
                if len(data) - self._joined > MAX_LINES:
                    data[self._joined :] = [b"\n".join(data[self._joined :])]
                    self._joined += 1
            elif not line:
                if data:
                    events.append((self._name, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                    self._joined = 0
                if self._stray:
                    events.append((STRAY, self._stray))
                    self._stray = b""
                self._name = b""
            elif line.startswith(b"event: ") and b"{" not in line:  # each event of some vendors has a name
                self._name = line[7:]
            elif line[0] != _COLON:
                self._name = self._field(line, data, self._name)
        return events

    def pending(self) -> Event | None:
        """The event that would be complete if a blank line came now, `None` for none. Changes nothing.

        The standard drops it. But servers that forget the last blank line are more common than connections that break
        exactly at the end of a line, and a cut inside the JSON shows.
        """
        data, name, stray = self._data.copy(), self._name, self._stray
        held = self._line
        if self._at_start and held.startswith(_BOM):
            held = held[len(_BOM) :]
        if held.startswith(b"data:"):  # it may be long: it is copied once
            data.append(bytes(memoryview(held)[6 if held.startswith(b" ", 5) else 5 :]))
        elif held:
            line = bytes(held[: MAX_STRAY_BYTES + 1])
            name = _read_field(line, data, name)
            stray += _stray_part(line)
        if data:
            return name, b"\n".join(data)
        return (STRAY, stray) if stray else None

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that end in `chunk`; what comes after the last line end is kept for the next one."""
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
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line.clear()
        if rest:
            self._line += rest
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _field(self, line: bytes, data: list[bytes], name: bytes) -> bytes:
        """Read a line that is neither data nor a comment; the event's name after it."""
        if len(self._stray) < MAX_STRAY_BYTES:
            self._stray += _stray_part(line)
        return _read_field(line, data, name)


def _read_field(line: bytes, data: list[bytes], name: bytes) -> bytes:
    """Append a data line's value to `data`; the event's name after it. `id` and `retry` serve reconnections."""
    field, _, value = line.partition(b":")
    value = value.removeprefix(b" ")
    if field == b"data":
        data.append(value)
    return value if field == b"event" else name


def _stray_part(line: bytes) -> bytes:
    """The line, at most `MAX_STRAY_BYTES` of it, if it is neither a field nor a comment; else nothing.

    A brace in a name or an id came from the next line: the line end between them was lost.
    """
    field = line[:_LONGEST_FIELD].partition(b":")[0]
    known = field in (b"", b"data") or (field in (b"event", b"id", b"retry") and b"{" not in line)
    return b"" if known else line[:MAX_STRAY_BYTES] + b"\n"
