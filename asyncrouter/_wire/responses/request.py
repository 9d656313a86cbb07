"""Writes a Chat Completions request as one for the Responses API.

Parameters are of four kinds. What the API has under another name is translated (`max_tokens`, `reasoning_effort`,
`response_format`, tools …). What only Chat Completions has, and what would change the answer, is `Rejected` before
anything is sent, with the parameter and the cure in the message; a value that asks for nothing (`n=1`) is left out.
What this model is known to refuse (`_wire/families.py`) is left out or replaced by the closest it takes. Everything
else goes out as it is, so the API's own parameters can be given under their own names.

Nothing is stored at the provider unless the caller says so, as with Chat Completions. A reasoning model is asked for
its reasoning in encrypted form instead, which goes back with the next turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._errors import Rejected
from asyncrouter._wire.families import closest_effort, rules_of
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.responses.items import write_items
from asyncrouter._wire.responses.tools import freed, write_tool_choice, write_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._config.catalog import Model
    from asyncrouter._types import Message
    from asyncrouter._wire.families import FamilyRules
    from asyncrouter._wire.responses.hosts import Target

MIN_OUTPUT_TOKENS: Final = 16
"""The smallest `max_output_tokens` that OpenAI takes; a lower limit is raised to it."""

LIMIT_NAMES: Final = ("max_output_tokens", "max_completion_tokens", "max_tokens")
"""The names under which a caller may limit the answer's tokens; the first that is given counts."""

CHAT_ONLY: Final = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "modalities", "n", "prediction",
    "presence_penalty", "seed", "stop", "web_search_options",
})
"""Parameters of Chat Completions that the Responses API has no place for."""

_REASONING_FIELDS: Final = frozenset({"effort", "summary", "generate_summary", "context", "mode"})
"""The fields of `reasoning`; OpenRouter has others under the same name."""

_BLOB: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"


def translate(
    model: Model, messages: Sequence[Message], params: Mapping[str, object], target: Target, *, stream: bool
) -> Message:
    """The body of the request. Raises `ValueError` for what is wrong, `Rejected` for what cannot be said here."""
    given = {
        name: value for name, value in params.items()
        if value is not None and name not in model.drop and name not in target.foreign
    }
    refuse_chat_only(given)
    if "input" in given:
        raise ValueError("input: the router writes it from the messages")
    rules = rules_of(model.id)
    server_side = "previous_response_id" in given or "conversation" in given
    body: Message = {
        "model": model.id,
        "input": write_items(messages, target, whole=not server_side, stored=given.get("store") is True),
    }
    if stream:
        body["stream"] = True
    _put_limit(body, given)
    _put_reasoning(body, given, rules)
    _put_text(body, given)
    _put_tools(body, given, can_force=rules.forced_tools != "never")
    _put_storage(body, given, can_reason=rules.efforts != ())
    body |= {name: value for name, value in given.items() if name not in CHAT_ONLY and name not in body}
    return body


def refuse_chat_only(given: Mapping[str, object]) -> None:
    """Raise `Rejected` for the first parameter that only Chat Completions has and that asks for something."""
    if (name := chat_only_parameter(given)) is not None:
        cure = f'drop = ["{name}"] on the model leaves it out, wire = "openai" on the provider uses Chat Completions'
        raise Rejected(f"{name}={given[name]!r:.40}: the Responses API has no such parameter; {cure}")


def chat_only_parameter(given: Mapping[str, object]) -> str | None:
    """The first parameter that only Chat Completions has and that asks for something; `None` if there is none."""
    if CHAT_ONLY.isdisjoint(given):
        return None
    return next((name for name in given if name in CHAT_ONLY and not _asks_nothing(name, given[name])), None)


def _asks_nothing(name: str, value: object) -> bool:
    """Whether a value of a parameter is the default: one choice, no stop words, no penalty, text."""
    if name == "modalities":
        return value in (["text"], ("text",), [], ())
    return value == 1 if name == "n" else not value and name != "seed"


def _put_limit(body: Message, given: Message) -> None:
    values = [given.pop(name) for name in LIMIT_NAMES if name in given]
    if values:
        value = values[0]
        low = isinstance(value, int | float) and value < MIN_OUTPUT_TOKENS
        body["max_output_tokens"] = MIN_OUTPUT_TOKENS if low else value


def _put_reasoning(body: Message, given: Message, rules: FamilyRules) -> None:
    """Write `reasoning`, and leave out what the model refuses while it reasons."""
    told = object_in(given, "reasoning")
    given.pop("reasoning", None)
    reasoning = {name: value for name, value in told.items() if name in _REASONING_FIELDS and value is not None}
    if (effort := given.pop("reasoning_effort", None)) is not None:
        reasoning["effort"] = effort
    if "effort" in reasoning:
        reasoning["effort"] = closest_effort(reasoning["effort"], rules.efforts)
    if reasoning and rules.efforts != ():
        body["reasoning"] = reasoning
    for name in rules.refuses(reasoning.get("effort")):
        given.pop(name, None)


def _put_text(body: Message, given: Message) -> None:
    """Write how the answer is to look: its format and its verbosity stand together under `text`."""
    text = dict(object_in(given, "text"))
    if given.pop("text", None) is not None and not text:
        raise ValueError("text: expected an object with `format` or `verbosity`")
    if (verbosity := given.pop("verbosity", None)) is not None:
        text.setdefault("verbosity", verbosity)
    if (shape := given.pop("response_format", None)) is not None:
        text.setdefault("format", _format(shape))
    if text:
        body["text"] = text


def _format(shape: object) -> Message:
    kind = shape.get("type") if isinstance(shape, dict) else None
    if kind in ("text", "json_object"):
        return {"type": kind}
    if not isinstance(shape, dict) or kind != "json_schema":
        raise ValueError(f'response_format.type: expected "text", "json_object" or "json_schema", got {kind!r:.80}')
    described = shape.get("json_schema")
    if not isinstance(described, dict) or not isinstance(described.get("schema"), dict):
        raise ValueError(f"response_format.json_schema.schema: expected a JSON schema, got {described!r:.80}")
    fields = {name: described[name] for name in ("description", "schema", "strict") if described.get(name) is not None}
    return {"type": "json_schema", "name": described.get("name") or "answer", **fields}


def _put_tools(body: Message, given: Message, *, can_force: bool) -> None:
    tools = write_tools(given.pop("tools", None))
    choice, parallel = given.pop("tool_choice", None), given.pop("parallel_tool_calls", None)
    if not tools:
        return
    body["tools"] = tools
    if choice is not None:
        written = write_tool_choice(choice)
        body["tools"], body["tool_choice"] = (tools, written) if can_force else freed(tools, written)
    if parallel is not None:
        body["parallel_tool_calls"] = parallel


def _put_storage(body: Message, given: Message, *, can_reason: bool) -> None:
    """Write `store` and `include`: nothing is stored unless the caller says so, and reasoning comes as a blob."""
    stored = body["store"] = given.pop("store", False)
    asked = given.pop("include", None)
    include = list(asked) if isinstance(asked, list | tuple) else []
    if asked is None and can_reason and stored is False:
        include.append(_BLOB)
    if (given.pop("logprobs", False) is True or "top_logprobs" in given) and _LOGPROBS not in include:
        include.append(_LOGPROBS)
    if include:
        body["include"] = include
