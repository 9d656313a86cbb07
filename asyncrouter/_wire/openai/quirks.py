"""Changes requests for Chat Completions hosts that refuse what others take: names of parameters, fields, roles.

There is one entry a host, found once, when the wire is made; a host without one costs nothing. OpenRouter's attribution
headers (`HTTP-Referer`, `X-OpenRouter-Title`) need no entry: they belong into the provider's `headers`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asyncrouter._types import Message

_NO_MODEL = re.compile(r"(?!)")
"""Matches no model id."""

_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")
"""Parameters of sampling, which reasoning models refuse."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """What one host refuses."""

    models: re.Pattern[str] = re.compile("")
    """The models `rename` is for, by the beginning of their ids; all by default."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """The host's names for parameters."""
    reasoners: re.Pattern[str] = _NO_MODEL
    """Models that reason, and so refuse sampling parameters, unless asked not to reason."""
    might_reason: re.Pattern[str] = _NO_MODEL
    """Models that reason, and so refuse sampling parameters, when an effort is given."""
    fields: frozenset[str] | None = None
    """All fields of a request that the host knows; `None` when it ignores those it does not know."""
    message_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """All fields of a message that the host knows, by role; a role that is missing may have any."""
    call_fields: frozenset[str] = frozenset()
    """All fields of a tool call that the host knows, for roles in `message_fields`."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """The host's names for roles."""
    nulls: bool = True
    """Whether fields of a message may be null."""
    streams_formats: bool = True
    """Whether an answer with a `response_format` can be streamed; if not, it is asked for as one body."""

    def apply(self, body: Message) -> None:
        """Change a request's body for the host. What belongs to the caller is copied, never changed."""
        self._rename(body)
        if self._reasons(body):
            _leave_out(body, _SAMPLING)
        if self.fields is not None:
            _leave_out(body, body.keys() - self.fields)
            if not body.get("tools", True):
                del body["tools"]
        if not self.streams_formats and _has_format(body):
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
        models = self.reasoners if effort is None else self.might_reason
        return effort != "none" and models.match(str(body["model"])) is not None

    def _message(self, message: Message) -> Message:
        given = str(message.get("role"))
        if (role := self.roles.get(given, given)) != given:
            message = {**message, "role": role}
        known = self.message_fields.get(role)
        if known is None or (message.keys() <= known and "tool_calls" not in message and self.nulls):
            return message
        kept = {name: value for name, value in message.items() if name in known and (self.nulls or value is not None)}
        if isinstance(calls := kept.get("tool_calls"), list | tuple):
            kept["tool_calls"] = [_only(self.call_fields, call) for call in calls]
        return kept


# Replies of other hosts have fields that OpenAI and Groq refuse when they come back ("Unknown parameter:
# 'messages[1].…'"; "property 'reasoning_content' is unsupported").
_ASSISTANT_FIELDS = frozenset({"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"})
"""The fields of an assistant's message: openai 3.54.0, `ChatCompletionAssistantMessageParam`."""

_CALL_FIELDS = frozenset({"id", "type", "function", "custom"})
"""The fields of a tool call: openai 3.54.0, `ChatCompletionMessageToolCallUnionParam`."""

_ROLES_BEFORE_O1 = {"developer": "system"}
"""OpenAI has called the system role "developer" since o1; these hosts know only the older name."""

_SINCE_O1 = re.compile(r"o\d|gpt-(?:[5-9]|\d\d)")
"""Models for which `max_tokens` is an error (OpenAI's reference: deprecated, and not for the o-series and later)."""

# Sampling parameters: the o-series, GPT-5.0 and from 5.5 on refuse them as they are; 5.1 to 5.4 only with an effort.
_OPENAI = Quirks(
    models=_SINCE_O1,
    rename={"max_tokens": "max_completion_tokens"},
    might_reason=_SINCE_O1,
    reasoners=re.compile(r"o\d|gpt-(?:5(?:$|-(?!chat))|5\.[5-9]|[6-9]|\d\d)"),
    message_fields={"assistant": _ASSISTANT_FIELDS},
    call_fields=_CALL_FIELDS,
)

_OLDER_LIMIT = {"max_completion_tokens": "max_tokens"}
"""Hosts that know only the older name ignore the newer one, and then nothing limits the answer."""

_DEEPSEEK = Quirks(rename=_OLDER_LIMIT, roles=_ROLES_BEFORE_O1)
_TOGETHER = Quirks(rename=_OLDER_LIMIT)

_GROQ = Quirks(
    message_fields={"assistant": _ASSISTANT_FIELDS - {"refusal", "audio"}},
    call_fields=_CALL_FIELDS,
    nulls=False,
    streams_formats=False,
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
    roles=_ROLES_BEFORE_O1,
)

_HOSTS: Mapping[str, Quirks] = {
    "api.openai.com": _OPENAI, "api.deepseek.com": _DEEPSEEK, "api.groq.com": _GROQ, "api.mistral.ai": _MISTRAL,
    "api.together.xyz": _TOGETHER,
}
"""The entries, by host name."""


def quirks_of(base_url: str) -> Quirks | None:
    """The entry of the host at this address, `None` if it has none."""
    return _HOSTS.get(urlsplit(base_url).hostname or "")


def _leave_out(body: Message, names: Iterable[str]) -> None:
    for name in names:
        body.pop(name, None)


def _has_format(body: Message) -> bool:
    given = body.get("response_format")
    return isinstance(given, dict) and given.get("type") != "text"


def _only(known: frozenset[str], value: object) -> object:
    return {name: inner for name, inner in value.items() if name in known} if isinstance(value, dict) else value
