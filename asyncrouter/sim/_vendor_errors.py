"""The error responses of OpenAI, Anthropic, Google and OpenRouter: status, type, code and message for each cause.

Sources: OpenAI, "Error codes"; Anthropic, "Errors"; Google, "Gemini API troubleshooting"; OpenRouter, "Errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._request import Wire
    from asyncrouter.sim.act import Act, Why


class ErrorText(NamedTuple):
    """What an error says. `kind` is its type (Google's `status`, OpenRouter's `error_type`), `code` a finer one."""

    status: int
    kind: str
    message: str
    code: str | int | None = None


_OPENAI: Mapping[Why, ErrorText] = {
    "bad_request": ErrorText(400, "invalid_request_error", "Invalid value: 'x'."),
    "key": ErrorText(401, "invalid_request_error", "Incorrect API key provided.", "invalid_api_key"),
    "forbidden": ErrorText(
        403, "request_forbidden", "Country, region, or territory not supported", "unsupported_country_region_territory"
    ),
    "credit": ErrorText(
        429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
    ),
    "missing": ErrorText(
        404, "invalid_request_error", "The model does not exist or you do not have access to it.", "model_not_found"
    ),
    "context": ErrorText(
        400, "invalid_request_error",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "context_length_exceeded",
    ),
    "policy": ErrorText(
        400, "invalid_request_error", "Your request was rejected as a result of our safety system.",
        "content_policy_violation",
    ),
    "rate_limit": ErrorText(429, "requests", "Rate limit reached for requests.", "rate_limit_exceeded"),
    "overloaded": ErrorText(503, "service_unavailable_error", "The server is overloaded.", "server_is_overloaded"),
    "server": ErrorText(500, "server_error", "The server had an error while processing your request."),
    "timeout": ErrorText(504, "server_error", "The request timed out."),
}
_OPENROUTER: Mapping[Why, ErrorText] = {
    "bad_request": ErrorText(400, "invalid_request", "Invalid value."),
    "key": ErrorText(401, "authentication", "User not found."),
    "forbidden": ErrorText(403, "permission_denied", "This key may not do that."),
    "credit": ErrorText(402, "payment_required", "Insufficient credits."),
    "missing": ErrorText(404, "not_found", "No endpoints found for this model."),
    "context": ErrorText(400, "context_length_exceeded", "This endpoint's maximum context length is 8192 tokens."),
    "policy": ErrorText(400, "content_policy_violation", "The prompt was refused."),
    "rate_limit": ErrorText(429, "rate_limit_exceeded", "Rate limit exceeded."),
    "overloaded": ErrorText(503, "provider_overloaded", "The provider is overloaded."),
    "server": ErrorText(500, "server", "Internal Server Error"),
    "timeout": ErrorText(504, "timeout", "The provider took too long."),
}
_ANTHROPIC: Mapping[Why, ErrorText] = {
    "bad_request": ErrorText(400, "invalid_request_error", "messages: Input should be a valid list"),
    "key": ErrorText(401, "authentication_error", "invalid x-api-key"),
    "forbidden": ErrorText(403, "permission_error", "Your API key may not use this resource."),
    "credit": ErrorText(402, "billing_error", "Your credit balance is too low to access the API."),
    "missing": ErrorText(404, "not_found_error", "model: no such model"),
    "context": ErrorText(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    "policy": ErrorText(400, "invalid_request_error", "Output blocked by content filtering policy"),
    "rate_limit": ErrorText(429, "rate_limit_error", "This request would exceed your rate limit."),
    "overloaded": ErrorText(529, "overloaded_error", "Overloaded"),
    "server": ErrorText(500, "api_error", "Internal server error"),
    "timeout": ErrorText(504, "timeout_error", "Request timed out"),
}
_GEMINI: Mapping[Why, ErrorText] = {
    "bad_request": ErrorText(400, "INVALID_ARGUMENT", "Invalid JSON payload received."),
    "key": ErrorText(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "forbidden": ErrorText(403, "PERMISSION_DENIED", "The caller does not have permission"),
    "credit": ErrorText(
        429, "RESOURCE_EXHAUSTED",
        "You exceeded your current quota. Quota exceeded for metric: generate_content_free_tier_requests, limit: 0",
    ),
    "missing": ErrorText(404, "NOT_FOUND", "models/x is not found for API version v1beta"),
    "context": ErrorText(
        400, "INVALID_ARGUMENT",
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
    ),
    # Google blocks prompts with a 200; this is what an image or a tool's schema gets.
    "policy": ErrorText(400, "INVALID_ARGUMENT", "The request was blocked by our safety system."),
    "rate_limit": ErrorText(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "overloaded": ErrorText(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server": ErrorText(500, "INTERNAL", "An internal error has occurred."),
    "timeout": ErrorText(504, "DEADLINE_EXCEEDED", "The request timed out. Please try again."),
}
_TEXTS: Mapping[Wire, Mapping[Why, ErrorText]] = {
    "openai": _OPENAI, "responses": _OPENAI, "anthropic": _ANTHROPIC, "gemini": _GEMINI,
}
"""What each vendor says of each cause; OpenRouter has a table of its own on OpenAI's wires."""
_OPENAI_KINDS = (
    {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"},
    "invalid_request_error", "server_error",
)
_KINDS: Mapping[Wire, tuple[Mapping[int, str], str, str]] = {
    "openai": _OPENAI_KINDS, "responses": _OPENAI_KINDS,
    "anthropic": ({401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
                   409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
                   529: "overloaded_error"}, "invalid_request_error", "api_error"),
    "gemini": ({401: "UNAUTHENTICATED", 402: "RESOURCE_EXHAUSTED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
                409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
                504: "DEADLINE_EXCEEDED"}, "INVALID_ARGUMENT", "INTERNAL"),
}
"""The type of an error that has a status but no cause: by status, else for any other 4xx, else for any other 5xx."""


_NUMBERS: Mapping[str, Mapping[Why, int]] = {
    "minimax": {
        "bad_request": 2013, "key": 1004, "forbidden": 1004, "credit": 1008, "missing": 2013, "context": 1039,
        "policy": 1026, "rate_limit": 1002, "overloaded": 1002, "server": 1000, "timeout": 1001,
    },
    "zhipu": {
        "bad_request": 1210, "key": 1000, "forbidden": 1220, "credit": 1113, "missing": 1211, "context": 1261,
        "policy": 1301, "rate_limit": 1302, "overloaded": 1305, "server": 500, "timeout": 500,
    },
}
"""The numbers of each cause at MiniMax and Zhipu (their references, "Error codes")."""


def numbered_error(act: Act, text: ErrorText) -> Mapping[str, object]:
    """An error of MiniMax or Zhipu: a number and a message, without an envelope that says that it is one."""
    number = _NUMBERS[act.style][act.why or "server"]
    if act.style == "minimax":
        return {"base_resp": {"status_code": number, "status_msg": text.message}}
    return {"code": number, "msg": text.message, "success": False}


def status_of(act: Act, wire: Wire) -> int:
    """The HTTP status of the response; an error inside a 200 has its own in the body."""
    if act.fault == "error":
        return 200
    return _table(act, wire)[act.why].status if act.why is not None and act.status == 200 else act.status


def error_text(act: Act, wire: Wire) -> ErrorText:
    """What an act's error says: the text of its cause or status, with the act's own fields before it.

    An error inside a 200 that names no cause is a 500.
    """
    if act.why is not None:
        text = _table(act, wire)[act.why]
        text = text._replace(status=act.status if act.status != 200 else text.status)
    else:
        status = act.status if act.status != 200 else 500
        named, client, server = _KINDS[wire]
        kind = named.get(status, client if status < 500 else server)
        text = ErrorText(status, kind, f"The simulated model answers {status}.")
    return ErrorText(
        text.status,
        act.type or text.kind,
        text.message if act.message is None else act.message,
        text.code if act.code is None else act.code,
    )


def _table(act: Act, wire: Wire) -> Mapping[Why, ErrorText]:
    return _OPENROUTER if wire in ("openai", "responses") and act.style == "openrouter" else _TEXTS[wire]
