"""A compact set of ids, the id of each row of an input, and the digest of what a row asks."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._rows import id_of
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.batch._rows import Id, Row

BUCKETS = 1 << 13
"""How many buckets a set has. In a set of a million ids each holds about 120 of them, 1.4 kB that one search reads."""
KEPT_BYTES = 12
"""How many bytes of an id's digest are kept. With the 13 bits that choose its bucket these are 109 bits, so that among
a thousand million ids the chance that any two are taken for one is below 10⁻¹⁴.
"""

_NOT_CONTENT = frozenset({"_error", "columns"})
"""Fields of which a row's own id is not made: what is only passed through makes no other row."""


class IdSet:
    """A set of ids that takes about 16 bytes an id, whatever their length; an id and its text are one id.

    Its members cannot be listed or removed.
    """

    # A bucket is one bytearray of digests, 12 bytes each, end to end: a `set` of strings takes several times as much.
    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, given: Id) -> bool:
        bucket, digest = self._locate(given)
        return digest in bucket and _is_entry(digest, bucket)

    def add(self, given: Id) -> bool:
        """Add an id; `False` if it was a member already."""
        bucket, digest = self._locate(given)
        if digest in bucket and _is_entry(digest, bucket):
            return False
        bucket += digest
        self._count += 1
        return True

    def _locate(self, given: Id) -> tuple[bytearray, bytes]:
        digest = blake2b(str(given).encode("utf-8", "surrogatepass"), digest_size=KEPT_BYTES + 2).digest()
        return self._buckets[digest[0] << 5 | digest[1] >> 3], digest[2:]


class RowIds:
    """Gives each row of an input its id: its own, or one made of its content, the same in every run over these rows."""

    __slots__ = ("_count_of", "_digests")

    def __init__(self) -> None:
        self._digests: IdSet | None = None
        self._count_of: dict[str, int] = {}

    def next_id(self, fields: Mapping[str, object]) -> Id:
        """The id of the next row in the order of the input. Raises `RowError` for an id of the wrong type."""
        given = id_of(fields)
        if given is not None:
            return given
        content = {name: value for name, value in fields.items() if name not in _NOT_CONTENT}
        digest = blake2b(_sorted_json(content), digest_size=12).hexdigest()
        self._digests = self._digests or IdSet()
        if self._digests.add(digest):
            return digest
        # The same content again is another row: people ask one question a hundred times.
        self._count_of[digest] = count = self._count_of.get(digest, 1) + 1
        return f"{digest}-{count}"


def _sorted_json(content: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than orjson writes
        return json_bytes(dict(sorted(content.items())))


def _is_entry(digest: bytes, bucket: bytearray) -> bool:
    """Whether these bytes are an entry of the bucket, not the end of one entry and the beginning of the next."""
    at = bucket.find(digest)
    while at > 0 and at % KEPT_BYTES:
        at = bucket.find(digest, at + 1)
    return at >= 0


def request_digest(row: Row, common: Mapping[str, object]) -> bytes:
    """A digest of what a row asks: its prompt and its options; rows with those for all rows have the same."""
    options = None if row.options is common else sorted(row.options.items())
    return blake2b(json_bytes([_plain(row.prompt), options, row.embeds]), digest_size=16).digest()


def _plain(prompt: object) -> object:
    """A prompt as text where its messages are nothing but that."""
    match prompt:
        case [{"role": "user", "content": str(text), **rest}] if not rest:
            return text
        case _:
            return prompt
