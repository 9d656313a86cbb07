"""The arguments of `chat()` and `stream()`: checked before anything is sent, never changed, and made into a `Call`."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._config.arguments_headers import check_headers
from asyncrouter._config.arguments_messages import check_messages
from asyncrouter._config.arguments_params import NO_PROVIDERS, Params, merge_params
from asyncrouter._config.checks import seconds
from asyncrouter._config.parameter_names import check_keywords
from asyncrouter._config.response_format import NAME, take_format
from asyncrouter._config.settings import DefaultSeconds, NotGiven
from asyncrouter._types import Call

if TYPE_CHECKING:
    from asyncrouter._config.aliases import Accept, Prompt
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import Plan
    from asyncrouter._credentials.secret import SealedHeaders
    from asyncrouter._types import Priority


def new_call(
    config: Config,
    plan: Plan,
    now: float,
    prompt: Prompt,
    *,
    system: str | None,
    deadline: float | NotGiven | None,
    accept: Accept | None,
    priority: Priority,
    tags: Mapping[str, str] | None,
    params: Mapping[str, object] | None,
    headers: SealedHeaders,
    provider_params: dict[str, object],
    stream: bool,
    observed: bool,
    session: str | None = None,
) -> Call:
    """Check the arguments of a call that begins `now`. Raises `TypeError`, `ValueError` or `ConfigError`."""
    if headers.fault is not None:
        raise headers.fault
    if priority not in {"interactive", "batch"}:
        raise ValueError(f'priority: expected "interactive" or "batch", got {priority!r}')
    if accept is not None and not callable(accept):
        raise TypeError(f"accept: expected a function of a reply, got {type(accept).__name__}")
    messages = check_messages(prompt, system)
    parse = None
    if NAME in provider_params:
        provider_params, parse = take_format(provider_params)
    if params is not None or plan.params or plan.provider_params:
        given_params = merge_params(config, params_of(plan), params, provider_params)
        merged, of_providers = given_params.for_all, given_params.for_keys(plan.keyed)
    else:
        check_keywords(provider_params)
        merged, of_providers = provider_params, NO_PROVIDERS
    if tags is not None:
        check_tags(tags)
    if session is not None:
        check_session(session)
    limit = deadline_of(plan, deadline)
    until = inf if limit is None else now + limit
    given = limit is not None and not isinstance(limit, DefaultSeconds)
    if not headers and not of_providers:
        return Call(
            messages, merged, {}, now, until, stream, accept, priority, given, observed=observed, parse=parse,
            session=session,
        )
    for_all, by_provider, own_keys = check_headers(headers, config, plan)
    return Call(
        messages, merged, for_all, now, until, stream, accept, priority, given, provider_headers=by_provider,
        own_keys=own_keys, provider_params=of_providers, observed=observed, parse=parse, session=session,
    )


def deadline_of(plan: Plan, given: float | NotGiven | None) -> float | None:
    """The deadline of a call, in seconds: the one that was given, or else the plan's. Raises `ConfigError`."""
    if isinstance(given, NotGiven):
        return plan.deadline
    seconds("deadline", given)
    return given


def params_of(plan: Plan) -> Params:
    """The parameters that a plan gives its call."""
    return Params(plan.params, plan.provider_params)


def explained_params(
    config: Config, plan: Plan, params: Mapping[str, object] | None, given: Mapping[str, object]
) -> Params:
    """The parameters of a call that is only explained. Raises `TypeError` or `ValueError`, as the call would."""
    if NAME in given:
        given, _ = take_format(given)
    return merge_params(config, params_of(plan), params, given)


def check_session(session: str) -> None:
    """Check that a session is text that is not blank. Raises `TypeError` or `ValueError`."""
    if not isinstance(session, str):
        raise TypeError(f"session: expected text, got {type(session).__name__}")
    if not session.strip():
        raise ValueError("session: expected text, got a blank one; None is no session")


def check_tags(tags: Mapping[str, str]) -> None:
    """Check that tags are a mapping. Raises `TypeError`."""
    if not isinstance(tags, Mapping):
        raise TypeError(f"tags: expected a mapping, got {type(tags).__name__}")
