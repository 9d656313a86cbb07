"""What hosts of Chat Completions refuse that others take: one table, each entry with its source.

An entry is found once, when the wire is made, by the host's name; a host without one costs nothing. What depends on the
model and not on the host stands in `_wire/families.py`. `request.py` and `history.py` apply both.

OpenRouter's attribution headers (`HTTP-Referer`, `X-OpenRouter-Title`) need no entry: they belong into the provider's
`headers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asyncrouter._wire.answer_format import ANY, LOOSE, OPENAI
from asyncrouter._wire.families import NOTHING_KNOWN, FamilyRules
from asyncrouter._wire.vendors import foreign_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.answer_format import Rules

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Quirks:
    """What one host refuses."""

    rules: FamilyRules = NOTHING_KNOWN
    """The rules of its models whose family is not known."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """The host's names for parameters."""
    newer_limit: bool = False
    """Whether `max_tokens` is an error for models since o1, which want `max_completion_tokens`."""
    left_out: frozenset[str] = _NOTHING
    """Parameters that it refuses, or that are another vendor's."""
    left_out_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The same for some lines of models, by the name of the line."""
    fields: frozenset[str] | None = None
    """All parameters that it knows; `None` when it ignores others, or when they are better refused than left out."""
    message_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """All fields of a message that it knows, by role; a role that is missing may have any."""
    call_fields: frozenset[str] = _NOTHING
    """All fields of a tool call that it knows, for roles in `message_fields`."""
    part_fields: frozenset[str] | None = None
    """All fields of a part of a content that it knows; `None` when it ignores others."""
    said_parts: frozenset[str] | None = None
    """The types of parts that an assistant's content may have; `None` for any."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """The host's names for roles."""
    nulls: bool = True
    """Whether fields of a message may be null."""
    tool_types: frozenset[str] | None = None
    """The types of tools that it takes; `None` when they are not known."""
    names_tool: bool = True
    """Whether `tool_choice` may name a tool; if not, only that tool is offered, and a call is "required"."""
    one_choice: bool = False
    """Whether `n` may only be 1."""
    schemas: bool = True
    """Whether an answer may be asked for by a JSON schema."""
    format_rules: Rules = ANY
    """What such a schema may say, for models whose maker is not known."""
    streams_formats: bool = True
    """Whether an answer with a `response_format` can be streamed; if not, it is asked for as one body."""
    thinking_switch: bool = False
    """Whether `thinking` turns reasoning on and off, in place of the effort "none"."""
    wants_reasoning: bool = False
    """Whether each message of a model that reasons must come back with its `reasoning_content`; "" will do."""
    wants_prefix: bool = False
    """Whether an assistant's message at the end must say that it is a `prefix`."""
    default_effort_only: frozenset[str] = _NOTHING
    """Vendors whose models take the efforts "none" and "default" here."""
    max_id: int | None = None
    """The most characters of `user`, `safety_identifier` and `prompt_cache_key`; `None` for no limit."""


# Replies of other hosts have fields that OpenAI and Groq refuse when they come back ("Unknown parameter:
# 'messages[1].…'"; "property 'reasoning_content' is unsupported").
_ASSISTANT_FIELDS: Final = frozenset({"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"})
"""The fields of an assistant's message: openai 3.57, `ChatCompletionAssistantMessageParam`."""

_CALL_FIELDS: Final = frozenset({"id", "type", "function", "custom"})
"""The fields of a tool call: openai 3.57, `ChatCompletionMessageToolCallUnionParam`."""

_PART_FIELDS: Final = frozenset({"type", "text", "refusal", "image_url", "input_audio", "file"})
"""The fields of the parts of a content: openai 3.57, `ChatCompletionContentPartParam`."""

_SAID: Final = frozenset({"text", "refusal"})

_ROLES_BEFORE_O1: Final = {"developer": "system"}
"""OpenAI has called the system role "developer" since o1; these hosts know only the older name."""

_NAMED: Final = frozenset({"role", "content", "name"})
_PLAIN: Final = frozenset({"role", "content"})
_RESULT: Final = frozenset({"role", "content", "tool_call_id"})

_OPENAI: Final = Quirks(
    newer_limit=True,
    format_rules=OPENAI,
    left_out=foreign_parameters("openai"),
    message_fields={
        "system": _NAMED, "developer": _NAMED, "user": _NAMED, "assistant": _ASSISTANT_FIELDS,
        "tool": _RESULT | {"name"},
    },
    call_fields=_CALL_FIELDS,
    part_fields=_PART_FIELDS,
    said_parts=_SAID,
    tool_types=frozenset({"function", "custom"}),
    max_id=64,
)

_OLDER_LIMIT: Final = {"max_completion_tokens": "max_tokens"}
"""Hosts that know only the older name ignore the newer one, and then nothing limits the answer."""

