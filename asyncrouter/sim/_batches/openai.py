"""OpenAI's Batch API, simulated: files, batches, two files of results; it refuses what the real one refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._batches.http import download, json, parsed, unanswered
from asyncrouter.sim._batches.job import ENDS, UNPROCESSED, Asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim._batches.desk import Batches, StoredFile
    from asyncrouter.sim._batches.http import HttpRequest
    from asyncrouter.sim._batches.job import Answered, Job
    from asyncrouter.sim.play import Play

STATUSES = {
    "validating": "validating", "running": "in_progress", "finalizing": "finalizing", "cancelling": "cancelling",
    "completed": "completed", "failed": "failed", "expired": "expired", "cancelled": "cancelled",
}
"""The status of each state."""
MAX_ROWS = 50_000
"""Rows that a batch may have."""
_FIELD = re.compile(rb'name="([^"]*)"(?:; filename="([^"]*)")?')


def respond(batches: Batches, request: HttpRequest) -> Play:
    """The response to a request below /v1/files or /v1/batches."""
    if "authorization" not in request.headers:
        return error(401, "You didn't provide an API key.", code="invalid_api_key")
    parts = request.path.strip("/").split("/")
    if parts[0] == "files":
        return _files(batches, request, parts)
    return _batches(batches, request, parts)


def error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> Play:
    """An error in OpenAI's form."""
    return json(status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})


def _files(batches: Batches, request: HttpRequest, parts: Sequence[str]) -> Play:
    if request.method == "POST" and len(parts) == 1:
        return _upload(batches, request)
    if request.method == "GET" and len(parts) == 1:
        mine = [each for each in batches.files.values() if each.vendor == "openai" and not each.deleted]
        data = [_file(batches, each) for each in sorted(mine, key=lambda each: -each.made)]
        return json(200, {"object": "list", "data": data, "has_more": False})
    file = batches.file(parts[1])
    if file is None or _ready_at(batches, file) > request.at:
        return error(404, f"No such File object: {parts[1]}", param="id")
    if request.method == "DELETE":
        file.deleted = True
        return json(200, {"id": file.id, "object": "file", "deleted": True})
    if len(parts) == 3:
        return download(batches.faults, file.data, "application/octet-stream")
    return json(200, _file(batches, file))


def _ready_at(batches: Batches, file: StoredFile) -> float:
    """From when on a file of results can be fetched."""
    job = batches.jobs.get(file.name)
    return 0.0 if job is None else job.ends_at + job.results_at


def _upload(batches: Batches, request: HttpRequest) -> Play:
    if batches.faults.strikes("upload_lost"):
        return unanswered(2.0)
    kind = request.headers.get("content-type", "")
    boundary = kind.partition("boundary=")[2].strip('"')
    fields: dict[str, tuple[str, bytes]] = {}
    for part in request.body.split(f"--{boundary}".encode())[1:-1] if boundary else []:
        head, _, data = part.partition(b"\r\n\r\n")
        if (found := _FIELD.search(head)) is not None:
            fields[found[1].decode()] = (found[2] or b"").decode(), data.removesuffix(b"\r\n")
    if fields.get("purpose", ("", b""))[1] != b"batch" or "file" not in fields:
        return error(400, "'purpose' and 'file' are required", param="purpose")
    name, data = fields["file"]
    file = batches.store("openai", f"file-{batches.number()}", name, data, request.at)
    if batches.faults.strikes("upload_unanswered"):
        return unanswered(2.0)
    return json(200, _file(batches, file))


def _file(batches: Batches, file: StoredFile) -> dict[str, object]:
    return {
        "id": file.id, "object": "file", "bytes": len(file.data), "created_at": int(batches.wall(file.made)),
        "filename": file.name, "purpose": "batch", "status": "processed",
    }


def _batches(batches: Batches, request: HttpRequest, parts: Sequence[str]) -> Play:
    if request.method == "POST" and len(parts) == 1:
        return _create(batches, request)
    if len(parts) == 1:
        mine = [each for each in batches.jobs.values() if each.vendor == "openai" and each.visible_at <= request.at]
        data = [_object(batches, each, request.at) for each in sorted(mine, key=lambda each: -each.made)]
        return json(200, {"object": "list", "data": data[:100], "has_more": False})
    if request.method == "GET" and batches.faults.strikes("look_429"):
        return error(429, "Rate limit reached for requests", code="rate_limit_exceeded")
    if request.method == "GET" and batches.faults.strikes("look_500"):
        return error(500, "The server had an error while processing your request.")
    job = batches.job(parts[1], request.at)
    if job is None or job.vendor != "openai":
        return error(404, f"No batch found with id '{parts[1]}'.")
    if request.method == "POST" and parts[-1] == "cancel":
        if job.state(request.at) in ENDS:
            return error(409, f"Cannot cancel a batch with status '{STATUSES[job.state(request.at)]}'.")
        job.cancelled_at = request.at if job.cancelled_at is None else job.cancelled_at
    return json(200, _object(batches, job, request.at))


