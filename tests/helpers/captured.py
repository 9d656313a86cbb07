"""Reads exchanges that were recorded from a real server, byte by byte as they went over the socket."""

from __future__ import annotations

import csv
from pathlib import Path

import orjson

HERE = Path(__file__).parents[1] / "captures"
"""The recordings, and their index."""


def rows(path: str) -> list[dict[str, str]]:
    """The rows of the index whose request was for this path and got a response."""
    index = csv.DictReader((HERE / "INDEX.tsv").read_text().splitlines(), delimiter="\t")
    return [row for row in index if row["status"] != "(no bytes)" and f" {path} " in _first_line(row["capture"])]


def read(name: str) -> tuple[int, dict[str, str], bytes, dict[str, object]]:
    """Status, headers and body (unchunked) of a recording, and the JSON of its request, empty if it has none."""
    head, _, body = (HERE / f"{name}.response.http").read_bytes().partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    headers = {key.lower(): value for key, _, value in (field.partition(": ") for field in fields)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunk(body)
    sent = (HERE / f"{name}.request.http").read_bytes().partition(b"\r\n\r\n")[2]
    try:
        params = orjson.loads(sent)
    except ValueError:
        params = {}
    return int(first.split()[1]), headers, body, params


def unchunk(body: bytes) -> bytes:
    """The body in one piece of a response with chunked transfer encoding."""
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


def _first_line(name: str) -> str:
    return (HERE / f"{name}.request.http").read_bytes().partition(b"\r\n")[0].decode()
