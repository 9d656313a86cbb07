"""Which ids there have been, in about 16 bytes each; and an id for a row that has none."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._rows import id_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.batch._rows import Id

BUCKETS = 1 << 13
KEPT = 12
"""Bytes of a digest that are kept; with its bucket that is 109 bits, so no two ids are ever taken for one."""


class Ids:
    """A set of ids that can be added to and asked, but not listed."""

    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, given: Id) -> bool:
        bucket, kept = self._place(given)
        return kept in bucket and _stands(kept, bucket)

    def add(self, given: Id) -> bool:
        """Whether it is new."""
        bucket, kept = self._place(given)
        if kept in bucket and _stands(kept, bucket):
            return False
        bucket += kept
        self._count += 1
        return True

    def _place(self, given: Id) -> tuple[bytearray, bytes]:
        digest = blake2b(str(given).encode("utf-8", "surrogatepass"), digest_size=KEPT + 2).digest()
        return self._buckets[digest[0] << 5 | digest[1] >> 3], digest[2:]


class Names:
    """Gives each row an id: its own, or one of its content, the same in every run over the same rows."""

    __slots__ = ("_again", "_seen")

    def __init__(self) -> None:
        self._seen: Ids | None = None
        self._again: dict[str, int] = {}

    def name(self, fields: Mapping[str, object]) -> Id:
        """The id of the next row. Raises `RowError`."""
        given = id_of(fields)
        if given is not None:
            return given
        content = {name: value for name, value in fields.items() if name != "_error"}
        digest = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
        self._seen = self._seen or Ids()
        if self._seen.add(digest):
            return digest
        # The same content again is another row: people ask one question a hundred times.
        self._again[digest] = number = self._again.get(digest, 1) + 1
        return f"{digest}-{number}"


def _stands(kept: bytes, bucket: bytearray) -> bool:
    """Whether it is one of those in the bucket, and not the end of one and the beginning of the next."""
    at = bucket.find(kept)
    while at > 0 and at % KEPT:
        at = bucket.find(kept, at + 1)
    return at >= 0
