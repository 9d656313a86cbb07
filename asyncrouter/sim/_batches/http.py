"""Requests to a simulated batch API, and the responses to them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

import orjson

from asyncrouter.sim._bodies import TimedBytes
from asyncrouter.sim.play import JSON, Play, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._batches.faults import Faults

BLOCK = 1 << 16
"""Bytes of each part of a download."""


class HttpRequest(NamedTuple):
    """What a vendor sees of a request; `path` is without the address and the version."""

    method: str
    path: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float


def json(status: int, value: object) -> Play:
    """A response of JSON."""
    return json_response(status, orjson.dumps(value))


def parsed(body: bytes) -> dict[str, object]:
    """A body as a JSON object, `{}` for anything else."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def unanswered(after: float = inf) -> Play:
    """A request whose answer never comes, or whose connection is reset after so many seconds."""
    if after == inf:
        return Play(headers_at=inf)
    return Play(headers_at=after, headers_fault="reset")


def download(faults: Faults, data: bytes, kind: str = JSON) -> Play:
    """A file as the body of a response, whole or not."""
    headers = {"content-type": kind}
    if faults.strikes("cut"):
        half = data[: len(data) // 2]
        return Play(headers=headers, body=iter((TimedBytes(0.0, half), TimedBytes(0.0, ending="cut"))))
    if faults.strikes("torn") and len(data) > 64:
        data = data[: data.rfind(b"\n", 0, len(data) - 1) + 32] if data.count(b"\n") > 1 else data[: len(data) // 2]
    parts = [TimedBytes(0.0, data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    return Play(headers=headers, body=iter((*parts, TimedBytes(0.0, ending="end"))))
