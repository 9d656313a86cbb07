"""Ids in a few bytes each."""

from __future__ import annotations

import sys

from asyncrouter.batch._ids import IdSet, RowIds, _is_entry


def size(ids: IdSet) -> int:
    return sum(sys.getsizeof(bucket) for bucket in ids._buckets if bucket is not None)


def test_every_id_is_found_and_no_other() -> None:
    """A set finds every id that was added, as text or as a number, and no other."""
    ids = IdSet()
    new = [ids.add(number) for number in range(30_000)]

    assert all(new)
    assert len(ids) == 30_000
    assert all(str(number) in ids for number in range(30_000))
    assert not any(number in ids for number in range(30_000, 60_000))
    assert not any(ids.add(number) for number in range(0, 30_000, 100))


def test_the_end_of_one_and_the_beginning_of_the_next_are_no_id() -> None:
    """Bytes that span two entries of a bucket are not found as an entry."""
    one = bytes(range(12))
    astride = bytes(6) + one + bytes(6)

    assert not _is_entry(one, bytearray(astride))
    assert _is_entry(one, bytearray(astride + one))


def test_an_id_takes_at_most_twenty_bytes() -> None:
    """From 50,000 ids on, each further one takes at most 20 bytes, whatever its length."""
    ids = IdSet()
    for number in range(50_000):
        ids.add(f"a rather long identifier of a row, number {number}")
    before = size(ids)
    for number in range(50_000, 200_000):
        ids.add(f"a rather long identifier of a row, number {number}")

    assert (size(ids) - before) / 150_000 <= 20


def test_a_row_that_failed_keeps_its_name() -> None:
    """The `_error` of a row from an errors file does not change the id made of its content."""
    assert RowIds().next_id({"prompt": "a"}) == RowIds().next_id({"prompt": "a", "_error": {"class": "Rejected"}})
