"""Where a vendor's API is, and with which headers it is asked: taken from a request that the router itself wrote."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import orjson

from asyncrouter import Request
from asyncrouter.batch._vendors.answer import Answer, VendorError
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
"""The headers in which vendors take a key, in lower case."""
DIGEST_BYTES = 4
"""Bytes of a key's digest in the journal: enough to tell a few keys apart, too few to guess one by."""


class Place:
    """The address of a provider, up to the path of a call, and what each of its requests carries."""

    __slots__ = ("_sealed", "base", "key_digest", "query")

    def __init__(self, request: Request, path: str) -> None:
        """`request` is a call's, `path` the end of its address that belongs to the call alone."""
        parts = urlsplit(request.url)
        self.base: str = urlunsplit((parts.scheme, parts.netloc, parts.path.removesuffix(path), "", ""))
        self.query = parts.query
        self._sealed = request
        headers = {name.lower(): value for name, value in request.headers.items()}
        key = next((headers[name] for name in KEY_HEADERS if name in headers), "")
        self.key_digest: str = blake2b(key.encode(), digest_size=DIGEST_BYTES).hexdigest()

    def __repr__(self) -> str:
        return f"<Place {self.base}>"

    @property
    def origin(self) -> str:
        """Scheme and host."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}"

    def request(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *,
        query: Mapping[str, str] | None = None, keyed: bool = True,
    ) -> Request:
        """A request to a path at this place, or to a whole address; JSON unless `headers` say otherwise.

        `keyed` is `False` for an address that is a credential itself.
        """
        own = self._sealed.headers if keyed else {}
        left_out = {"content-type", "content-length", "accept-encoding"}
        fields = {name: value for name, value in own.items() if name.lower() not in left_out}
        if body and headers is None:
            fields["Content-Type"] = "application/json"
        fields |= headers or {}
        return Request(
            method, self._address(url, query or {}, keyed=keyed), fields, body, self._sealed.connect,
            self._sealed.proxy, self._sealed.ca,
        )

    def json(self, method: str, url: str, value: object) -> Request:
        """A request with a JSON body."""
        return self.request(method, url, json_bytes(value))

    def _address(self, url: str, query: Mapping[str, str], *, keyed: bool) -> str:
        address = url if url.startswith(("http://", "https://")) else f"{self.base}{url}"
        if not keyed:
            return address
        given = [f"{name}={value}" for name, value in query.items()]
        written = "&".join([self.query, *given] if self.query else given)
        return f"{address}{'&' if '?' in address else '?'}{written}" if written else address


def checked(answer: Answer) -> dict[str, object]:
    """The JSON object of a successful answer. Raises `VendorError`."""
    if not 200 <= answer.status < 300:
        raise failure(answer)
    try:
        parsed: object = orjson.loads(answer.body) if answer.body.strip() else {}
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise VendorError(answer.status, "the answer is no JSON object", sure=False)
    return parsed


def failure(answer: Answer) -> VendorError:
    """The error of an answer that is no success. A server's own failure leaves open what it has done."""
    message, code = "", ""
    try:
        parsed: object = orjson.loads(answer.body)
    except ValueError:
        parsed = None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict):
        message = str(error.get("message") or "")
        code = str(error.get("code") or error.get("status") or error.get("type") or "")
    elif isinstance(error, str):
        message = error
    return VendorError(
        answer.status, message[:300] or f"HTTP {answer.status}", sure=answer.status < 500 and answer.status != 408,
        code=code,
    )


def unless_gone(answer: Answer) -> None:
    """Raise `VendorError` unless the answer is a success, or what was asked for is not there any more."""
    if answer.status not in {404, 410} and not 200 <= answer.status < 300:
        raise failure(answer)
