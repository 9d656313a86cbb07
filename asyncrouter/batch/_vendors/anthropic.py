"""Anthropic's Message Batches API: the lines go with the request that creates the batch; results are lines of JSON.

Sources: Anthropic's API reference ("Message Batches") and its SDK, anthropic 2.14. There is no metadata to mark a batch
with, so one whose creation was not answered is found by its number of rows and its time, and known by its ids.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._vendors.api import Encoded, Form, Group, Limits, Look, Result
from asyncrouter.batch._vendors.inline import InlineRows
from asyncrouter.batch._vendors.lines import read_lines
from asyncrouter.batch._vendors.openai import words_of
from asyncrouter.batch._vendors.place import checked, unless_gone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asyncrouter import Request
    from asyncrouter.batch._vendors.answer import Steps
    from asyncrouter.batch._vendors.api import Phase, Sent
    from asyncrouter.batch._vendors.place import Place

PHASES: Mapping[str, Phase] = {"in_progress": "running", "canceling": "ending", "ended": "ended"}
"""The phase of each status; one that is not here is taken for running."""
STATUSES = {
    "invalid_request_error": 400, "authentication_error": 401, "permission_error": 403, "not_found_error": 404,
    "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "overloaded_error": 529,
}
"""The HTTP status of each type of error (Anthropic, "Errors")."""


class Anthropic(InlineRows):
    """Anthropic's Message Batches API."""

    name = "anthropic"
    limits = Limits(rows=100_000, bytes=240_000_000)
    cancels = True
    path = "/messages/batches"
    after = "after_id"

    def encode(self, id: str, path: str, body: bytes) -> Encoded | None:  # noqa: A002  # the row's
        """The line of a call: its own body as `params`."""
        if not path.endswith("/messages"):
            return None
        model = orjson.loads(body).get("model")
        return Encoded(Group(model, "/v1/messages"), b'{"custom_id":"%b","params":%b}' % (id.encode(), body))

    def form(self, group: Group) -> Form:
        """A JSON object with a list of all rows."""
        return Form(b'{"requests":[', b",\n", b"]}")

    def made(self, batch: Mapping[str, object]) -> float | None:
        """The ISO 8601 time of a batch."""
        given = batch.get("created_at")
        try:
            return datetime.fromisoformat(given).timestamp() if isinstance(given, str) else None
        except ValueError:
            return None

    def may_be(self, batch: Mapping[str, object], sent: Sent) -> bool:
        """By the number of its rows."""
        return sum(_counts(batch).values()) == sent.rows

    def look(self, place: Place, batch: str) -> Steps[Look]:
        """The state of a batch. Its `results_url` is not used: it has been seen to name a host that is not there."""
        answer = checked((yield place.request("GET", f"{self.path}/{batch}")))
        word = str(answer.get("processing_status") or "")
        phase = PHASES.get(word, "running")
        return Look(phase, word, ("results",) if phase == "ended" else (), counts=_counts(answer))

    def cancel(self, place: Place, batch: str) -> Steps[None]:
        """Cancel; requests that are being answered are still finished."""
        checked((yield place.request("POST", f"{self.path}/{batch}/cancel")))

    def downloads(self, place: Place, batch: str, outputs: tuple[str, ...]) -> list[Request]:
        """The results, all in one file."""
        return [place.request("GET", f"{self.path}/{batch}/results") for _ in outputs]

    def results(self, path: Path) -> Iterator[Result]:
        """The lines of results."""
        for record in read_lines(path):
            given, result = record.get("custom_id"), record.get("result")
            if isinstance(given, str) and isinstance(result, dict):
                yield _result(given, result)

    def clean(self, place: Place, batch: str | None, file: str | None, outputs: tuple[str, ...]) -> Steps[None]:
        """Delete the batch with its results."""
        if batch is not None:
            unless_gone((yield place.request("DELETE", f"{self.path}/{batch}")))


def _result(id: str, result: Mapping[str, object]) -> Result:  # noqa: A002  # the row's
    kind, message = result.get("type"), result.get("message")
    if kind == "succeeded" and isinstance(message, dict):
        return Result(id, 200, message)
    error = result.get("error")
    inner = error.get("error", error) if isinstance(error, dict) else error  # it stands in an envelope of its own
    type_ = inner.get("type") if isinstance(inner, dict) else None
    status = STATUSES.get(type_, 0) if isinstance(type_, str) else 0
    return Result(id, status, error if kind == "errored" else None, words_of(inner) or str(kind))


def _counts(batch: Mapping[str, object]) -> dict[str, int]:
    counts = batch.get("request_counts")
    return {name: count for name, count in counts.items() if isinstance(count, int)} if isinstance(counts, dict) else {}