# api-docs.deepseek.com, "Thinking mode"; openclaw/openclaw#73417; "response_format type is unavailable now".
_DEEPSEEK: Final = Quirks(
    rename=_OLDER_LIMIT,
    left_out=foreign_parameters("deepseek"),
    message_fields={
        "system": _NAMED, "user": _NAMED,
        "assistant": frozenset({"role", "content", "name", "tool_calls", "prefix", "reasoning_content"}),
        "tool": _RESULT | {"name"},
    },
    call_fields=frozenset({"id", "type", "function"}),
    part_fields=_PART_FIELDS,
    said_parts=_SAID,
    roles=_ROLES_BEFORE_O1,
    tool_types=frozenset({"function"}),
    schemas=False,
    thinking_switch=True,
    wants_reasoning=True,
)
_TOGETHER: Final = Quirks(rename=_OLDER_LIMIT, roles=_ROLES_BEFORE_O1)

# console.groq.com, "OpenAI compatibility", "Currently unsupported OpenAI features".
_GROQ: Final = Quirks(
    left_out=foreign_parameters("groq") | {
        "frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "top_logprobs",
    },
    message_fields={
        "system": _PLAIN, "developer": _PLAIN, "user": _PLAIN,
        "assistant": frozenset({"role", "content", "tool_calls", "function_call"}),
        "tool": _RESULT | {"name"},
    },
    call_fields=_CALL_FIELDS,
    part_fields=_PART_FIELDS,
    said_parts=_SAID,
    nulls=False,
    tool_types=frozenset({"function", "browser_search", "code_interpreter", "mcp"}),
    one_choice=True,
    format_rules=LOOSE,  # "strict" is for gpt-oss alone
    streams_formats=False,
    default_effort_only=frozenset({"qwen"}),
)

# egoist/chatwise-releases#1442 ("wrong_api_format"); pydantic-ai-slim 2.68, Cerebras profile.
_CEREBRAS: Final = Quirks(
    left_out=foreign_parameters(),
    left_out_of={"gpt-oss": frozenset({"parallel_tool_calls"})},
    roles=_ROLES_BEFORE_O1,
    message_fields={
        "system": _NAMED, "developer": _NAMED, "user": _NAMED,
        "assistant": frozenset({"role", "content", "name", "tool_calls", "reasoning"}), "tool": _RESULT | {"name"},
    },
    call_fields=frozenset({"id", "type", "function"}),
    part_fields=_PART_FIELDS,
    said_parts=_SAID,
    tool_types=frozenset({"function"}),
)

# docs.x.ai, "Chat completions".
_XAI: Final = Quirks(
    format_rules=OPENAI,
    left_out=foreign_parameters("xai"),
    message_fields={
        "system": _NAMED, "developer": _NAMED, "user": _NAMED,
        "assistant": _ASSISTANT_FIELDS | {"reasoning_content"}, "tool": _RESULT | {"name"},
    },
    call_fields=_CALL_FIELDS,
    part_fields=_PART_FIELDS,
    said_parts=_SAID,
)

# An unknown field is a 422 `extra_forbidden`. The fields: mistralai 3.7.0, `ChatCompletionRequest` and its messages.
_MISTRAL: Final = Quirks(
    rules=FamilyRules(tool_ids="mistral", bridges_results=True),
    rename={**_OLDER_LIMIT, "seed": "random_seed"},
    fields=frozenset({
        "frequency_penalty", "guardrails", "logprobs", "max_tokens", "messages", "metadata", "min_tokens", "model", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_logprobs", "prompt_mode",
        "random_seed", "reasoning_effort", "repetition_penalty", "response_format", "safe_prompt", "service_tier",
        "stop", "stream", "temperature", "tool_choice", "tools", "top_k", "top_logprobs", "top_p",
        "top_prompt_logprobs",
    }),
    message_fields={
        "system": _PLAIN, "user": _PLAIN, "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
        "tool": _RESULT | {"name"},
    },
    call_fields=frozenset({"id", "type", "function", "index"}),
    part_fields=_PART_FIELDS | {"document_url", "file_id", "reference_ids", "thinking", "closed"},
    said_parts=frozenset({"text", "thinking", "reference"}),
    roles=_ROLES_BEFORE_O1,
    tool_types=frozenset({"function"}),
    wants_prefix=True,
)

# can1357/oh-my-pi#6925: "Invalid tool_choice type: 'object'".
_LM_STUDIO: Final = Quirks(names_tool=False)

_HOSTS: Final[Mapping[str, Quirks]] = {
    "api.cerebras.ai": _CEREBRAS, "api.deepseek.com": _DEEPSEEK, "api.groq.com": _GROQ, "api.mistral.ai": _MISTRAL,
    "api.openai.com": _OPENAI, "api.together.xyz": _TOGETHER, "api.x.ai": _XAI,
}
"""The entries, by host name."""

_REGIONS: Final[Mapping[str, Quirks]] = {
    ".api.openai.com": _OPENAI, ".openai.azure.com": _OPENAI, ".services.ai.azure.com": _OPENAI,
    ".cognitiveservices.azure.com": _OPENAI, ".api.x.ai": _XAI,
}
"""The entries of vendors with several hosts, by what the hosts' names end with."""

_LOCAL: Final[Mapping[int, Quirks]] = {1234: _LM_STUDIO}
"""The entries of servers on this machine, by the port they listen on unless they are told otherwise."""


def quirks_of(base_url: str) -> Quirks | None:
    """The entry of the host at this address, `None` if it has none."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"}:
        return _LOCAL.get(parts.port or 0)
    return _HOSTS.get(host) or next((quirks for end, quirks in _REGIONS.items() if host.endswith(end)), None)

