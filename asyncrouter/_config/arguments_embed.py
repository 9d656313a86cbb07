"""The arguments of `embed()`: texts, one model, parameters; checked before anything is sent, and made into a `Call`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Final

from asyncrouter._config.arguments import check_tags, deadline_of, params_of
from asyncrouter._config.arguments_headers import check_headers
from asyncrouter._config.arguments_params import merge_params
from asyncrouter._config.parameter_names import ARGUMENTS
from asyncrouter._config.settings import DefaultSeconds
from asyncrouter._errors import ConfigError
from asyncrouter._types import Call

if TYPE_CHECKING:
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import Plan
    from asyncrouter._config.settings import NotGiven
    from asyncrouter._credentials.secret import SealedHeaders
    from asyncrouter._types import Message, Priority

Texts = str | Iterable[str | Sequence[int]]
"""One text, or several; a text may be given in tokens, a list of whole numbers."""

_OTHERS_NAMES: Final = frozenset({"task_type", "input", "input_type", "dimensions", "title"})
"""Parameters for embeddings that mean something else to `chat()`, or look like one of its own."""
_NO_WIRE: Final = frozenset({"anthropic"})
"""Wires without embeddings."""


def check_texts(texts: Texts) -> list[Message]:
    """The texts of a call, as messages. Raises `TypeError` or `ValueError` that names the text."""
    if isinstance(texts, str):
        texts = [texts]
    if isinstance(texts, Mapping | bytes | bytearray) or not isinstance(texts, Iterable):
        raise TypeError(f"texts: expected text or a list of texts, got {type(texts).__name__}")
    messages: list[Message] = [{"role": "user", "content": _text(index, text)} for index, text in enumerate(texts)]
    if not messages:
        raise ValueError("texts: expected at least one text, got none")
    return messages


def _text(index: int, text: object) -> object:
    if isinstance(text, list | tuple):
        if not text or not all(type(token) is int and token >= 0 for token in text):
            raise ValueError(f"texts[{index}]: expected text, or tokens (whole numbers), got {text!r:.80}")
        return list(text)
    if not isinstance(text, str):
        raise TypeError(f"texts[{index}]: expected text, got {type(text).__name__}")
    if not text:
        raise ValueError(f"texts[{index}]: expected text, got an empty one, which providers refuse")
    if not text.isascii():
        _raise_for_surrogate(index, text)
    return text


def _raise_for_surrogate(index: int, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"texts[{index}]: not valid Unicode, a lone surrogate at position {error.start}") from None


def plan_of_one_model(plan: Plan) -> Plan:
    """The plan of a call for embeddings: unstreamed, and of one model. Raises `ConfigError`.

    The vectors of two models cannot be compared, so no model stands in for another one.
    """
    steps = plan.steps[: plan.ordinary]
    first = steps[0]
    for step in steps:
        if (step.model.provider, step.model.id) != (first.model.provider, first.model.id):
            raise ConfigError(
                f"embed() takes one model, and {first.name!r} and {step.name!r} are two: their vectors cannot be "
                "compared", "chain", step.name,
            )
    for one in first.pool.members if first.pool is not None else (first,):
        if one.provider.wire in _NO_WIRE:
            raise ConfigError(f"provider {one.provider.name!r} ({one.provider.wire}) has no embeddings", "model",
                              first.name)
    alone = tuple(step._replace(streams=False, on_refusal="next") for step in steps)
    return plan._replace(steps=alone, ordinary=len(alone))


def new_embed_call(
    config: Config, plan: Plan, now: float, messages: list[Message], *, deadline: float | NotGiven | None,
    priority: Priority, tags: Mapping[str, str] | None, params: Mapping[str, object] | None, headers: SealedHeaders,
    provider_params: Mapping[str, object], observed: bool,
) -> Call:
    """Check the arguments of a call that begins `now`. Raises `TypeError`, `ValueError` or `ConfigError`."""
    if headers.fault is not None:
        raise headers.fault
    if priority not in {"interactive", "batch"}:
        raise ValueError(f'priority: expected "interactive" or "batch", got {priority!r}')
    if tags is not None:
        check_tags(tags)
    for name in provider_params:
        if name in ARGUMENTS or name == "on_interrupt":
            raise TypeError(f"{name}= cannot be used with embed(); params={{{name!r}: …}} sends it to the provider")
    kept = {name: value for name, value in provider_params.items() if name not in _OTHERS_NAMES}
    given_params = merge_params(config, params_of(plan), params, kept)
    merged, of_providers = given_params.for_all, given_params.for_keys(plan.keyed)
    own = {name: value for name, value in provider_params.items() if name in _OTHERS_NAMES}
    if "input" in own or "input" in merged:
        raise TypeError("input= is set by the router; give the texts as the first argument")
    limit = deadline_of(plan, deadline)
    until = inf if limit is None else now + limit
    given = limit is not None and not isinstance(limit, DefaultSeconds)
    for_all, by_provider, own_keys = check_headers(headers, config, plan)
    return Call(
        messages, {**merged, **own}, for_all, now, until, False, None, priority, given, provider_headers=by_provider,
        own_keys=own_keys, provider_params={name: {**one, **own} for name, one in of_providers.items()},
        observed=observed, embeds=True,
    )
