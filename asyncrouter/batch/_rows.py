"""What one row asks for: its two forms, and what each of their fields means. Pure.

Simple: `{"id", "prompt" | "messages", "task", …}`. OpenAI's: `{"custom_id", "method", "url", "body"}` (OpenAI, "Batch
API"). A row of an errors file has `_error` beside its own fields, which is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from asyncrouter import Config

Id = str | int
Fields = dict[str, object]

AT_ONCE = 500
"""Rows that are read between two looks at the rest of the event loop."""
URL = "/v1/chat/completions"
CHOOSING = ("tier", "chain", "model")
"""Ways of saying which models, of which a call has one."""
OURS = ("id", "prompt", "messages", "task", *CHOOSING, "deadline", "params", "metadata", "_error")
THEIRS = ("custom_id", "method", "url", "body", "metadata", "_error")
PARAMS = frozenset((
    "audio", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "min_p",
    "modalities", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "provider", "reasoning",
    "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed", "service_tier", "stop",
    "temperature", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
))
"""What may stand beside a row's own fields for the provider; anything else goes into `params`."""
NOT_PARAMS = frozenset(("messages", "model", "stream", "stream_options"))
"""Parts of a request that its parameters cannot change."""


_KNOWN = frozenset(OURS) | PARAMS
_CHOICE = frozenset(("task", *CHOOSING))
_NEUTRAL = frozenset(("id", "prompt", "messages", "metadata", "_error"))
"""Fields that change nothing of how a row is asked."""


class RowError(ValueError):
    """A row that asks for nothing that could be sent."""


class Row(NamedTuple):
    """A row that can be sent: its place in the input (from 0), whose it is, what is asked, and the arguments of
    `Router.chat`; beside them its own fields as they stand.
    """

    place: int
    id: Id
    prompt: str | list[Fields]
    options: dict[str, object]
    fields: Mapping[str, object]

    @classmethod
    def of(
        cls, place: int, name: Id, fields: Mapping[str, object], options: dict[str, object],
        config: Config | None = None,
    ) -> Row:
        """What the row of this id asks for, over the `options` that hold for all. Raises `RowError`."""
        if "custom_id" in fields or "body" in fields:
            prompt, asked = _theirs(fields, options, config)
        else:
            prompt, asked = _ours(fields, options)
        return cls(place, name, prompt, asked, fields)


def id_of(fields: Mapping[str, object]) -> Id | None:
    """A row's id, `None` if it has none. Raises `RowError`."""
    name = "custom_id" if "custom_id" in fields or "body" in fields else "id"
    given = fields.get(name)
    if isinstance(given, str) and given:
        return given
    if given is None and name == "id":
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise RowError(f"{name}: expected text or a whole number, got {given!r:.60}")


def fields_of(prompt: object) -> Fields:
    """The fields of a row that is only a prompt or messages."""
    return {"prompt": prompt} if isinstance(prompt, str) else {"messages": prompt}


def _ours(fields: Mapping[str, object], options: dict[str, object]) -> tuple[str | list[Fields], dict[str, object]]:
    if not fields.keys() <= _NEUTRAL:
        for name in fields.keys() - _KNOWN:
            raise RowError(_unknown(name, [*OURS, *PARAMS], ' (what the provider takes may also stand in "params")'))
        options = _over(fields, options)
    if ("prompt" in fields) == ("messages" in fields):
        raise RowError('expected one of "prompt" and "messages"')
    return _text(fields["prompt"]) if "prompt" in fields else _messages(fields["messages"]), options


def _over(fields: Mapping[str, object], options: dict[str, object]) -> dict[str, object]:
    """The options of all with a row's own over them: its models, or its task, instead of the models of all."""
    merged = dict(options)
    if fields.keys() & _CHOICE:
        given_up = ("chain", "model", "tier") if fields.keys() & set(CHOOSING) else ("chain", "model")
        for name in given_up:
            merged.pop(name, None)
    merged |= {name: fields[name] for name in ("task", *CHOOSING, "deadline") if name in fields}
    params = {name: value for name, value in fields.items() if name in PARAMS}
    if params or "params" in fields:
        merged["params"] = {**_params(options.get("params")), **_params(fields.get("params")), **params}
    return merged


def _theirs(
    fields: Mapping[str, object], options: dict[str, object], config: Config | None
) -> tuple[str | list[Fields], dict[str, object]]:
    for name in fields:
        if name not in THEIRS:
            raise RowError(_unknown(name, THEIRS, ""))
    if fields.get("url", URL) != URL or fields.get("method", "POST") != "POST":
        raise RowError(f"expected POST {URL}, got {fields.get('method', 'POST')} {fields.get('url', URL)!r:.60}")
    body = fields.get("body")
    if not isinstance(body, Mapping):
        raise RowError(f"body: expected an object, got {body!r:.60}")
    if body.get("stream"):
        raise RowError("body.stream: a batch is not streamed; leave it out")
    params = {name: value for name, value in body.items() if name not in {"model", "messages", "stream"}}
    merged = {**options, "params": {**_params(options.get("params")), **params}}
    if not any(name in options for name in ("task", *CHOOSING)):
        merged |= _named(body.get("model"), config)
    return _messages(body.get("messages")), merged


def _named(model: object, config: Config | None) -> dict[str, object]:
    """What a body's `model` stands for: a task, a tier, else a model."""
    if not isinstance(model, str):
        raise RowError(f"body.model: expected a name, got {model!r:.60}")
    if config is not None and model in config.tasks:
        return {"task": model}
    return {"tier": model} if config is not None and model in config.tiers else {"model": model}


def _text(given: object) -> str:
    if isinstance(given, str) and given:
        return given
    raise RowError(f"prompt: expected text, got {given!r:.60}")


def _messages(given: object) -> list[Fields]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise RowError(f"messages: expected a list of at least one message, got {given!r:.60}")
    for index, message in enumerate(given):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise RowError(f"messages[{index}]: expected an object with a role, got {message!r:.60}")
    return cast("list[Fields]", list(given))


def _params(given: object) -> Mapping[str, object]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RowError(f"params: expected an object, got {given!r:.60}")
    for name in NOT_PARAMS & given.keys():
        raise RowError(f"params.{name}: is for the router to say and cannot be a parameter")
    return given


def _unknown(name: str, known: Sequence[str], hint: str) -> str:
    close = get_close_matches(name, known, n=1)
    return f"unknown field {name!r:.60}" + (f": did you mean {close[0]!r}?" if close else hint)
