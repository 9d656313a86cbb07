"""The kinds of faults, and the error that a client must make of each."""

from __future__ import annotations

CONNECTION, TIMEOUT, BAD, SERVER, LIMITED = (
    "ConnectionFailed", "AttemptTimeout", "BadReply", "ServerFailed", "RateLimited",
)

STATUSES: dict[str, tuple[int, str, str]] = {
    # kind: status, error that the client must raise, code in the body
    "400": (400, "Rejected", ""),
    "301": (301, "Rejected", ""),
    "401": (401, "Unauthorized", "invalid_api_key"),
    "402": (402, "OutOfCredit", "insufficient_quota"),
    "402_soon": (402, LIMITED, ""),
    "403": (403, "Unauthorized", "permission_denied"),
    "404": (404, "Rejected", "model_not_found"),
    "408": (408, SERVER, ""),
    "409": (409, SERVER, ""),
    "413": (413, "Rejected", ""),
    "422": (422, "Rejected", ""),
    "425": (425, SERVER, ""),
    "429": (429, LIMITED, "rate_limit_exceeded"),
    "429_money": (429, "OutOfCredit", "insufficient_quota"),
    "498": (498, SERVER, ""),
    "499": (499, SERVER, ""),
    "500": (500, SERVER, ""),
    "501": (501, SERVER, ""),
    "502": (502, SERVER, ""),
    "503": (503, SERVER, ""),
    "504": (504, SERVER, ""),
    "529": (529, LIMITED, "overloaded_error"),
    "context": (400, "ContextTooLong", "context_length_exceeded"),
    "policy": (400, "Refused", "content_policy_violation"),
}
PROMPTS: dict[str, tuple[int, str, str]] = {
    # what a model answers to one prompt: the status, the error, words that leave open whom they are about
    "404_prompt": (404, "Rejected", "No endpoints found that support tool use"),
    "402_prompt": (402, "OutOfCredit", "This request requires more credits, or fewer max_tokens"),
    "403_prompt": (403, "Unauthorized", "<html><body>Request blocked</body></html>"),
    "500_prompt": (500, SERVER, "The server had an error"),
}
CONNECT = ("refuse", "certificate", "hang_connect")
EMPTY = {"empty": "stop", "length_empty": "length", "blocked": "content_filter"}
"""Answers without a word, and their finish reasons."""
BROKEN: dict[str, str] = {
    "reset_headers": CONNECTION, "hang_headers": TIMEOUT, "hang_content": TIMEOUT, "hang_middle": TIMEOUT,
    "cut_first": CONNECTION, "cut_middle": CONNECTION, "cut_inside": CONNECTION, "truncated": BAD, "empty": BAD,
    "malformed": BAD, "binary": BAD, "html": BAD, "huge": BAD, "error_body": SERVER, "error_first": SERVER,
    "error_middle": SERVER, "limited_inside": LIMITED, "blocked": "Refused", "interrupted": BAD, "thoughts_only": BAD,
    "bad_arguments": BAD, "early_end": CONNECTION, "numbered": LIMITED,
}
"""Faults of a response that began as a success, and the error that the client must raise."""
SILENT = frozenset({"hang_content", "cut_first", "error_first", "numbered"})
"""Those that come before the first word."""
HARMLESS = ("hang_done", "no_done", "cut_done", "cut_usage", "stall", "straggler", "mislabelled", "length_empty",
            "as_text", "one_body", "odd_end", "unknown_end")
"""Those that a client may survive: an end that is missing or breaks off, a pause, a straggler, a wrong label, an end
that is written oddly, an end that nobody knows.
"""
ENDED = frozenset({"interrupted", "thoughts_only", "bad_arguments"})
"""Those that come to a good end in the transport's sense, and yet are no answer."""
KINDS = (*STATUSES, *CONNECT, *BROKEN, *HARMLESS)
PAUSED = frozenset({"429", "503", "529", "500"})
"""Statuses that may come with a Retry-After."""
COUNTED = frozenset({CONNECTION, TIMEOUT, BAD, SERVER})
"""Errors that count against a model; a 529 does too, a 429 does not."""
