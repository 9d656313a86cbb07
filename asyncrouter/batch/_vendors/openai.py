"""OpenAI's Batch API: a file of lines is uploaded, a batch is made of it, and its results are two files.

Sources: OpenAI's API reference ("Batch", "Files") and its SDK, openai 3.57. Azure's v1 API, Groq and Together speak the
same with other words for states and times, which are read too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter import FileRequest
from asyncrouter.batch._vendors.answer import VendorError
from asyncrouter.batch._vendors.api import Encoded, Fault, Form, Group, Limits, Look, Result
from asyncrouter.batch._vendors.lines import read_lines
from asyncrouter.batch._vendors.place import checked, unless_gone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asyncrouter import Request
    from asyncrouter.batch._vendors.answer import Steps
    from asyncrouter.batch._vendors.api import Phase, Sent
    from asyncrouter.batch._vendors.place import Place

ENDPOINTS = ("/chat/completions", "/responses", "/embeddings")
"""The paths of calls that the API takes."""
MARK = "asyncrouter"
"""The field of a batch's metadata that has our mark."""
PHASES: Mapping[str, Phase] = {
    "validating": "waiting", "queued": "waiting", "in_progress": "running", "running": "running",
    "finalizing": "ending", "cancelling": "ending", "completed": "ended", "failed": "ended", "expired": "ended",
    "cancelled": "ended",
}
"""The phase of each status; one that is not here is taken for running."""
PAGE = 100
"""Batches of a page of the list, the most that is given."""


class OpenAI:
    """OpenAI's Batch API."""

    name = "openai"
    limits = Limits(rows=50_000, bytes=190_000_000)
    by_file = True
    marks = True
    cancels = True
    inline = ""

    def encode(self, id: str, path: str, body: bytes) -> Encoded | None:  # noqa: A002  # the row's
        """The line of a call: its own body, with the id and the endpoint around it."""
        endpoint = next((each for each in ENDPOINTS if path.endswith(each)), None)
        if endpoint is None:
            return None
        model = orjson.loads(body).get("model")
        head = orjson.dumps({"custom_id": id, "method": "POST", "url": f"/v1{endpoint}"})
        return Encoded(Group(model, f"/v1{endpoint}"), head[:-1] + b',"body":' + body + b"}")

    def form(self, group: Group) -> Form:
        """Lines of JSON."""
        return Form()

    def upload(self, place: Place, sent: Sent) -> Steps[str]:
        """Upload the file as a form of two fields, `purpose` first, as OpenAI's SDK does."""
        boundary = f"----{sent.mark}"
        before = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name(sent)}"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        after = f"\r\n--{boundary}--\r\n".encode()
        size = len(before) + sent.path.stat().st_size + len(after)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": f"{size}"}
        request = place.request("POST", "/files", headers=headers)
        answer = checked((yield FileRequest.of(request, sent.path, before, after)))
        return text_of(answer, "id")

    def find_file(self, place: Place, sent: Sent) -> Steps[str | None]:
        """Look for the file's name among the newest."""
        wanted = file_name(sent)
        after: dict[str, str] = {}
        while True:
            query = {"purpose": "batch", "limit": "1000", "order": "desc", **after}
            page = checked((yield place.request("GET", "/files", query=query)))
            files = dicts_in(page.get("data"))
            for file in files:
                if file.get("filename") == wanted and file.get("status") != "error":
                    return text_of(file, "id")
            if not page.get("has_more") or not files or before(files[-1], sent.began):
                return None
            after = {"after": text_of(files[-1], "id")}

    def create(self, place: Place, sent: Sent) -> Steps[str]:
        """Make a batch of the file, with our mark in its metadata."""
        answer = checked((yield place.json("POST", "/batches", {
            "input_file_id": sent.file, "endpoint": sent.group.endpoint, "completion_window": "24h",
            "metadata": {MARK: sent.mark},
        })))
        inner = answer.get("job")  # Together answers so
        return text_of(inner if isinstance(inner, dict) else answer, "id")

    def find(self, place: Place, sent: Sent, known: frozenset[str]) -> Steps[str | None]:
        """Look for our mark among the newest batches."""
        after: dict[str, str] = {}
        while True:
            page = checked((yield place.request("GET", "/batches", query={"limit": f"{PAGE}", **after})))
            batches = dicts_in(page.get("data"))
            for batch in batches:
                metadata = batch.get("metadata")
                marked = isinstance(metadata, dict) and metadata.get(MARK) == sent.mark
                if marked and batch.get("id") not in known:
                    return text_of(batch, "id")
            if not page.get("has_more") or not batches or before(batches[-1], sent.began):
                return None
            after = {"after": text_of(batches[-1], "id")}

    def look(self, place: Place, batch: str) -> Steps[Look]:
        """The state of a batch; its two files, each of which may be missing or named ""."""
        answer = checked((yield place.request("GET", f"/batches/{batch}")))
        word = str(answer.get("status") or "").lower()
        files = (answer.get("output_file_id"), answer.get("error_file_id"))
        counts = answer.get("request_counts")
        return Look(
            PHASES.get(word, "running"), word, tuple(file for file in files if isinstance(file, str) and file),
            tuple(_faults(answer.get("errors"))), counts=counts if isinstance(counts, dict) else {},
        )

    def cancel(self, place: Place, batch: str) -> Steps[None]:
        """Cancel; within ten minutes the batch is `cancelled`, with the results up to then."""
        checked((yield place.request("POST", f"/batches/{batch}/cancel")))

    def downloads(self, place: Place, batch: str, outputs: tuple[str, ...]) -> list[Request]:
        """The contents of its files."""
        return [place.request("GET", f"/files/{file}/content") for file in outputs]

    def results(self, path: Path) -> Iterator[Result]:
        """The lines of an output or an error file."""
        for record in read_lines(path):
            if (result := read_result(record)) is not None:
                yield result

    def clean(self, place: Place, batch: str | None, file: str | None, outputs: tuple[str, ...]) -> Steps[None]:
        """Delete the files. The batch itself cannot be deleted; it holds no content."""
        for each in (*((file,) if file else ()), *outputs):
            unless_gone((yield place.request("DELETE", f"/files/{each}")))


