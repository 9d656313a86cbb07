"""Checks a whole answer against the `response_format` of its call, before `accept` sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import NotAccepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._types import Reply


def check_answer(parse: Callable[[str], object], reply: Reply) -> NotAccepted | None:
    """Put the parsed value on the reply; the error that says where the answer does not fit, if it does not.

    An answer of tool calls alone is a step on the way to one, so it passes. What a class's own validators raise, other
    than `ValueError`, is no answer's fault, and is raised.
    """
    if reply.tool_calls and not reply.text.strip():
        return None
    try:
        reply.parsed = parse(reply.text)
    except NotAccepted as fault:
        cut = "; it ends at its limit of tokens" if reply.finish_reason == "length" else ""
        misfit = NotAccepted(f"{fault.message}{cut}", reply, fault.path)
        misfit.scope = "request"
        return misfit
    return None
