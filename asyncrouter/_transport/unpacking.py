"""Unpacks bodies that a server compresses without having been asked to, in pieces of bounded size.

aiohttp would do this, too, but it gives up a response with its head where it lacks the library for an encoding: the
status and its Retry-After would be lost. Here only the body is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp.compression_utils import HAS_BROTLI, HAS_ZSTD, BrotliDecompressor, ZLibDecompressor, ZSTDDecompressor
from aiohttp.http_exceptions import ContentEncodingError

from asyncrouter._transport.errors import permanent

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_PIECE: Final = 1 << 16
"""Bytes that are unpacked at a time: a small body can unpack to gigabytes, of which the reader takes what it wants."""
_ENCODINGS: Final = frozenset({"gzip", "deflate", "br", "zstd"})
"""The names of encodings (RFC 9110, 8.4.1; RFC 7932; RFC 8878). A body under another name is handed over as it is."""
_DEFLATE: Final = 8
"""The low four bits of a zlib header (RFC 1950); without it, "deflate" is the bare format of RFC 1951."""


def unpacker_for(headers: Mapping[str, str], place: str | None) -> Unpacker | None:
    """What unpacks the body of a response with these headers; `None` for one that is not compressed."""
    encoding = headers.get("Content-Encoding", "").lower()
    return Unpacker(encoding, place or "the server") if encoding in _ENCODINGS else None


class Unpacker:
    """Unpacks one body; `pending` says whether there may be more in what was taken."""

    __slots__ = ("_encoding", "_place", "_reader", "pending")

    def __init__(self, encoding: str, place: str) -> None:
        self.pending = False
        self._encoding, self._place = encoding, place
        self._reader: ZLibDecompressor | BrotliDecompressor | ZSTDDecompressor | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._encoding}>"

    def take(self, packed: bytes = b"") -> bytes:
        """The next piece of the body, which may be empty.

        Raises `ConnectionFailed` for an encoding that cannot be read here, `ContentEncodingError` for a broken body.
        """
        if self._reader is None:
            self._reader = self._begin(packed)
        try:
            data = self._reader.decompress_sync(packed, max_length=_MAX_PIECE)
        except Exception:
            raise ContentEncodingError(self._encoding) from None
        self.pending = self._reader.data_available
        return data

    def end(self) -> None:
        """Raise `ContentEncodingError` if the body ended too early, where its format shows that."""
        if self._encoding == "deflate" and isinstance(self._reader, ZLibDecompressor) and not self._reader.eof:
            raise ContentEncodingError(self._encoding)

    def _begin(self, packed: bytes) -> ZLibDecompressor | BrotliDecompressor | ZSTDDecompressor:
        if self._encoding == "br" and HAS_BROTLI:
            return BrotliDecompressor()
        if self._encoding == "zstd" and HAS_ZSTD:
            return ZSTDDecompressor()
        if self._encoding in {"br", "zstd"}:
            raise permanent(f"{self._place} compressed its reply in a way that was not asked for: {self._encoding}")
        bare = self._encoding == "deflate" and packed[0] & 0xF != _DEFLATE
        return ZLibDecompressor(encoding=self._encoding, suppress_deflate_header=bare)
