"""OpenRouter's Batch API, simulated: rows in the request, results inline at the end, no way to cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.sim._batches.http import download, json, parsed, unanswered
from asyncrouter.sim._batches.job import ENDS, UNPROCESSED, Asked

if TYPE_CHECKING:
    from asyncrouter.sim._batches.desk import Batches
    from asyncrouter.sim._batches.http import HttpRequest
    from asyncrouter.sim._batches.job import Answered, Job
    from asyncrouter.sim.play import Play

MAX_ROWS = 5_000
"""Rows that a batch may have."""
STATUSES = {"running": "in_progress"}
"""The status of the states whose word is another."""


def respond(batches: Batches, request: HttpRequest) -> Play:
    """The response to a request below /api/v1/batches."""
    if "authorization" not in request.headers:
        return error(401, "No auth credentials found")
    parts = request.path.strip("/").split("/")[1:]
    if not parts:
        return _create(batches, request) if request.method == "POST" else _list(batches, request)
    if request.method == "GET" and batches.faults.strikes("look_429"):
        return error(429, "Rate limit exceeded")
    if request.method == "GET" and batches.faults.strikes("look_500"):
        return error(500, "Internal Server Error")
    job = batches.job(parts[0], request.at)
    if job is None or job.vendor != "openrouter" or len(parts) > 1:
        return error(404, "Batch not found")
    if request.method == "DELETE":
        if job.state(request.at) not in ENDS:
            return error(409, "The batch has not ended")
        job.deleted = True
        return json(200, {"id": job.id, "object": "batch.deleted", "deletion": {}})
    found = _object(batches, job, request.at, whole=True)
    play = json(200, found)
    if found["results"] is not None:
        return download(batches.faults, b"".join(part.data for part in play.body))
    return play


def error(status: int, message: str) -> Play:
    """An error in OpenRouter's form."""
    return json(status, {"error": {"code": status, "message": message}})


def _create(batches: Batches, request: HttpRequest) -> Play:
    strikes, body = batches.faults.strikes, parsed(request.body)
    if strikes("create_429"):
        return error(429, "Rate limit exceeded")
    if strikes("create_lost"):
        return error(502, "Bad gateway")
    names = list(body)
    if "requests" not in names or {"endpoint", "model"} - set(names[: names.index("requests")]):
        return error(400, "endpoint and model must come before requests")
    listed = body["requests"]
    rows = [Asked(str(each.get("custom_id")), each["body"]) for each in (listed if isinstance(listed, list) else [])]
    if not 0 < len(rows) <= MAX_ROWS or len({row.id for row in rows}) != len(rows):
        return error(400, f"requests: expected 1 to {MAX_ROWS} with ids of their own")
    job = batches.create(
        "openrouter", f"batch-{batches.number()}", str(body["model"]), str(body["endpoint"]), rows, request.at
    )
    return unanswered() if strikes("create_unanswered") else json(202, _object(batches, job, request.at))


def _list(batches: Batches, request: HttpRequest) -> Play:
    mine = [
        each for each in batches.jobs.values()
        if each.vendor == "openrouter" and not each.deleted and each.visible_at <= request.at
    ]
    mine.sort(key=lambda each: -each.made)
    return json(200, {
        "object": "list", "data": [_object(batches, each, request.at) for each in mine], "has_more": False,
    })


def _object(batches: Batches, job: Job, at: float, *, whole: bool = False) -> dict[str, object]:
    state = job.state(at)
    ended = state in ENDS
    all_ = batches.results(job, at) if ended else []
    failed = sum(each.status not in {200, -2} for each in all_)
    results = None
    if ended and whole and job.failure is None and at >= job.ends_at + job.results_at:
        results = [_result(each) for each in batches.told(job, at) if each.status != UNPROCESSED]
    wall = batches.wall
    return {
        "id": job.id, "object": "batch", "status": STATUSES.get(state, state), "endpoint": job.endpoint,
        "model": job.model, "provider": "OpenAI", "completion_window": "24h", "created_at": int(wall(job.made)),
        "expires_at": int(wall(job.expires_at)) if job.expires_at < 1e300 else None,
        "finalized_at": int(wall(job.ends_at)) if ended else None,
        "error": None if job.failure is None or not ended else {"message": f"{job.failure[0]}: {job.failure[1]}"},
        "request_counts": {"total": len(job.rows), "completed": len(all_) - failed, "failed": failed},
        "results": results,
        "usage": {"cost": job.usd, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0} if ended else None,
    }


def _result(answer: Answered) -> dict[str, object]:
    record: dict[str, object] = {"id": f"res-{answer.id}", "custom_id": answer.id, "response": None, "error": None}
    if answer.status == 200:
        record["response"] = {"status_code": 200, "request_id": f"gen-{answer.id}", "body": _as_openrouter(answer.body)}
    elif answer.status > 0 and isinstance(answer.body, dict):
        record["response"] = {"status_code": answer.status, "request_id": None, "body": answer.body}
        record["error"] = {"message": "the request failed", "param": None, "type": "error"}
    else:
        record["error"] = {"message": "Internal error", "param": None, "type": "server_error"}
    return record


def _as_openrouter(body: object) -> object:
    """A completion with the fields that OpenRouter adds."""
    choices = body.get("choices") if isinstance(body, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        choice.setdefault("native_finish_reason", choice.get("finish_reason"))
        choice["message"].setdefault("refusal", None)
    return body
