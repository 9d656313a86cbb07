"""Google's Batch API for Gemini, simulated: resumable uploads, batches of files, results as a file or inline."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._batches.http import download, json, parsed, unanswered
from asyncrouter.sim._batches.job import ENDS, UNPROCESSED, Asked

if TYPE_CHECKING:
    from asyncrouter.sim._batches.desk import Batches, StoredFile
    from asyncrouter.sim._batches.http import HttpRequest
    from asyncrouter.sim._batches.job import Answered, Job
    from asyncrouter.sim.play import Play

STATES = {
    "validating": "PENDING", "running": "RUNNING", "finalizing": "RUNNING", "cancelling": "RUNNING",
    "completed": "SUCCEEDED", "failed": "FAILED", "expired": "EXPIRED", "cancelled": "CANCELLED",
}
"""The state of each state, without its prefix."""
STATUSES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 502: "UNAVAILABLE"}


def respond(batches: Batches, request: HttpRequest) -> Play:
    """The response to a request below /v1beta, /upload/v1beta or /download/v1beta."""
    path, method = request.path, request.method
    if path.startswith("/upload/"):
        return _upload(batches, request)
    if "x-goog-api-key" not in request.headers:
        return error(403, "Method doesn't allow unregistered callers")
    if path.endswith(":download"):  # under /download in Google's documentation, without it in the SDK
        file = batches.file(path.removeprefix("/download").removeprefix("/").removesuffix(":download"))
        if file is None or file.made + _late(batches, file) > request.at:
            return error(404, "The file does not exist")
        return download(batches.faults, file.data, "application/octet-stream")
    if path.endswith(":batchGenerateContent"):
        return _create(batches, request)
    if path == "/files":
        mine = [each for each in batches.files.values() if each.vendor == "gemini" and not each.deleted]
        return json(200, {"files": [_file(each) for each in mine]} if mine else {})
    if path == "/batches":
        jobs = [
            each for each in batches.jobs.values()
            if each.vendor == "gemini" and not each.deleted and each.visible_at <= request.at
        ]
        jobs.sort(key=lambda each: -each.made)
        return json(200, {"operations": [_object(batches, each, request.at) for each in jobs]} if jobs else {})
    if path.startswith("/files/"):
        file = batches.file(path.removeprefix("/"))
        if file is None:
            return error(404, "The file does not exist")
        file.deleted = method == "DELETE"
        return json(200, {} if method == "DELETE" else _file(file))
    return _batch(batches, request)


def error(status: int, message: str) -> Play:
    """An error in Google's form."""
    return json(status, {"error": {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}})


def _late(batches: Batches, file: StoredFile) -> float:
    job = batches.jobs.get(file.name)
    return 0.0 if job is None else job.results_at


def _upload(batches: Batches, request: HttpRequest) -> Play:
    command = request.headers.get("x-goog-upload-command", "")
    if command == "start":
        if "x-goog-api-key" not in request.headers:
            return error(403, "Method doesn't allow unregistered callers")
        given = parsed(request.body).get("file")
        names = given if isinstance(given, dict) else {}  # Google takes both spellings of a field
        name = str(names.get("displayName") or names.get("display_name") or "")
        origin = request.url.partition("/upload/")[0]
        play = json(200, {})
        play.headers["x-goog-upload-url"] = f"{origin}/upload/v1beta/files?upload_id={name}&upload_protocol=resumable"
        return play
    if command != "upload, finalize" or request.headers.get("x-goog-upload-offset") != "0":
        return error(400, "X-Goog-Upload-Command: expected upload, finalize")
    if batches.faults.strikes("upload_lost"):
        return unanswered(2.0)
    name = request.query.get("upload_id", "")
    file = batches.store("gemini", f"files/{batches.number()}", name, request.body, request.at)
    if batches.faults.strikes("upload_unanswered"):
        return unanswered(2.0)
    play = json(200, {"file": _file(file)})
    play.headers["x-goog-upload-status"] = "final"
    return play


def _file(file: StoredFile) -> dict[str, object]:
    return {"name": file.id, "displayName": file.name, "sizeBytes": str(len(file.data)), "state": "ACTIVE"}


