"""Reads errors that stand in an envelope of the vendor's own, most of them inside a 200.

MiniMax: `{"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}`. Zhipu: `{"code": 1113,
"msg": "…", "success": false}`. Baidu: `{"error_code": 18, "error_msg": "…"}`. Tencent: `{"Response": {"Error": …}}`.
Cloudflare: `{"success": false, "errors": [{"code": …, "message": …}]}`. Each becomes an error as most others write it,
with a `meaning` where the vendor's number has one: numbers are the vendor's own and stand for no HTTP status.

Sources: the vendors' lists of error codes (platform.minimax.io "Error codes", docs.bigmodel.cn "Error codes",
cloud.baidu.com "Error codes", docs.z.ai, developers.cloudflare.com "Workers AI: Errors").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

MEANING: Final = "asyncrouter_meaning"
"""The field under which the name stands that a vendor's number means."""

_CREDIT, _RATE, _KEY, _SERVER = "insufficient_quota", "rate_limit_exceeded", "invalid_api_key", "server_error"
_DENIED, _OVERLOADED = "permission_denied", "server_is_overloaded"
_FILTER, _REQUEST, _CONTEXT, _GONE = "content_filter", "invalid_request", "context_length_exceeded", "model_not_found"

_MINIMAX: Final[Mapping[int, str]] = {
    1000: _SERVER, 1001: _SERVER, 1002: _RATE, 1004: _KEY, 1008: _CREDIT, 1013: _SERVER, 1024: _SERVER, 1026: _FILTER,
    1027: _FILTER, 1033: _SERVER, 1039: _RATE, 1041: _RATE, 1042: _REQUEST, 2013: _REQUEST, 2045: _RATE, 2049: _KEY,
    2056: _RATE,
}
"""What MiniMax's numbers mean; 1039 is the limit of tokens a minute, 1041 that of connections."""

_ZHIPU: Final[Mapping[int, str]] = {
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004), _KEY), **dict.fromkeys((1110, 1111, 1112, 1220), _DENIED),
    1113: _CREDIT, 1309: _CREDIT, 1230: _SERVER, 1234: _SERVER, 1305: _OVERLOADED, 1261: _CONTEXT, 1301: _FILTER,
    **dict.fromkeys((1210, 1212, 1213, 1214), _REQUEST), **dict.fromkeys((1211, 1221, 1222), _GONE),
    **dict.fromkeys((1302, 1303, 1304, 1308, 1310), _RATE),
}
"""What Zhipu's (Z.ai's) numbers mean; 1305 is too much traffic for everybody."""

_BAIDU: Final[Mapping[int, str]] = {
    1: _SERVER, 2: _SERVER, 4: _RATE, 6: _KEY, 17: _RATE, 18: _RATE, 19: _RATE, 13: _KEY, 14: _KEY, 15: _KEY,
    100: _KEY, 110: _KEY, 111: _KEY, 336000: _SERVER, 336100: _SERVER, 336103: _CONTEXT, 336007: _CONTEXT,
    336501: _RATE, 336502: _RATE, 336503: _RATE, 336004: _REQUEST,
}
"""What Baidu's numbers mean."""

_CLOUDFLARE: Final[Mapping[int, str]] = {
    3036: _CREDIT, 3040: _RATE, **dict.fromkeys((3042, 5007), _GONE), 3006: _CONTEXT,
    **dict.fromkeys((3007, 3008), _SERVER), **dict.fromkeys((3023, 3041, 5016, 5018), _DENIED),
    **dict.fromkeys((3003, 5004, 5005, 5006), _REQUEST),
}
"""What the numbers of Cloudflare's Workers AI mean; 3036 is the daily free allocation, 3040 too little capacity."""

_SUCCESS: Final = frozenset({None, 0, "0", 200, "200", "", "success", "Success", "ok", "OK"})
"""Values of a code that say that all is well."""

_NAMES_ERROR: Final = re.compile(
    r"^(?:err|errors|Errors|Message|fault|failure)$|[eE]xception$|^err(?:or)?_?(?:[mM]sg|[mM]essage)$|[a-z]Error$"
)
"""Matches the names of fields that hold an error, beside the usual `error`."""


def error_in_envelope(document: Message) -> Message | None:
    """The error in the vendor's envelope, as an object with `message` and `code`; `None` if there is none."""
    if isinstance(base := document.get("base_resp"), dict):
        code = base.get("status_code")
        return None if _is_success(code) else _error(base.get("status_msg"), code, _MINIMAX)
    if "error_msg" in document and not _is_success(code := document.get("error_code")):
        return _error(document["error_msg"], code, _BAIDU)
    if found := object_in(object_in(document, "Response"), "Error"):
        return _error(found.get("Message"), found.get("Code"), {})
    if document.get("choices"):
        return None
    if document.get("success") is False or _has_code(document):
        return _failed(document)
    return None


def meaning_of_code(error: Message) -> str:
    """The name that stands for the number in an error of which there is nothing but number and message; "" for none.

    So writes Zhipu. Mistral's numbers, which mean other things, have a type beside them.
    """
    code = error.get("code")
    if error.keys() != {"code", "message"} or not (isinstance(code, str) and code.isascii() and code.isdigit()):
        return ""
    return _ZHIPU.get(int(code[:9]), "")


def is_error(value: object) -> bool:
    """Whether the value of a field `error` says that something has failed; some hosts fill it in with every answer."""
    if not isinstance(value, dict):
        return bool(value)
    if not any(value.values()):
        return False
    code, told = value.get("code"), value.get("message")
    return "code" not in value or not _is_success(code) or not (told is None or _is_success(told))


def error_by_name(document: Message) -> Message | None:
    """The error in a field whose name says that it is one (`errors`, `err_msg`, Bedrock's `throttlingException`)."""
    for name, value in document.items():
        if value and _NAMES_ERROR.search(name):
            first = value[0] if isinstance(value, list) else value
            if isinstance(first, dict):
                return {"type": name, **first} if name not in {"errors", "Errors"} else first
            return {"message": first, "type": name} if isinstance(first, str) else None
    return None


def _failed(document: Message) -> Message:
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    place: Message = first if isinstance(first, dict) else document
    told = next((told for name in ("message", "msg", "error_msg", "errmsg") if (told := place.get(name))), "")
    code = next((code for name in ("code", "errcode", "status_code") if not _is_success(code := place.get(name))), None)
    return _error(told, code, _ZHIPU if place is document else _CLOUDFLARE)


def _has_code(document: Message) -> bool:
    """Whether a document is nothing but a code that is no success, and words."""
    code = next((document[name] for name in ("code", "errcode") if name in document), None)
    told = document.get("msg") or document.get("errmsg")
    return isinstance(told, str) and not _is_success(code)


def _is_success(code: object) -> bool:
    return isinstance(code, int | float | str | None) and code in _SUCCESS


def _error(message: object, code: object, meanings: Mapping[int, str]) -> Message:
    number = int(code[:9]) if isinstance(code, str) and code.isascii() and code.isdigit() else code
    text = message if isinstance(message, str) and message else "the provider gave no message"
    error: Message = {"message": f"{text} ({number})" if isinstance(number, int) else text, "code": code}
    if isinstance(number, int) and (meaning := meanings.get(number)) is not None:
        error[MEANING] = meaning
    return error
