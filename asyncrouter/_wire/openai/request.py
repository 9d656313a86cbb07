"""Writes the body of a Chat Completions request: what the caller gave, for the model and the host that are asked.

To a host and a model about which nothing is known, everything goes out as it was given. What is known (`quirks.py` by
host, `_wire/families.py` by model) is adapted: other names, parameters and tools that would be refused, efforts that
the model does not have. What would change the answer and has no place there is `Rejected`, so that the chain goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._config.families import family_of
from asyncrouter._errors import Rejected
from asyncrouter._wire.families import NOTHING_KNOWN, closest_effort, rules_of
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.openai.history import write_messages
from asyncrouter._wire.openai.tool_choice import forced_tool, free_choice, put_tools
from asyncrouter._wire.tool_ids import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message
    from asyncrouter._wire.families import FamilyRules
    from asyncrouter._wire.openai.quirks import Quirks

_IDS: Final = ("user", "safety_identifier", "prompt_cache_key")
"""Parameters that are ids of the caller's."""

_STREAMED: Final = frozenset({"stream", "stream_options"})

_MIN_BUDGET: Final = 1024
"""The smallest budget of thinking that Claude takes, in tokens; it must be below the limit of the answer."""

_FIRST_NEWER_LIMIT: Final = (5, 0)
"""The version of GPT since which `max_tokens` is an error."""


def write_request(
    model: Model, messages: Sequence[Message], params: Mapping[str, object], quirks: Quirks | None, *, stream: bool
) -> Message:
    """The body of the request. Raises `Rejected` for what the host or the model cannot do."""
    ours: Message = {"model": model.id, "messages": messages}
    if stream and "stream" not in model.drop:
        ours["stream"] = True
        if "stream_options" not in model.drop:
            ours["stream_options"] = {"include_usage": True}
    if model.drop:
        params = {name: value for name, value in params.items() if name not in model.drop}
    if None in params.values():
        params = {name: value for name, value in params.items() if value is not None}
    rules = rules_of(model.id)
    if quirks is None and rules is NOTHING_KNOWN:
        ours["messages"] = write_messages(messages, rules, None, None, reasons=False)
        body = {**ours, **params, **ours}  # ours come first, and no parameter replaces them
        if "tools" in body or "tool_choice" in body:
            put_tools(body, None)
        return body
    body = {**ours, **params, **ours}
    family = family_of(model.id)
    vendor, line = (None, "") if family is None else (family.vendor, family.name)
    if quirks is not None and rules is NOTHING_KNOWN:
        rules = quirks.rules
    put_tools(body, quirks)
    reasons = _put_reasoning(body, rules, quirks, vendor)
    if quirks is not None:
        newer = quirks.newer_limit and family is not None and (line == "o" or family.version >= _FIRST_NEWER_LIMIT)
        _put_hosts(body, quirks, line, newer_limit=newer)
    body["messages"] = write_messages(messages, rules, vendor, quirks, reasons=reasons)
    return body


def _put_reasoning(body: Message, rules: FamilyRules, quirks: Quirks | None, vendor: str | None) -> bool:
    """Write the effort as model and host take it, and leave out what clashes with it; whether the model reasons."""
    reasoning = object_in(body, "reasoning")
    if reasoning and quirks is not None:  # OpenRouter's form, which no other host takes
        told = "none" if reasoning.get("enabled") is False else reasoning.get("effort")
        if told is not None:
            body.setdefault("reasoning_effort", told)
        reasoning = {}
        del body["reasoning"]
    if reasoning:
        reasoning = body["reasoning"] = _settled(reasoning, body, rules, vendor)
    effort = body.get("reasoning_effort", reasoning.get("effort"))
    if quirks is not None and quirks.thinking_switch and object_in(body, "thinking").get("type") == "disabled":
        effort = "none"
    if effort is not None:
        effort = closest_effort(effort, rules.efforts) if rules.efforts != () else None
    if rules.forced_tools != "always" and forced_tool(body.get("tool_choice")) is not None:
        if rules.forced_tools == "never":
            free_choice(body)
        elif rules.reasons(effort):
            effort = "none"
    if effort is not None or "reasoning_effort" in body or "effort" in reasoning or "thinking" in body:
        _put_effort(body, effort, reasoning, rules, quirks, vendor)
    reasons = rules.reasons(effort)
    _leave_out(body, rules.refused)
    if reasons:
        _leave_out(body, rules.refused_reasoning)
    return reasons


