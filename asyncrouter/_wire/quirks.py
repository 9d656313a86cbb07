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
    from collections.abc import Mapping

    from asyncrouter._types import Message


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a host does not take. `rename` is by parameter, for models whose id begins with `models`.

    `fields` and `message_fields` (by role) are all that the host knows; `None` and a role that is missing: anything.
    """

    models: re.Pattern[str] = re.compile("")
    rename: Mapping[str, str] = field(default_factory=dict)
    fields: frozenset[str] | None = None
    message_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    call_fields: frozenset[str] = frozenset()

    def settle(self, body: Message) -> None:
        """Put the body of a request into the host's terms; what is the caller's is copied, never changed."""
        if self.rename and self.models.match(str(body["model"])):
            for name in self.rename.keys() & body.keys():
                body.setdefault(self.rename[name], body[name])
                del body[name]
        if self.fields is not None:
            for name in body.keys() - self.fields:
                del body[name]
            if "tools" in body and not body["tools"]:
                del body["tools"]
        if self.message_fields and isinstance(messages := body["messages"], list | tuple):
            body["messages"] = [self._message(message) for message in messages]

    def _message(self, message: Message) -> Message:
        known = self.message_fields.get(str(message.get("role")))
        if known is None or (message.keys() <= known and "tool_calls" not in message):
            return message
        kept = {name: value for name, value in message.items() if name in known}
        if isinstance(calls := kept.get("tool_calls"), list | tuple):
            kept["tool_calls"] = [_only(self.call_fields, call) for call in calls]
        return kept


# OpenAI's reference: `max_tokens` is deprecated, and an error for o-series models; so it is for GPT-5 and later.
_OPENAI = Quirks(models=re.compile(r"o\d|gpt-(?:[5-9]|\d\d)"), rename={"max_tokens": "max_completion_tokens"})

# An unknown field is a 422 `extra_forbidden`. The fields: mistralai 3.7.0, `ChatCompletionRequest` and its messages.
_MISTRAL = Quirks(
    rename={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
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
)

_HOSTS: Mapping[str, Quirks] = {"api.openai.com": _OPENAI, "api.mistral.ai": _MISTRAL}


def quirks_of(base_url: str) -> Quirks | None:
    """What is peculiar about the host at this address; `None` for nothing."""
    return _HOSTS.get(urlsplit(base_url).hostname or "")


def _only(known: frozenset[str], value: object) -> object:
    return {name: inner for name, inner in value.items() if name in known} if isinstance(value, dict) else value