def read_result(record: Mapping[str, object]) -> Result | None:
    """A line of results, as OpenAI and OpenRouter write it; `None` for what is none.

    Only the status 200 with a body is an answer: status 0 has been seen in batches without a failure.
    """
    given, response, error = record.get("custom_id"), record.get("response"), record.get("error")
    if not isinstance(given, str):
        return None
    if isinstance(response, dict):
        status, body, request_id = response.get("status_code"), response.get("body"), response.get("request_id")
        status = status if isinstance(status, int) else 0
        request_id = request_id if isinstance(request_id, str) else None
        if status == 200 and isinstance(body, dict) and error is None:
            return Result(given, 200, body, request_id=request_id)
        inner = body.get("error") if isinstance(body, dict) else None
        return Result(given, status, body, words_of(error) or words_of(inner) or f"status {status}", request_id)
    return Result(given, 0, None, words_of(error) or "no answer in its line")


def words_of(error: object) -> str:
    """Code and message of an error, as far as there are any."""
    if not isinstance(error, dict):
        return error if isinstance(error, str) else ""
    words = [str(error[name]) for name in ("code", "type", "message") if error.get(name) not in (None, "")]
    return ": ".join(dict.fromkeys(words))


def file_name(sent: Sent) -> str:
    """The name of an uploaded file, by which it can be found again."""
    return f"{sent.mark}.jsonl"


def text_of(answer: Mapping[str, object], name: str) -> str:
    """A field that must be text. Raises `VendorError`."""
    given = answer.get(name)
    if not isinstance(given, str) or not given:
        raise VendorError(200, f"the answer has no {name!r}", sure=False)
    return given


def dicts_in(given: object) -> list[dict[str, object]]:
    """The objects in a list, `[]` for anything else."""
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def before(item: Mapping[str, object], began: float) -> bool:
    """Whether an item of a list, newest first, is older than our attempt, by more than the clocks may differ."""
    created = item.get("created_at")
    return isinstance(created, int | float) and created < began - CLOCK_SKEW


CLOCK_SKEW = 600.0
"""Seconds by which the clocks of this machine and of a vendor may differ."""


def _faults(errors: object) -> Iterator[Fault]:
    """The errors of a batch: `{"data": […]}`, at Groq a list."""
    listed = errors.get("data") if isinstance(errors, dict) else errors
    for each in dicts_in(listed):
        line = f"line {each['line']}: " if each.get("line") is not None else ""
        yield Fault(str(each.get("code") or ""), f"{line}{each.get('message') or ''}")
