"""Translates Google's finish reasons: into ours, or into the error that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply, Rejected, Unauthorized
from asyncrouter._wire.decoding.ends import finish_of, is_broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import FinishReason

FINISH: Mapping[str, FinishReason] = {
    "STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length",
    "SAFETY": "content_filter", "RECITATION": "content_filter", "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter", "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter", "ESCALATION": "content_filter", "MODEL_ARMOR": "content_filter",
}
"""Our finish reason for each of Google's."""

BROKEN: Mapping[str, type[AttemptError]] = {
    "MALFORMED_FUNCTION_CALL": BadReply, "UNEXPECTED_TOOL_CALL": BadReply, "TOO_MANY_TOOL_CALLS": BadReply,
    "MALFORMED_RESPONSE": BadReply, "OTHER": BadReply, "IMAGE_OTHER": BadReply, "NO_IMAGE": BadReply,
    "MISSING_THOUGHT_SIGNATURE": Rejected, "PUP_LIMITED_DISABLED": Unauthorized,
}
"""The error for each finish reason that says there is no whole answer, whatever has come."""

NO_REASON = (None, "", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
"""Values of a reason that say nothing: the first value of a protobuf enum stands for an absent field."""


def finish_reason(name: str) -> FinishReason:
    """Our finish reason for Google's, or for one that has come through Google's wire from elsewhere."""
    return FINISH.get(name) or finish_of(name)


def error_class(name: str) -> type[AttemptError] | None:
    """The error that a finish reason stands for; `None` for an end."""
    if name in FINISH:
        return None
    return BROKEN.get(name) or (BadReply if is_broken(name) else None)
