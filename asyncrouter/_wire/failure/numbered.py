"""Errors that are told by a number alone, inside a 200: MiniMax's `base_resp`, Zhipu's `code` with `success: false`.

Each number gets the name under which the same error is known elsewhere. Sources: platform.minimax.io and
docs.bigmodel.cn, "Error codes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

_MINIMAX: Final[Mapping[int, str]] = {
    1000: "internal_error", 1001: "timeout", 1002: "rate_limit_exceeded", 1004: "authentication_error",
    1008: "insufficient_quota", 1013: "internal_error", 1024: "internal_error", 1026: "content_filter",
    1027: "content_filter", 1033: "internal_error", 1039: "rate_limit_exceeded", 1041: "rate_limit_exceeded",
    1042: "invalid_request", 2013: "invalid_request", 2045: "rate_limit_exceeded", 2049: "authentication_error",
    2056: "rate_limit_exceeded",
}
"""MiniMax's numbers; 1039 is its limit of tokens a minute, not that of a prompt."""

_ZHIPU: Final[Mapping[int, str]] = {
    500: "internal_error", 1000: "authentication_error", 1001: "authentication_error", 1002: "authentication_error",
    1003: "authentication_error", 1004: "authentication_error", 1110: "permission_denied", 1111: "permission_denied",
    1112: "permission_denied", 1113: "insufficient_quota", 1210: "invalid_request", 1211: "model_not_found",
    1212: "invalid_request", 1213: "invalid_request", 1214: "invalid_request", 1220: "permission_denied",
    1221: "model_not_found", 1222: "model_not_found", 1230: "internal_error", 1234: "internal_error",
    1261: "context_length_exceeded", 1301: "content_filter", 1302: "rate_limit_exceeded", 1303: "rate_limit_exceeded",
    1304: "rate_limit_exceeded", 1305: "server_is_overloaded", 1308: "rate_limit_exceeded", 1309: "insufficient_quota",
}
"""Zhipu's numbers; 1305 is too much traffic for everybody."""


def numbered_error(document: Message) -> Message | None:
    """The error with a name and a message, `None` if the document tells none by a number."""
    base = object_in(document, "base_resp")
    if (number := _number(base.get("status_code"))) is not None and number != 0:
        return _named(number, _MINIMAX, base.get("status_msg"))
    number = _number(document.get("code"))
    if number is not None and document.get("success") is False:
        return _named(number, _ZHIPU, document.get("msg") or document.get("message"))
    return None


def _named(number: int, names: Mapping[int, str], message: object) -> Message:
    text = message if isinstance(message, str) and message else "the provider gave no message"
    named: Message = {"type": names[number]} if number in names else {}
    return {"message": f"{text} ({number})", **named}


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None
