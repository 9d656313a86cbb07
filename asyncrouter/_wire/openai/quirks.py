"""Chat Completions hosts that do not take what all others take, and what goes to them instead.

One entry a host. A host without one costs nothing: the wire asks once, when it is made. OpenRouter's attribution
(`HTTP-Referer`, `X-OpenRouter-Title`) needs no rule: it belongs into the provider's `headers`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asyncrouter._types import Message

_NONE = re.compile(r"(?!)")
_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a host does not take. `rename` is by parameter, for models whose id begins with `models`.

    `fields` and `message_fields` (by role) are all that the host knows; `None` and a role that is missing: anything.
    `roles` are other names for roles. `reasoners` are models that think, and so take no sampling, unless told not to;
    `might_reason` those that do when told how much.
    """

    models: re.Pattern[str] = re.compile("")
    rename: Mapping[str, str] = field(default_factory=dict)
    reasoners: re.Pattern[str] = _NONE
    might_reason: re.Pattern[str] = _NONE
    fields: frozenset[str] | None = None
    message_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    call_fields: frozenset[str] = frozenset()
    roles: Mapping[str, str] = field(default_factory=dict)
    nulls: bool = True
    """Whether fields of a message may be null."""
    streams_shapes: bool = True
    """Whether an answer in a given format can be streamed; if not, it is asked for in one piece."""

    def settle(self, body: Message) -> None:
        """Put the body of a request into the host's terms; what is the caller's is copied, never changed."""
        self._rename(body)
        if self._reasons(body):
            _leave_out(body, _SAMPLING)
        if self.fields is not None:
            _leave_out(body, body.keys() - self.fields)
            if not body.get("tools", True):
                del body["tools"]
        if not self.streams_shapes and _shaped(body):
            _leave_out(body, ("stream", "stream_options"))
        if (self.message_fields or self.roles) and isinstance(messages := body["messages"], list | tuple):
            body["messages"] = [self._message(message) for message in messages]

    def _rename(self, body: Message) -> None:
        if self.rename and self.models.match(str(body["model"])):
            for name in self.rename.keys() & body.keys():
                body.setdefault(self.rename[name], body[name])
                del body[name]

    def _reasons(self, body: Message) -> bool:
        effort = body.get("reasoning_effort")
        thinks = self.reasoners if effort is None else self.might_reason
        return effort != "none" and thinks.match(str(body["model"])) is not None

    def _message(self, message: Message) -> Message:
        told = str(message.get("role"))
        if (role := self.roles.get(told, told)) != told:
            message = {**message, "role": role}
        known = self.message_fields.get(role)
        if known is None or (message.keys() <= known and "tool_calls" not in message and self.nulls):
            return message
        kept = {name: value for name, value in message.items() if name in known and (self.nulls or value is not None)}
        if isinstance(calls := kept.get("tool_calls"), list | tuple):
            kept["tool_calls"] = [_only(self.call_fields, call) for call in calls]
        return kept


# Replies of other hosts bring fields that these turn down when they come back ("Unknown parameter: 'messages[1].…'";
# "property 'reasoning_content' is unsupported"). The fields: openai 3.54.0, `ChatCompletionAssistantMessageParam`.
_ASSISTANT = frozenset({"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"})
_CALL = frozenset({"id", "type", "function", "custom"})
_SYSTEM = {"developer": "system"}  # what OpenAI calls it since o1, and others do not know

# OpenAI's reference: `max_tokens` is deprecated, and an error for o-series models; so it is for GPT-5 and later.
# Sampling: o-series, GPT-5.0 and from 5.5 on refuse it as they are; 5.1 to 5.4 only when told to think.
_SINCE_O1 = re.compile(r"o\d|gpt-(?:[5-9]|\d\d)")
_OPENAI = Quirks(
    models=_SINCE_O1,
    rename={"max_tokens": "max_completion_tokens"},
    might_reason=_SINCE_O1,
    reasoners=re.compile(r"o\d|gpt-(?:5(?:$|-(?!chat))|5\.[5-9]|[6-9]|\d\d)"),
    message_fields={"assistant": _ASSISTANT},
    call_fields=_CALL,
)

# They know the older name only, and a limit that they do not know limits nothing.
_OLDER_LIMIT = {"max_completion_tokens": "max_tokens"}
_DEEPSEEK = Quirks(rename=_OLDER_LIMIT, roles=_SYSTEM)
_TOGETHER = Quirks(rename=_OLDER_LIMIT)

_GROQ = Quirks(
    message_fields={"assistant": _ASSISTANT - {"refusal", "audio"}},
    call_fields=_CALL,
    nulls=False,
    streams_shapes=False,
)

# An unknown field is a 422 `extra_forbidden`. The fields: mistralai 3.7.0, `ChatCompletionRequest` and its messages.
_MISTRAL = Quirks(
    rename={**_OLDER_LIMIT, "seed": "random_seed"},
    fields=frozenset({
        "frequency_penalty", "guardrails", "logprobs", "max_tokens", "messages", "metadata", "min_tokens", "model", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_logprobs", "prompt_mode",
        "random_seed", "reasoning_effort", "repetition_penalty", "response_format", "safe_prompt", "service_tier",
        "stop", "stream", "temperature", "tool_choice", "tools", "top_k", "top_logprobs", "top_p",
        "top_prompt_logprobs",
    }),
    message_fields={
        "system": frozenset({"role", "content"}),
        "user": frozenset({"role", "content"}),
        "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
        "tool": frozenset({"role", "content", "tool_call_id", "name"}),
    },
    call_fields=frozenset({"id", "type", "function", "index"}),
    roles=_SYSTEM,
)

_HOSTS: Mapping[str, Quirks] = {
    "api.openai.com": _OPENAI, "api.deepseek.com": _DEEPSEEK, "api.groq.com": _GROQ, "api.mistral.ai": _MISTRAL,
    "api.together.xyz": _TOGETHER,
}


def quirks_of(base_url: str) -> Quirks | None:
    """What is peculiar about the host at this address; `None` for nothing."""
    return _HOSTS.get(urlsplit(base_url).hostname or "")


def _leave_out(body: Message, names: Iterable[str]) -> None:
    for name in names:
        body.pop(name, None)


def _shaped(body: Message) -> bool:
    shape = body.get("response_format")
    return isinstance(shape, dict) and shape.get("type") != "text"


def _only(known: frozenset[str], value: object) -> object:
    return {name: inner for name, inner in value.items() if name in known} if isinstance(value, dict) else value
