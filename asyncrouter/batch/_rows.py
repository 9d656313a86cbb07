"""One row of an input: its fields, checked, and the call they ask for. Pure.

A row has one of two forms. Ours: `{"id", "prompt" | "messages", "task", …}`. That of OpenAI's Batch API:
`{"custom_id", "method", "url", "body"}`. A row of an errors file has `_error` beside its own fields, which is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple, cast

from asyncrouter.batch._embedding_rows import EMBEDDINGS, NOT_EMBEDDED, embedding_call
from asyncrouter.batch._responses_rows import RESPONSES, responses_messages, responses_params

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from asyncrouter import Config, Embeddings, Reply, Router

Id = str | int
Fields = dict[str, object]

ROWS_PER_YIELD = 500
"""How many rows a loop over an input reads before it lets other tasks run: some milliseconds' work."""
CHAT_COMPLETIONS = "/v1/chat/completions"
"""The endpoint that a row in OpenAI's form usually names."""
ENDPOINTS = (CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS)
"""The endpoints that a row in OpenAI's form may name."""
MODEL_ARGUMENTS = ("tier", "chain", "model")
"""The arguments of `Router.chat` that say which models; a call takes one of them."""
NATIVE_FIELDS = (
    "id", "prompt", "messages", "task", *MODEL_ARGUMENTS, "deadline", "params", "metadata", "columns", "_error",
)
"""The fields that a row in our form may have, beside `PROVIDER_PARAMETERS`. `metadata` and `columns` stand in the
answer; `columns` has the other columns of a table."""
OPENAI_FIELDS = ("custom_id", "method", "url", "body", "metadata", "_error")
"""The fields that a row in OpenAI's form may have."""
PROVIDER_PARAMETERS = frozenset((
    "audio", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "min_p",
    "modalities", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "provider", "reasoning",
    "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed", "service_tier", "stop",
    "temperature", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
))
"""The parameters of a provider that may be fields of a row in our form; any other goes into its `params`."""
NOT_PARAMETERS = frozenset(("messages", "model", "stream", "stream_options"))
"""The parts of a request that the router writes itself, so that they cannot be parameters."""
ROW_FIELDS = frozenset(NATIVE_FIELDS) | PROVIDER_PARAMETERS
"""Every field that a row in our form may have."""

_CHOICE = frozenset(("task", *MODEL_ARGUMENTS))
"""Fields with which a row chooses its own models, in the place of those for all rows."""
_PLAIN_FIELDS = frozenset(("id", "prompt", "messages", "metadata", "columns", "_error"))
"""Fields that change nothing about how a row is asked: with no others, its options are those of all rows."""


class RowError(ValueError):
    """A row that no call can be made of; the message says what is wrong with which field."""


class Row(NamedTuple):
    """A row that can be sent: its `number` in the input, from 0, its `id`, and the arguments of `Router.chat`, `prompt`
    and `options`; beside them its `fields` as they stand in the input.
    """

    number: int
    id: Id
    prompt: str | list[Fields] | list[object]
    options: dict[str, object]
    fields: Mapping[str, object]

    @property
    def embeds(self) -> bool:
        """Whether it asks for embeddings: then `prompt` are the texts, and `options` arguments of `Router.embed`."""
        return self.fields.get("url") == EMBEDDINGS

    def ask(self, router: Router, options: dict[str, object]) -> Coroutine[None, None, Reply | Embeddings]:
        """The call, with these options in the place of its own."""
        if self.embeds:
            options = {name: value for name, value in options.items() if name not in NOT_EMBEDDED}
            return router.embed(self.prompt, **options)  # type: ignore[arg-type]  # checked before
        return router.chat(self.prompt, **options)  # type: ignore[arg-type]  # checked before

    @classmethod
    def of(
        cls, number: int, id: Id, fields: Mapping[str, object], options: dict[str, object],  # noqa: A002  # as the field
        config: Config | None = None,
    ) -> Row:
        """The row with these fields; what it says goes before the `options` for all rows. Raises `RowError`.

        `config` tells whether the `model` of a row in OpenAI's form is a task or a tier; `None`: it is a model.
        """
        if len(fields) == 2 and "id" in fields and type(given := fields.get("prompt")) is str and given:
            return cls(number, id, given, options, fields)  # most rows of most files
        if "task" in fields and config is not None:
            _check_task(fields["task"], config)
        prompt: str | list[Fields] | list[object]
        if "custom_id" in fields or "body" in fields:
            prompt, merged = _openai(fields, options, config)
        else:
            prompt, merged = _native(fields, options)
        return cls(number, id, prompt, merged, fields)


def _check_task(task: object, config: Config) -> None:
    """Refuse a task that the configuration does not have, unless it says what to do with one. Raises `RowError`."""
    if config.unknown_task is None and isinstance(task, str) and task not in config.tasks:
        close = get_close_matches(task, list(config.tasks), n=1)
        cure = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(config.tasks) or 'none'}"
        raise RowError(f"task: unknown task {task!r:.60}; {cure}")


