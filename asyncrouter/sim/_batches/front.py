"""Which vendor's batch API a request is for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from asyncrouter.sim._batches.anthropic import respond as anthropic
from asyncrouter.sim._batches.desk import Call
from asyncrouter.sim._batches.gemini import respond as gemini
from asyncrouter.sim._batches.http import HttpRequest
from asyncrouter.sim._batches.openai import respond as openai
from asyncrouter.sim._batches.openrouter import respond as openrouter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._batches.desk import Batches
    from asyncrouter.sim.play import Play

VENDORS = {"openai": openai, "anthropic": anthropic, "gemini": gemini, "openrouter": openrouter}
"""Each vendor's answers, by its name."""


def respond(
    batches: Batches, method: str, url: str, headers: Mapping[str, str], body: bytes, at: float
) -> Play | None:
    """The response to a request of a batch API; `None` for one of another API."""
    parts = urlsplit(url)
    found = _route(parts.path)
    if found is None:
        return None
    vendor, path = found
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    names = {name.lower(): value for name, value in headers.items()}
    play = VENDORS[vendor](batches, HttpRequest(method, path, url, query, names, body, at))
    batches.log.append(Call(at, vendor, method, path, play.status))
    return play


def _route(path: str) -> tuple[str, str] | None:
    """The vendor of a path of a batch API, and the path without version; `None` for any other path."""
    if "/messages/batches" in path:
        return "anthropic", path[path.index("/messages/batches") :]
    for head in ("/upload", "/download"):
        if path.startswith(f"{head}/v1beta"):
            return "gemini", head + path.removeprefix(f"{head}/v1beta")
    if path.startswith("/v1beta/"):
        rest = path.removeprefix("/v1beta")
        ours = rest.endswith(":batchGenerateContent") or rest.startswith(("/batches", "/files"))
        return ("gemini", rest) if ours else None
    if path.startswith("/api/v1/batches"):
        return "openrouter", path.removeprefix("/api/v1")
    if path.startswith(("/v1/files", "/v1/batches")):
        return "openai", path.removeprefix("/v1")
    return None
