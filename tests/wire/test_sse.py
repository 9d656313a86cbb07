"""The event parser gives the same events however the bytes are cut and whichever line ends are used."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter._wire.decoding.sse import STRAY, EventParser


def reference(document: bytes) -> list[tuple[bytes, bytes]]:
    """The standard's algorithm, done slowly and with two differences.

    An end of the stream completes the last event, and stray lines are handed out.
    """
    lines = re.split(rb"\r\n|\r|\n", document.removeprefix(b"\xef\xbb\xbf"))
    events, data, name, stray = [], [], b"", b""
    for number, line in enumerate([*lines, b""]):
        if line:
            field, _, value = line.partition(b":")
            value = value[1:] if value[:1] == b" " else value
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
            if field not in (b"", b"data", b"event", b"id", b"retry") or (field not in (b"", b"data") and b"{" in line):
                stray += line + b"\n"
            continue
        if data:
            events.append((name, b"\n".join(data)))
        if stray and not (data and number >= len(lines) - 1):
            events.append((STRAY, stray))
        data, name, stray = [], b"", b""
    return events


def parse(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    last = parser.pending()
    return events if last is None else [*events, last]


def cut(document: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(document), *(place % (len(document) + 1) for place in places)})
    return [document[start:end] for start, end in itertools.pairwise(bounds)]


fields = st.sampled_from([b"data:", b"data", b"event:", b"id:", b"retry:", b":", b"other:", b"Data:", b" data:"])
values = st.sampled_from([
    b"", b" ", b"x", b" {}", b":", b"data", "é🙂".encode(), b"\xef\xbb\xbf", b"\xff\x00", b"\x0b\x1c\x85",
])
lines = st.one_of(st.just(b""), st.builds(lambda field, value: field + value, fields, values))
documents = st.builds(
    lambda bom, parts: bom + b"".join(line + end for line, end in parts),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b""])), max_size=12),
)


@given(documents, st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_gives_the_events_of_the_standard(document: bytes, places: list[int]) -> None:
    """A document that is cut anywhere gives what the standard's algorithm gives for the whole."""
    assert parse(cut(document, places)) == reference(document)


@given(documents)
def test_a_document_may_come_byte_by_byte(document: bytes) -> None:
    """One byte at a time gives the same events."""
    assert parse([document[i : i + 1] for i in range(len(document))]) == reference(document)


@given(documents, st.integers(0, 400))
def test_asking_for_the_pending_event_changes_nothing(document: bytes, place: int) -> None:
    """`pending()` may be asked between any two feeds."""
    parser, place = EventParser(), min(place, len(document))
    events = parser.feed(document[:place])
    assert parser.pending() == parser.pending()
    events += parser.feed(document[place:])
    last = parser.pending()

    assert (events if last is None else [*events, last]) == reference(document)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"data: a\n\n", [(b"", b"a")]),
        (b"data:a\n\ndata:  b\n\n", [(b"", b"a"), (b"", b" b")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data\n\n", [(b"", b"")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (b"", b"b")]),
        (b"event: x\n\ndata: b\n\n", [(b"", b"b")]),
        (b": comment\n\n:\n\ndata: a\n\n", [(b"", b"a")]),
        (b"\xef\xbb\xbfdata: a\r\r", [(b"", b"a")]),
        (b"data: a\r\n\r\ndata: b", [(b"", b"a"), (b"", b"b")]),
        (b"id: 1\nretry: 5\nfoo: x\ndata: a\n\n", [(b"", b"a"), (STRAY, b"foo: x\n")]),
        (b"data: a\r\ndata: b\r\n\r\n", [(b"", b"a\nb")]),
        ("event: é\rdata: 🙂\r\r".encode(), [("é".encode(), "🙂".encode())]),
        (b"", []),
    ],
)
def test_every_form_of_the_standard(document: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    """Each gives the same events whole and byte by byte."""
    assert parse([document]) == expected
    assert parse([document[i : i + 1] for i in range(len(document))]) == expected
    assert reference(document) == expected


def test_an_event_is_given_as_soon_as_its_blank_line_has_come() -> None:
    """Nothing waits for the next read, not even after half of a CRLF."""
    parser = EventParser()

    assert parser.feed(b"data: a\r\n\r") == [(b"", b"a")]
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: b\n\n") == [(b"", b"b")]


def test_stray_lines_are_handed_out() -> None:
    """They may be an error page, a field that lost its name or its line end, or a field newer than the standard."""
    parser = EventParser()

    events = parser.feed(b"dta: {}\n\nnew: 1\ndata: 1\n\n<html>\n<title>Bad")
    assert events == [(STRAY, b"dta: {}\n"), (b"", b"1"), (STRAY, b"new: 1\n")]
    assert parser.pending() == (STRAY, b"<html>\n<title>Bad\n")


def test_a_line_of_ten_megabytes_is_read_in_linear_time() -> None:
    """The waiting line is one buffer that only grows at its end, so no byte is searched or copied twice."""
    parser, piece = EventParser(), b"x" * 1024
    parser.feed(b"data: ")
    buffer = parser._line
    for _ in range(10 * 1024):
        assert parser.feed(piece) == []
        assert parser._line is buffer
    events = parser.feed(b"\n\n")

    assert [len(data) for _, data in events] == [10 * 1024 * 1024]


def test_thousands_of_events_in_one_read() -> None:
    """One read may bring any number of events."""
    assert len(EventParser().feed(b"data: {}\n\n" * 20_000)) == 20_000