def _create(batches: Batches, request: HttpRequest) -> Play:
    strikes = batches.faults.strikes
    if strikes("create_429"):
        return error(429, "You exceeded your current quota")
    if strikes("create_lost"):
        return error(502, "Bad gateway")
    batch = parsed(request.body).get("batch")
    config = batch.get("inputConfig") if isinstance(batch, dict) else None
    if not isinstance(batch, dict) or not isinstance(config, dict):
        return error(400, "batch.inputConfig: required")
    file = batches.file(str(config.get("fileName")))
    if file is None or strikes("fresh_file"):
        return error(404, f"The file {config.get('fileName')} cannot be found")
    rows, schemas = [], set()
    for line in file.data.splitlines():
        record = parsed(line)
        key, body = record.get("key"), record.get("request")
        if not isinstance(key, str) or not isinstance(body, dict):
            return error(400, "a line needs key and request")
        generation = body.get("generationConfig")
        if isinstance(generation, dict):
            schemas.add(orjson.dumps(generation.get("responseSchema")))
        rows.append(Asked(key, body))
    if len(schemas) > 1:
        return error(400, "one schema a batch")
    model = request.path.partition("/models/")[2].removesuffix(":batchGenerateContent")
    job = batches.create(
        "gemini", f"batches/{batches.number()}", model, "generateContent", rows, request.at,
        mark=str(batch.get("displayName", "")), file=str(config.get("fileName")),
    )
    return unanswered() if strikes("create_unanswered") else json(200, _object(batches, job, request.at))


def _batch(batches: Batches, request: HttpRequest) -> Play:
    name, _, verb = request.path.removeprefix("/").partition(":")
    if request.method == "GET" and batches.faults.strikes("look_429"):
        return error(429, "You exceeded your current quota")
    if request.method == "GET" and batches.faults.strikes("look_500"):
        return error(500, "An internal error has occurred")
    job = batches.job(name, request.at)
    if job is None or job.vendor != "gemini":
        return error(404, f"{name} is not found")
    if verb == "cancel":
        if job.state(request.at) not in ENDS and job.cancelled_at is None:
            job.cancelled_at = request.at
        return json(200, {})
    if request.method == "DELETE":
        if job.state(request.at) not in ENDS:
            return error(400, "The batch is not done")
        job.deleted = True
        return json(200, {})
    return json(200, _object(batches, job, request.at))


def _object(batches: Batches, job: Job, at: float) -> dict[str, object]:
    state = job.state(at)

    def iso(instant: float) -> str:
        return datetime.fromtimestamp(batches.wall(instant), UTC).isoformat()

    metadata: dict[str, object] = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": f"models/{job.model}", "displayName": job.mark, "createTime": iso(job.made), "name": job.id,
        "state": f"BATCH_STATE_{STATES[state]}", "batchStats": {"requestCount": str(len(job.rows))},
    }
    found: dict[str, object] = {"name": job.id, "metadata": metadata, "done": state in ENDS}
    if state == "failed" and job.failure is not None:
        found["error"] = {"code": 13, "message": f"{job.failure[0]}: {job.failure[1]}"}
    elif state in {"completed", "cancelled"} and (output := _output(batches, job, at)):  # expired: no results at all
        metadata["output"] = output
    elif state == "expired":
        batches.results(job, at)
    return found


def _output(batches: Batches, job: Job, at: float) -> dict[str, object]:
    """Where the results are; made at the first look."""
    if "kind" not in job.outputs:
        job.outputs["kind"] = "inline" if batches.faults.strikes("inline") else "file"
        told = [_record(each) for each in batches.told(job, at) if each.status != UNPROCESSED]
        if job.outputs["kind"] == "inline":
            job.outputs["inline"] = orjson.dumps([
                {**{k: v for k, v in each.items() if k != "key"}, "metadata": {"key": each["key"]}} for each in told
            ]).decode()
        else:
            data = b"".join(orjson.dumps(each) + b"\n" for each in told)
            job.outputs["file"] = batches.store("gemini", f"files/batch-{batches.number()}", job.id, data, at).id
    if job.outputs["kind"] == "inline":
        return {"inlinedResponses": {"inlinedResponses": orjson.loads(job.outputs["inline"])}}
    return {"responsesFile": job.outputs["file"]}


def _record(answer: Answered) -> dict[str, object]:
    if answer.status == 200:
        return {"key": answer.id, "response": answer.body}
    body = answer.body if isinstance(answer.body, dict) else {}
    given = body.get("error")
    return {"key": answer.id, "error": given if isinstance(given, dict) else {"code": 13, "message": "Internal error"}}
