"""Merges the default arguments of `router.with_options(…)` with those of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asyncrouter._config.arguments_headers import seal_headers
from asyncrouter._credentials.secret import SealedHeaders

MODEL_CHOICES: Final = ("model", "chain", "tier")
"""Arguments that say which models: a call takes one of them."""
CHAT_ONLY: Final = frozenset({"accept"})
STREAM_ONLY: Final = frozenset({"on_interrupt"})
"""Arguments of one kind of call."""
EMBEDDED: Final = frozenset({"deadline", "retry", "connect", "total", "priority", "tags", "headers"})
"""Arguments of `chat()` that calls for embeddings have, too, with the same meaning."""
NOT_EXPLAINED: Final = CHAT_ONLY | STREAM_ONLY | {"system", "priority", "tags", "session", "headers"}
"""Arguments of calls that say nothing about their plan."""
_MERGED: Final = ("params", "tags", "headers")
"""Arguments that are mappings, merged name by name."""


def sealed_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Copy options, with their headers sealed: nothing that can raise holds them in plain text."""
    headers = options.get("headers")
    return {**options, **({"headers": seal_headers(headers)} if headers else {})}  # type: ignore[arg-type]  # checked there


def merge_options(defaults: Mapping[str, object], given: Mapping[str, object]) -> dict[str, Any]:
    """The defaults with the options that are given; a choice of models replaces the one among the defaults."""
    merged = dict(defaults)
    if any(given.get(name) is not None for name in MODEL_CHOICES):
        replaced: tuple[str, ...] = MODEL_CHOICES
    else:
        replaced = ("model", "chain") if given.get("task") is not None else ()
    for name in replaced:
        merged.pop(name, None)
    for name, value in given.items():
        before = merged.get(name)
        if name in _MERGED and isinstance(before, Mapping) and isinstance(value, Mapping):
            value = _merge_headers(before, value) if name == "headers" else {**before, **value}
        merged[name] = value
    return merged


def _merge_headers(before: Mapping[str, Any], given: Mapping[str, Any]) -> SealedHeaders:
    """Both sets of sealed headers: a field that is given replaces one of the same name in any case."""
    merged = SealedHeaders(fault=getattr(before, "fault", None) or getattr(given, "fault", None))
    names = {name.lower() for name in given}
    merged.update((name, value) for name, value in before.items() if name.lower() not in names)
    for name, value in given.items():
        known = before.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            own = {field.lower() for field in value}
            value = {**{field: text for field, text in known.items() if field.lower() not in own}, **value}
        merged[name] = value
    return merged
