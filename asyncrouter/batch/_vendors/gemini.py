"""Google's Batch API for Gemini: a file of lines is uploaded, a batch is made of it, its results are a file or inline.

Sources: ai.google.dev ("Batch API", "Files API") and the SDK, google-genai 3.6. Batches are always made of files:
inline requests come back out of order and without their metadata (python-genai#1909). `responseJsonSchema` gives
garbage in batches, `responseSchema` does not (ruby_llm#894), so it is rewritten; and one batch has one schema.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

import orjson

from asyncrouter import FileRequest
from asyncrouter.batch._vendors.answer import VendorError
from asyncrouter.batch._vendors.api import Encoded, Fault, Form, Group, Limits, Look, Result
from asyncrouter.batch._vendors.lines import read_lines
from asyncrouter.batch._vendors.long_list import read_list
from asyncrouter.batch._vendors.openai import CLOCK_SKEW, dicts_in, text_of, words_of
from asyncrouter.batch._vendors.place import checked, failure, unless_gone
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asyncrouter import Request
    from asyncrouter.batch._vendors.answer import Steps
    from asyncrouter.batch._vendors.api import Phase, Sent
    from asyncrouter.batch._vendors.place import Place

METHOD = ":generateContent"
"""The end of a call's path."""
PHASES: Mapping[str, Phase] = {
    "PENDING": "waiting", "QUEUED": "waiting", "RUNNING": "running", "CANCELLING": "ending", "SUCCEEDED": "ended",
    "FAILED": "ended", "CANCELLED": "ended", "EXPIRED": "ended", "PARTIALLY_SUCCEEDED": "ended",
}
"""The phase of each state, without its prefix; one that is not here is taken for running."""
INLINE, INLINE_LIST = "inline", "inlinedResponses"
"""Stands among the outputs for results that come with the batch itself; and the list they are in."""
CODES = {3: 400, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
"""The HTTP status of gRPC's codes, which stand in errors (google.rpc.Code)."""


class Gemini:
    """Google's Batch API."""

    name = "gemini"
    limits = Limits(rows=200_000, bytes=1_000_000_000, batches=90)
    by_file = True
    marks = True
    cancels = True
    inline = INLINE_LIST

    def encode(self, id: str, path: str, body: bytes) -> Encoded | None:  # noqa: A002  # the row's
        """The line of a call: its own body as `request`, with its schema in the field that batches read."""
        if not path.endswith(METHOD):
            return None
        model = unquote(path.removesuffix(METHOD).rpartition("/models/")[2])
        request: dict[str, object] = orjson.loads(body)
        common = _with_batch_schema(request)
        written = json_bytes(request) if common else body
        line = b'{"key":"%b","request":%b}' % (id.encode(), written)
        return Encoded(Group(model, "generateContent", common), line)

    def form(self, group: Group) -> Form:
        """Lines of JSON."""
        return Form()

    def upload(self, place: Place, sent: Sent) -> Steps[str]:
        """Begin an upload, then send the file to the address that the answer names."""
        size = sent.path.stat().st_size
        headers = {
            "Content-Type": "application/json", "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": f"{size}", "X-Goog-Upload-Header-Content-Type": "application/jsonl",
            "X-Goog-Upload-File-Name": f"{sent.mark}.jsonl",
        }
        body = {"file": {"displayName": sent.mark, "mimeType": "application/jsonl", "sizeBytes": size}}
        answer = yield place.request("POST", f"{_host(place)}/upload{_version(place)}/files", json_bytes(body), headers)
        if not 200 <= answer.status < 300:
            raise failure(answer)
        if not (address := answer.headers.get("x-goog-upload-url", "")):
            raise VendorError(answer.status, "the answer has no X-Goog-Upload-URL")
        headers = {
            "X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0", "Content-Length": f"{size}",
        }
        request = place.request("POST", address, headers=headers, keyed=False)
        file = checked((yield FileRequest.of(request, sent.path))).get("file")
        return text_of(file if isinstance(file, dict) else {}, "name")

    def find_file(self, place: Place, sent: Sent) -> Steps[str | None]:
        """Look for our mark among the files."""
        page_token: dict[str, str] = {}
        while True:
            page = checked((yield place.request("GET", "/files", query={"pageSize": "100", **page_token})))
            for file in dicts_in(page.get("files")):
                if file.get("displayName") == sent.mark and file.get("state") != "FAILED":
                    return text_of(file, "name")
            if not isinstance(token := page.get("nextPageToken"), str) or not token:
                return None
            page_token = {"pageToken": token}

    def create(self, place: Place, sent: Sent) -> Steps[str]:
        """Make a batch of the file, with our mark as its name to be shown."""
        batch = {"displayName": sent.mark, "inputConfig": {"fileName": sent.file}}
        answer = yield place.json("POST", f"/models/{sent.group.model}:batchGenerateContent", {"batch": batch})
        return text_of(checked(answer), "name")

    def find(self, place: Place, sent: Sent, known: frozenset[str]) -> Steps[str | None]:
        """Look for our mark among the batches."""
        page_token: dict[str, str] = {}
        while True:
            page = checked((yield place.request("GET", "/batches", query={"pageSize": "100", **page_token})))
            batches = dicts_in(page.get("operations") or page.get("batches"))
            for batch in batches:
                if _metadata(batch).get("displayName") == sent.mark and batch.get("name") not in known:
                    return text_of(batch, "name")
            token = page.get("nextPageToken")
            if not isinstance(token, str) or not token or (batches and _is_older(batches[-1], sent.began)):
                return None
            page_token = {"pageToken": token}

    def look(self, place: Place, batch: str) -> Steps[Look]:
        """The state of a batch, in whose metadata everything stands."""
        answer = checked((yield place.request("GET", f"/{batch}")))
        metadata = _metadata(answer)
        word = str(metadata.get("state") or "").removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
        error = answer.get("error")
        faults = (Fault(str(error.get("code") or ""), words_of(error)),) if isinstance(error, dict) else ()
        given = metadata.get("batchStats")
        stats = given if isinstance(given, dict) else {}
        counts = {str(name): int(count) for name, count in stats.items() if str(count).isdigit()}
        return Look(PHASES.get(word, "running"), word.lower(), _outputs(answer), faults, counts=counts)

    def cancel(self, place: Place, batch: str) -> Steps[None]:
        """Cancel; the answer is empty."""
        checked((yield place.request("POST", f"/{batch}:cancel")))

    def downloads(self, place: Place, batch: str, outputs: tuple[str, ...]) -> list[Request]:
        """The file of results, or the batch itself where they are inline."""
        return [
            place.request("GET", f"/{batch}") if output == INLINE
            else place.request(
                "GET", f"{_host(place)}/download{_version(place)}/{output}:download", query={"alt": "media"}
            )
            for output in outputs
        ]

    def results(self, path: Path) -> Iterator[Result]:
        """The lines of a file, or the inline results of a batch: one JSON object."""
        with path.open("rb") as file:
            head = file.read(1 << 16)
        if b'"inlinedResponses"' in head:
            for record in read_list(path, INLINE_LIST):
                given = record.get("metadata")
                key = given.get("key") if isinstance(given, dict) else record.get("key")
                if isinstance(key, str):
                    yield _result(key, record)
            return
        for record in read_lines(path):
            if isinstance(key := record.get("key"), str):
                yield _result(key, record)

    def clean(self, place: Place, batch: str | None, file: str | None, outputs: tuple[str, ...]) -> Steps[None]:
        """Delete the batch, the file of lines and the file of results."""
        gone = (*((batch,) if batch else ()), *((file,) if file else ()), *(each for each in outputs if each != INLINE))
        for name in gone:
            unless_gone((yield place.request("DELETE", f"/{name}")))


def _with_batch_schema(request: dict[str, object]) -> str:
    """Move a schema for the answer into the field that batches read; the schema as JSON, "" for none."""
    config = request.get("generationConfig")
    if not isinstance(config, dict):
        return ""
    schema = config.pop("responseJsonSchema", None)
    if schema is not None:
        config["responseSchema"] = _openapi(schema)
    return "" if "responseSchema" not in config else json_bytes(config["responseSchema"]).decode()


_NOT_IN_OPENAPI = frozenset({"$schema", "$id", "additionalProperties", "$defs", "$comment", "examples", "default"})


def _openapi(schema: object, definitions: Mapping[str, object] | None = None, depth: int = 0) -> object:
    """A JSON schema in the subset of OpenAPI that `responseSchema` takes: references are written out."""
    if isinstance(schema, list):
        return [_openapi(each, definitions, depth + 1) for each in schema]
    if not isinstance(schema, dict) or depth > 64:
        return schema
    definitions = schema.get("$defs", definitions)
    reference = schema.get("$ref")
    if isinstance(reference, str) and isinstance(definitions, dict):
        return _openapi(definitions.get(reference.rpartition("/")[2], {}), definitions, depth + 1)
    written: dict[str, object] = {}
    for name, value in schema.items():
        if name in _NOT_IN_OPENAPI:
            continue
        if name == "properties" and isinstance(value, dict):
            written[name] = {key: _openapi(inner, definitions, depth + 1) for key, inner in value.items()}
        elif name in {"items", "anyOf", "prefixItems"}:
            written[name] = _openapi(value, definitions, depth + 1)
        elif name == "oneOf":
            written["anyOf"] = _openapi(value, definitions, depth + 1)
        elif name == "type" and isinstance(value, list):
            kinds = [kind for kind in value if kind != "null"]
            written |= {"type": kinds[0] if kinds else "string", **({"nullable": True} if "null" in value else {})}
        elif name == "const":
            written["enum"] = [value]
        else:
            written[name] = value
    return written


def _outputs(batch: Mapping[str, object]) -> tuple[str, ...]:
    response, metadata = batch.get("response"), _metadata(batch)
    for holder in (metadata.get("output"), metadata.get("dest"), response):
        if isinstance(holder, dict):
            if isinstance(file := holder.get("responsesFile"), str) and file:
                return (file,)
            if holder.get("inlinedResponses"):
                return (INLINE,)
    return ()


def _result(key: str, record: Mapping[str, object]) -> Result:
    response, error = record.get("response"), record.get("error")
    if isinstance(response, dict) and error is None:
        return Result(key, 200, response)
    code = error.get("code") if isinstance(error, dict) else None
    status = CODES.get(code, code if code > 99 else 0) if isinstance(code, int) else 0
    body = {"error": error} if isinstance(error, dict) else None
    return Result(key, status, body, words_of(error) or "no answer in its line")


def _metadata(batch: Mapping[str, object]) -> dict[str, object]:
    metadata = batch.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _is_older(batch: Mapping[str, object], began: float) -> bool:
    made = _metadata(batch).get("createTime")
    try:
        return isinstance(made, str) and datetime.fromisoformat(made).timestamp() < began - CLOCK_SKEW
    except ValueError:
        return False


def _host(place: Place) -> str:
    """The address before the version, where uploads and downloads have a path of their own."""
    return place.base.rpartition("/")[0]


def _version(place: Place) -> str:
    return f"/{place.base.rpartition('/')[2]}"
