"""Anthropic's Message Batches API, simulated; it refuses what the real one refuses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._batches.http import download, json, parsed, unanswered
from asyncrouter.sim._batches.job import ENDS, MISSING, UNPROCESSED, Asked

if TYPE_CHECKING:
    from asyncrouter.sim._batches.desk import Batches
    from asyncrouter.sim._batches.http import HttpRequest
    from asyncrouter.sim._batches.job import Answered, Job
    from asyncrouter.sim.play import Play

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def respond(batches: Batches, request: HttpRequest) -> Play:
    """The response to a request below /v1/messages/batches."""
    if "x-api-key" not in request.headers and "authorization" not in request.headers:
        return error(401, "authentication_error", "x-api-key header is required")
    if "anthropic-version" not in request.headers:
        return error(400, "invalid_request_error", "anthropic-version: header is required")
    parts = request.path.strip("/").split("/")[2:]
    if not parts:
        return _create(batches, request) if request.method == "POST" else _list(batches, request)
    if len(parts) == 1 and request.method == "GET" and batches.faults.strikes("look_429"):
        return error(429, "rate_limit_error", "This request would exceed your rate limit")
    if len(parts) == 1 and request.method == "GET" and batches.faults.strikes("look_500"):
        return error(500, "api_error", "Internal server error")
    job = batches.job(parts[0], request.at)
    if job is None or job.vendor != "anthropic":
        return error(404, "not_found_error", f"No such message batch: {parts[0]}")
    ended = job.state(request.at) in ENDS
    if parts[1:] == ["results"]:
        if not ended or request.at < job.ends_at + job.results_at:
            return error(404, "not_found_error", "The results are not available")
        lines = [_line(each, job) for each in batches.told(job, request.at)]
        return download(batches.faults, b"\n".join(lines) + b"\n", "application/x-jsonl")
    if parts[1:] == ["cancel"]:
        if ended:
            return error(400, "invalid_request_error", "The batch has ended")
        job.cancelled_at = request.at if job.cancelled_at is None else job.cancelled_at
    elif request.method == "DELETE":
        if not ended:
            return error(400, "invalid_request_error", "The batch has not ended")
        job.deleted = True
        return json(200, {"id": job.id, "type": "message_batch_deleted"})
    return json(200, _object(batches, job, request.at))


def error(status: int, kind: str, message: str) -> Play:
    """An error in Anthropic's form."""
    return json(status, {"type": "error", "error": {"type": kind, "message": message}})


def _create(batches: Batches, request: HttpRequest) -> Play:
    strikes = batches.faults.strikes
    if strikes("create_429"):
        return error(429, "rate_limit_error", "This request would exceed your rate limit")
    if strikes("create_lost"):
        return error(502, "api_error", "Bad gateway")
    body = parsed(request.body)
    rows, ids = [], set()
    listed = body.get("requests")
    for number, each in enumerate(listed if isinstance(listed, list) else []):
        given, params = each.get("custom_id"), each.get("params")
        if not isinstance(given, str) or not _ID.fullmatch(given) or given in ids:
            message = f"requests.{number}.custom_id: must be unique, and match {_ID.pattern}"
            return error(400, "invalid_request_error", message)
        if not isinstance(params, dict) or not {"max_tokens", "messages"} <= params.keys() or params.get("stream"):
            return error(400, "invalid_request_error", f"requests.{number}.params.max_tokens: Field required")
        ids.add(given)
        rows.append(Asked(given, params))
    if not rows or body.keys() != {"requests"}:
        return error(400, "invalid_request_error", "requests: at least one is required")
    job = batches.create(
        "anthropic", f"msgbatch_{batches.number()}", str(rows[0].body.get("model")), "/v1/messages", rows, request.at
    )
    job.failure = None  # a batch of Anthropic's is refused at once or not at all
    job.valid_at = request.at
    return unanswered() if strikes("create_unanswered") else json(200, _object(batches, job, request.at))


def _list(batches: Batches, request: HttpRequest) -> Play:
    mine = [
        each for each in batches.jobs.values()
        if each.vendor == "anthropic" and not each.deleted and each.visible_at <= request.at
    ]
    mine.sort(key=lambda each: -each.made)
    after = [number for number, each in enumerate(mine, 1) if each.id == request.query.get("after_id")]
    page = mine[after[0] if after else 0 :]
    data = [_object(batches, each, request.at) for each in page[:100]]
    return json(200, {"data": data, "has_more": len(page) > 100, "first_id": None, "last_id": None})


def _object(batches: Batches, job: Job, at: float) -> dict[str, object]:
    state, names = job.state(at), ("succeeded", "errored", "canceled", "expired")
    counts, ended = {"processing": len(job.rows), **dict.fromkeys(names, 0)}, state in ENDS
    if ended:
        counts["processing"] = 0
        for each in batches.results(job, at):
            counts[_type(each, job)] += 1

    def iso(instant: float) -> str:
        return datetime.fromtimestamp(batches.wall(instant), UTC).isoformat()

    return {
        "id": job.id, "type": "message_batch", "created_at": iso(job.made), "expires_at": iso(job.made + 86400.0),
        "archived_at": None, "ended_at": iso(job.ends_at) if ended else None,
        "cancel_initiated_at": None if job.cancelled_at is None else iso(job.cancelled_at),
        "processing_status": "ended" if ended else "canceling" if state == "cancelling" else "in_progress",
        "request_counts": counts,
        "results_url": f"https://gone.invalid/v1/messages/batches/{job.id}/results" if ended else None,
    }


def _type(answer: Answered, job: Job) -> str:
    if answer.status == UNPROCESSED:
        return "expired" if job.cancelled_at is None else "canceled"
    return "succeeded" if answer.status in {200, MISSING} else "errored"


def _line(answer: Answered, job: Job) -> bytes:
    kind = _type(answer, job)
    result: dict[str, object] = {"type": kind}
    if kind == "succeeded":
        message = dict(answer.body) if isinstance(answer.body, dict) else {}
        if isinstance(usage := message.get("usage"), dict):
            message["usage"] = {**usage, "service_tier": "batch"}
        result["message"] = message
    elif kind == "errored":
        body = answer.body if isinstance(answer.body, dict) else {
            "type": "error", "error": {"type": "api_error", "message": "Internal server error"}
        }
        result["error"] = body
    return orjson.dumps({"custom_id": answer.id, "result": result})
