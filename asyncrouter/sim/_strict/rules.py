"""Whether a strict model refuses a request, and with which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.sim._strict import anthropic, chat, embeddings, gemini, responses
from asyncrouter.sim.act import Act

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim._strict.complaint import Complaint


def refusal(request: LoggedRequest) -> Act | None:
    """The error for a request that its vendor refuses, `None` for one that it takes."""
    complaint = next(_complaints(request), None)
    if complaint is None:
        return None
    return Act(status=complaint.status, message=complaint.message, code=complaint.code, param=complaint.param)


def _complaints(request: LoggedRequest) -> Iterator[Complaint]:
    if request.embeds:
        return embeddings.complaints(request)
    match request.wire:
        case "responses":
            return responses.complaints(request.body, request.model)
        case "anthropic":
            return anthropic.complaints(request.body, request.model)
        case "gemini":
            return gemini.complaints(request.body, request.model)
    return chat.complaints(request.body, request.model, request.strict or "openai")