def _settled(reasoning: Message, body: Message, rules: FamilyRules, vendor: str | None) -> Message:
    """OpenRouter's `reasoning` for this model: on where it cannot be turned off, and a budget below the limit."""
    if reasoning.get("enabled") is False and rules.efforts and not rules.can_rest:
        return {name: value for name, value in reasoning.items() if name != "enabled"} | {"effort": "none"}
    budget, limit = reasoning.get("max_tokens"), body.get("max_tokens", body.get("max_completion_tokens"))
    if vendor == "anthropic" and isinstance(budget, int) and isinstance(limit, int) and budget >= limit > _MIN_BUDGET:
        return {**reasoning, "max_tokens": max(_MIN_BUDGET, limit * 3 // 4)}
    return reasoning


def _put_effort(
    body: Message, effort: object, reasoning: Message, rules: FamilyRules, quirks: Quirks | None, vendor: str | None
) -> None:
    """Write the effort where it stood, or as the host wants it."""
    if quirks is not None and quirks.thinking_switch:
        switch = object_in(body, "thinking").get("type")
        body.pop("thinking", None)
        if effort == "none" or switch in ("enabled", "disabled"):
            body["thinking"] = {"type": "disabled" if effort == "none" else switch}
        effort = None if effort == "none" else effort
    if quirks is not None and vendor in quirks.default_effort_only and effort is not None and effort != "none":
        effort = "default"
    absent = effort is None or (effort == "none" and rules.efforts is not None and "none" not in rules.efforts)
    if "effort" in reasoning:
        rest = {name: value for name, value in reasoning.items() if name != "effort"}
        body["reasoning"] = rest if absent else {**rest, "effort": effort}
        if not body["reasoning"]:
            del body["reasoning"]
        body.pop("reasoning_effort", None)
    elif absent:
        body.pop("reasoning_effort", None)
    else:
        body["reasoning_effort"] = effort


def _put_hosts(body: Message, quirks: Quirks, line: str, *, newer_limit: bool) -> None:
    """Change what the host has other names for, and leave out or refuse what it does not take."""
    if newer_limit and "max_tokens" in body:
        _rename(body, "max_tokens", "max_completion_tokens")
    for old, new in quirks.rename.items():
        if old in body:
            _rename(body, old, new)
    _leave_out(body, quirks.left_out)
    if not body.get("stop", True):  # nothing in it: refused, and asks for nothing
        del body["stop"]
    if quirks.left_out_of:
        _leave_out(body, quirks.left_out_of.get(line, frozenset()))
    if quirks.fields is not None:
        _leave_out(body, frozenset(body.keys() - quirks.fields))
    if quirks.one_choice and body.get("n", 1) != 1:
        raise Rejected(f"n={body['n']!r:.40}: this host gives one answer; drop = ['n'] on the model leaves it out")
    if not quirks.schemas and object_in(body, "response_format").get("type") == "json_schema":
        raise Rejected("response_format: this host takes no JSON schema; ask for {'type': 'json_object'}")
    if not quirks.streams_formats and object_in(body, "response_format").get("type", "text") != "text":
        _leave_out(body, _STREAMED)
    if quirks.max_id is not None:
        for name in _IDS:
            if isinstance(value := body.get(name), str) and len(value) > quirks.max_id:
                body[name] = digest(value)


def _rename(body: Message, old: str, new: str) -> None:
    body.setdefault(new, body[old])
    del body[old]


def _leave_out(body: Message, names: frozenset[str]) -> None:
    if not names.isdisjoint(body):
        for name in names.intersection(body):
            del body[name]
