"""Says what of a request was written otherwise than asked for, because the model or its API does not take it.

What a chain is asked for is adapted to each of its models without a word from the provider, and whoever reads the
answer may wonder. So each kind of change is said once for each model. Looking costs a parse of the written body; it
is done once for each set of parameters, and never for a call without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter._config.catalog import Model
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Message

_SAMPLING: Final[Mapping[str, str]] = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty", "logit_bias": "logitBias",
}
"""Parameters that may be left out, and Google's name for each."""

_ASKED: Final = frozenset({"reasoning_effort", "reasoning", "thinking", "tool_choice"})
"""Parameters whose value decides what is changed."""


class Adaptations:
    """What one wire has looked at."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: set[tuple[object, ...]] = set()

    def __repr__(self) -> str:
        return f"<Adaptations, {len(self._seen)} sets of parameters seen>"

    def of(self, model: Model, params: Mapping[str, object], request: Request) -> tuple[str, ...]:
        """What is changed in a request with these parameters; nothing for a set of them that was looked at before."""
        key: tuple[object, ...] = (model.id, *params)
        if not _ASKED.isdisjoint(params):
            key += tuple([str(params[name]) for name in params if name in _ASKED])
        if key in self._seen or len(self._seen) >= MAX_NAMES:
            return ()
        self._seen.add(key)
        body: object = orjson.loads(request.body)
        asked = {name: value for name, value in params.items() if value is not None and name not in model.drop}
        return tuple(_changes(asked, body)) if isinstance(body, dict) else ()


def _changes(asked: Message, body: Message) -> Iterator[str]:
    yield from _effort(asked, body)
    if _is_forced(asked.get("tool_choice")) and "tools" in body and not _is_forced(_sent_choice(body)):
        yield "no tool can be demanded of this model; tool_choice is sent as \"auto\""
    config = object_in(body, "generationConfig")
    for name, googles in _SAMPLING.items():
        if name in asked and name not in body and googles not in config:
            yield f"{name} is not taken there, and left out"
    if "contents" not in body and _strict(asked.get("tools")) > _strict(body.get("tools")):  # Google has no such field
        yield "some tools are sent without strict, whose schemas are not taken there"


def _effort(asked: Message, body: Message) -> Iterator[str]:
    told = object_in(asked, "reasoning")
    effort = asked.get("reasoning_effort", "none" if told.get("enabled") is False else told.get("effort"))
    off = effort == "none" or object_in(asked, "thinking").get("type") == "disabled"
    thinking = object_in(body, "thinking") or object_in(object_in(body, "generationConfig"), "thinkingConfig")
    sent = (
        body.get("reasoning_effort") or object_in(body, "reasoning").get("effort")
        or object_in(body, "output_config").get("effort") or thinking.get("thinkingLevel")
    )
    if off:
        if thinking.get("type") in {"enabled", "adaptive"} or (isinstance(sent, str) and sent.lower() != "none"):
            yield "this model always reasons; it is asked to reason as little as it can"
    elif isinstance(effort, str) and isinstance(sent, str) and sent.lower() != effort:
        yield f"this model has no reasoning_effort {effort!r:.40}; {sent.lower()!r:.40} is sent"
    elif isinstance(effort, str) and sent is None and not thinking:
        yield "this model takes no reasoning_effort; it is left out"


def _sent_choice(body: Message) -> object:
    return body.get("tool_choice") or object_in(object_in(body, "toolConfig"), "functionCallingConfig")


def _is_forced(choice: object) -> bool:
    """Whether a choice, in the words of any API, demands a call."""
    if not isinstance(choice, dict):
        return choice in ("required", "any")
    kind = choice.get("type")
    mode = choice.get("mode") or object_in(choice, "allowed_tools").get("mode")
    return kind in {"any", "tool", "function", "custom"} or mode in {"required", "ANY"} or "function" in choice


def _strict(tools: object) -> int:
    found = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list | tuple) else []
    return sum(True in (tool.get("strict"), object_in(tool, "function").get("strict")) for tool in found)
