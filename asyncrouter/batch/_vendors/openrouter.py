"""OpenRouter's Batch API (beta): rows go with the request that creates the batch, results come inline at the end.

Sources: OpenRouter's "Batch quickstart" (autumn 2026) and its SDK, openrouter 1.3.84. `endpoint` and `model` must stand
before `requests`, which are read as a stream. A batch cannot be cancelled, and deleted only at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import orjson

from asyncrouter.batch._vendors.api import Encoded, Fault, Form, Group, Limits, Look, Result
from asyncrouter.batch._vendors.inline import InlineRows
from asyncrouter.batch._vendors.long_list import read_list
from asyncrouter.batch._vendors.openai import PHASES, read_result, words_of
from asyncrouter.batch._vendors.place import checked, unless_gone
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asyncrouter import Request
    from asyncrouter.batch._vendors.answer import Steps
    from asyncrouter.batch._vendors.api import Sent
    from asyncrouter.batch._vendors.place import Place

ENDPOINTS = {"/chat/completions": "/v1/chat/completions", "/responses": "/v1/responses", "/messages": "/v1/messages"}
"""The endpoint for each path of a call."""


class OpenRouter(InlineRows):
    """OpenRouter's Batch API."""

    name = "openrouter"
    limits = Limits(rows=5_000, bytes=190_000_000)
    cancels = False
    inline = "results"
    path = "/batches"
    after = "after"

    def encode(self, id: str, path: str, body: bytes) -> Encoded | None:  # noqa: A002  # the row's
        """The line of a call: its body without the model and the choice of hosts, which a batch has once."""
        endpoint = next((given for end, given in ENDPOINTS.items() if path.endswith(end)), None)
        if endpoint is None:
            return None
        request: dict[str, object] = orjson.loads(body)
        model, provider = str(request.pop("model", "")), request.pop("provider", None)
        request.pop("usage", None)
        common = "" if provider is None else json_bytes(provider).decode()
        return Encoded(Group(model, endpoint, common), json_bytes({"custom_id": id, "body": request}))

    def form(self, group: Group) -> Form:
        """A JSON object whose last field is the list of all rows."""
        head: dict[str, object] = {"endpoint": group.endpoint, "model": group.model, "completion_window": "24h"}
        if group.common:
            head["provider"] = orjson.loads(group.common)
        return Form(json_bytes(head)[:-1] + b',"requests":[', b",\n", b"]}")

    def made(self, batch: Mapping[str, object]) -> float | None:
        """Whole seconds."""
        made = batch.get("created_at")
        return float(made) if isinstance(made, int | float) else None

    def may_be(self, batch: Mapping[str, object], sent: Sent) -> bool:
        """By its model and the number of its rows."""
        counts = batch.get("request_counts")
        total = counts.get("total") if isinstance(counts, dict) else None
        return total == sent.rows and batch.get("model") in {None, sent.group.model}

    def look(self, place: Place, batch: str) -> Steps[Look]:
        """The state of a batch, with its results once it has ended."""
        answer = checked((yield place.request("GET", f"{self.path}/{batch}")))
        word, error, usage = str(answer.get("status") or ""), answer.get("error"), answer.get("usage")
        phase = PHASES.get(word, "running")
        cost, counts = usage.get("cost") if isinstance(usage, dict) else None, answer.get("request_counts")
        return Look(
            phase, word, ("results",) if phase == "ended" and answer.get("results") else (),
            (Fault(str(error.get("code") or word), words_of(error)),) if isinstance(error, dict) else (),
            float(cost) if isinstance(cost, int | float) else None, counts if isinstance(counts, dict) else {},
        )

    def cancel(self, place: Place, batch: str) -> NoReturn:
        """There is no way to cancel: what runs is answered, and paid."""
        raise NotImplementedError

    def downloads(self, place: Place, batch: str, outputs: tuple[str, ...]) -> list[Request]:
        """The batch itself, which holds its results."""
        return [place.request("GET", f"{self.path}/{batch}") for _ in outputs]

    def results(self, path: Path) -> Iterator[Result]:
        """The results in a batch. Raises `ValueError` if it is torn."""
        for record in read_list(path, self.inline):
            if (result := read_result(record)) is not None:
                yield result

    def clean(self, place: Place, batch: str | None, file: str | None, outputs: tuple[str, ...]) -> Steps[None]:
        """Delete the batch with its results."""
        if batch is not None:
            unless_gone((yield place.request("DELETE", f"{self.path}/{batch}")))