def _create(batches: Batches, request: HttpRequest) -> Play:
    body, strikes = parsed(request.body), batches.faults.strikes
    if strikes("create_429"):
        return error(429, "Rate limit reached for requests", code="rate_limit_exceeded")
    if strikes("create_lost"):
        return error(502, "Bad gateway")
    if body.get("completion_window") != "24h":
        return error(400, "completion_window must be 24h", param="completion_window")
    unknown = body.keys() - {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
    if unknown:
        return error(400, f"Unknown parameter: '{min(unknown)}'.", param=min(unknown))
    file, endpoint = batches.file(str(body.get("input_file_id"))), str(body.get("endpoint"))
    metadata = body.get("metadata")
    mark = str(metadata.get("asyncrouter", "")) if isinstance(metadata, dict) else ""
    rows, failure = ([], ("invalid_file", "The input file cannot be found.")) if file is None else _rows(file, endpoint)
    if strikes("fresh_file"):
        failure = ("invalid_file", f"The file {body.get('input_file_id')} cannot be found.")
    model = str(rows[0].body.get("model")) if rows else ""
    job = batches.create(
        "openai", f"batch_{batches.number()}", model, endpoint, rows, request.at, mark=mark,
        file=str(body.get("input_file_id")), failure=failure,
    )
    return unanswered() if strikes("create_unanswered") else json(200, _object(batches, job, request.at))


def _rows(file: StoredFile, endpoint: str) -> tuple[list[Asked], tuple[str, str] | None]:
    """The rows of a file, and why it is refused."""
    rows, ids, models = [], set(), set()
    for line in file.data.splitlines():
        record = parsed(line)
        given, inner = record.get("custom_id"), record.get("body")
        if not isinstance(given, str) or not isinstance(inner, dict) or record.get("method") != "POST":
            return [], ("invalid_json_line", "This line is not parseable as valid JSON.")
        if record.get("url") != endpoint:
            return [], ("url_mismatch", f"The URL provided for this request does not match {endpoint}.")
        if given in ids:
            return [], ("duplicate_custom_id", f"The custom_id {given} is not unique.")
        if inner.get("stream"):
            return [], ("invalid_request", "stream is not supported in a batch")
        ids.add(given)
        models.add(inner.get("model"))
        rows.append(Asked(given, inner))
    if not rows:
        return [], ("empty_file", "The input file is empty.")
    if len(models) > 1:
        return [], ("model_mismatch", "A batch takes requests for one model.")
    return rows, ("too_many_tasks", "Too many requests in the file.") if len(rows) > MAX_ROWS else None


def _object(batches: Batches, job: Job, at: float) -> dict[str, object]:
    state = job.state(at)
    outputs, counts = _outputs(batches, job, at) if state in ENDS else ({}, (0, 0))
    errors = None
    if state == "failed" and job.failure is not None:
        code, message = job.failure
        errors = {"object": "list", "data": [{"code": code, "message": message, "line": None, "param": None}]}
    wall = batches.wall
    return {
        "id": job.id, "object": "batch", "endpoint": job.endpoint, "errors": errors, "input_file_id": job.file,
        "completion_window": "24h", "status": STATUSES[state], "output_file_id": outputs.get("output"),
        "error_file_id": outputs.get("error"), "created_at": int(wall(job.made)),
        "expires_at": int(wall(job.made)) + 86400, "metadata": {"asyncrouter": job.mark} if job.mark else None,
        "request_counts": {"total": len(job.rows), "completed": counts[0], "failed": counts[1]},
    }


def _outputs(batches: Batches, job: Job, at: float) -> tuple[Mapping[str, str | None], tuple[int, int]]:
    """The ids of the two files of results, made at the first look, and how many rows went well and wrong."""
    all_ = batches.results(job, at)
    failed = sum(each.status != 200 and each.status != -2 for each in all_)
    counts = (len(all_) - failed, failed)
    if job.failure is not None:
        return {}, (0, 0)
    if "made" not in job.outputs:
        job.outputs["made"] = "yes"
        told = batches.told(job, at)
        for kind in ("output", "error"):
            lines = [_line(each, job) for each in told if (each.status in {200, 0}) == (kind == "output")]
            if lines:
                file = batches.store("openai", f"file-{batches.number()}", job.id, b"\n".join(lines) + b"\n", at)
                job.outputs[kind] = file.id
    return {"output": job.outputs.get("output") or "", "error": job.outputs.get("error")}, counts


def _line(answer: Answered, job: Job) -> bytes:
    record: dict[str, object] = {"id": f"batch_req_{answer.id}", "custom_id": answer.id}
    record |= {"response": None, "error": None}
    if answer.status == UNPROCESSED:
        code = "batch_expired" if job.cancelled_at is None else "batch_cancelled"
        record["error"] = {"code": code, "message": "This request could not be executed before the batch ended."}
    else:
        body = answer.body if answer.body is not None or answer.status == 0 else {
            "error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}
        }
        record["response"] = {"status_code": answer.status, "request_id": f"req_{answer.id}", "body": body}
    return orjson.dumps(record)