def id_of(fields: Mapping[str, object]) -> Id | None:
    """A row's own id, `None` if it has none. Raises `RowError` for one of the wrong type."""
    name = "custom_id" if "custom_id" in fields or "body" in fields else "id"
    given = fields.get(name)
    if type(given) is str and given:
        return given
    if given is None and name == "id":
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise RowError(f"{name}: expected text or a whole number, got {given!r:.60}")


def fields_of(prompt: object) -> Fields:
    """The fields of a row that is nothing but a prompt or messages."""
    return {"prompt": prompt} if isinstance(prompt, str) else {"messages": prompt}


def _native(fields: Mapping[str, object], options: dict[str, object]) -> tuple[str | list[Fields], dict[str, object]]:
    if not fields.keys() <= _PLAIN_FIELDS:
        for name in fields.keys() - ROW_FIELDS:
            known = [*NATIVE_FIELDS, *PROVIDER_PARAMETERS]
            raise RowError(_unknown(name, known, ' (what the provider takes may also stand in "params")'))
        options = _merged(fields, options)
    if ("prompt" in fields) == ("messages" in fields):
        raise RowError('expected one of "prompt" and "messages"')
    return _prompt(fields["prompt"]) if "prompt" in fields else _messages(fields["messages"]), options


def _merged(fields: Mapping[str, object], options: dict[str, object]) -> dict[str, object]:
    """The options for all rows with a row's own before them; its models, or its task, replace the models for all."""
    merged = dict(options)
    if fields.keys() & _CHOICE:
        replaced = ("chain", "model", "tier") if fields.keys() & set(MODEL_ARGUMENTS) else ("chain", "model")
        for name in replaced:
            merged.pop(name, None)
    merged |= {name: fields[name] for name in ("task", *MODEL_ARGUMENTS, "deadline") if name in fields}
    params = {name: value for name, value in fields.items() if name in PROVIDER_PARAMETERS}
    _take_format(params, merged)
    if params or "params" in fields:
        merged["params"] = {**_params(options.get("params")), **_params(fields.get("params")), **params}
    return merged


def _openai(
    fields: Mapping[str, object], options: dict[str, object], config: Config | None
) -> tuple[list[Fields] | list[object], dict[str, object]]:
    for name in fields:
        if name not in OPENAI_FIELDS:
            raise RowError(_unknown(name, OPENAI_FIELDS, ""))
    method, url = fields.get("method", "POST"), fields.get("url", CHAT_COMPLETIONS)
    if url not in ENDPOINTS or method != "POST":
        raise RowError(f"expected POST to one of {', '.join(ENDPOINTS)}, got {method} {url!r:.60}")
    body = fields.get("body")
    if not isinstance(body, Mapping):
        raise RowError(f"body: expected an object, got {body!r:.60}")
    try:
        if url == EMBEDDINGS:
            return embedding_call(body, options)
        given, params = _chat(body) if url == CHAT_COMPLETIONS else (responses_messages(body), responses_params(body))
    except ValueError as error:
        raise RowError(str(error)) from None
    if body.get("stream"):
        raise RowError("body.stream: a batch is not streamed; leave it out")
    merged = dict(options)
    _take_format(params, merged)
    merged["params"] = {**_params(options.get("params")), **params}
    if not any(name in options for name in ("task", *MODEL_ARGUMENTS)):
        merged |= _model_choice(body.get("model"), config)
    return _messages(given), merged


def _chat(body: Mapping[str, object]) -> tuple[object, Fields]:
    """The messages and the parameters of a body for Chat Completions."""
    params = {name: value for name, value in body.items() if name not in {"model", "messages", "stream"}}
    return body.get("messages"), params


def _take_format(params: Fields, merged: dict[str, object]) -> None:
    """Make a row's own `response_format` an argument of the call, so that its answer is checked."""
    if "response_format" in params:
        merged["response_format"] = params.pop("response_format")


def _model_choice(model: object, config: Config | None) -> dict[str, object]:
    """The argument of `Router.chat` that a body's `model` stands for: a task, a tier, else a model."""
    if not isinstance(model, str):
        raise RowError(f"body.model: expected a name, got {model!r:.60}")
    if config is not None and model in config.tasks:
        return {"task": model}
    return {"tier": model} if config is not None and model in config.tiers else {"model": model}


def _prompt(given: object) -> str:
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
    for name in NOT_PARAMETERS & given.keys():
        raise RowError(f"params.{name}: is set by the router and cannot be a parameter")
    return given


def _unknown(name: str, known: Sequence[str], hint: str) -> str:
    close = get_close_matches(name, known, n=1)
    return f"unknown field {name!r:.60}" + (f": did you mean {close[0]!r}?" if close else hint)
