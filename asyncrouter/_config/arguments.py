"""What a caller may hand to `chat()` and `stream()`: checked before anything is sent, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from asyncrouter._config.checks import one_edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message

INSTEAD = {
    "timeout": "deadline= (the whole call), or a Step's clocks",
    "stream": "router.stream(…)",
    "stream_options": "nothing: usage is always asked for",
    "extra_headers": "headers=",
    "messages": "the first argument",
    "on_interrupt": "router.stream(…)",
}

IN_PARAMS = {**{name: INSTEAD[name] for name in ("messages", "stream", "stream_options")}, "model": "model= or chain="}
"""Parts of a request's body that the router writes, and what says them."""

OURS = ("task", "tier", "chain", "model", "deadline", "hedge", "retry", "priority", "tags", "params", "headers")
THEIRS = frozenset({"models"})
"""Parameters of providers that are one letter away from one of ours (OpenRouter's list of fallbacks)."""


def check_messages(prompt: str | Sequence[Mapping[str, object]]) -> list[Message]:
    """The messages of a call: a bare prompt is one user message. Raises `TypeError` or `ValueError`."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, (list, tuple)):
        raise TypeError(f"messages: expected text or a list of messages, got {type(prompt).__name__}")
    if not prompt:
        raise ValueError("messages: expected at least one message, got none")
    for index, message in enumerate(prompt):
        if not isinstance(message, dict):
            raise TypeError(f"messages[{index}]: expected a dict with a role, got {type(message).__name__}")
        if not isinstance(message.get("role"), str):
            raise ValueError(f'messages[{index}]: expected a "role" that is text, got {message.get("role")!r}')
    return list(prompt)


def merge_params(
    chain: Mapping[str, object], params: Mapping[str, object] | None, given: dict[str, object]
) -> Mapping[str, object]:
    """The chain's parameters, the caller's over them. Raises `TypeError` for names that mean something else here."""
    if not INSTEAD.keys().isdisjoint(given):
        name = next(name for name in INSTEAD if name in given)
        raise TypeError(f"{name}= is not a parameter here; use {INSTEAD[name]}")
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(f"params: expected a mapping, got {type(params).__name__}")
    if params:
        _check_params(params)
    for name in given:
        _check_spelling(name)
    if not (chain or params):
        return given
    return {**chain, **(params or {}), **given}


def _check_params(params: Mapping[str, object]) -> None:
    """The wire writes some names itself, and would drop these without a word. Raises `TypeError`."""
    if not IN_PARAMS.keys().isdisjoint(params):
        name = next(name for name in IN_PARAMS if name in params)
        raise TypeError(f"params: {name!r} is for the router to say; use {IN_PARAMS[name]}")


@lru_cache(maxsize=1000)
def _check_spelling(name: str) -> None:
    """A slip in a name of ours would go to the provider, and nobody would hear of it. Raises `TypeError`."""
    for ours in OURS:
        if name != ours and one_edit(name, ours) and name not in THEIRS:
            raise TypeError(f"{name}=: did you mean {ours}=? (params={{{name!r}: …}} sends it to the provider)")


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Tags are texts by name. Raises `TypeError`."""
    if tags is not None and not isinstance(tags, Mapping):
        raise TypeError(f"tags: expected a mapping, got {type(tags).__name__}")


def check_headers(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """The caller's headers. Raises `TypeError` or `ValueError` without printing a value."""
    if not headers:
        return {}
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers: expected a mapping, got {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers[{name!r}]: expected text")
        if "\n" in value or "\r" in value:
            raise ValueError(f"headers[{name!r}]: expected one line")
    return dict(headers)
