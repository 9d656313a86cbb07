"""The `headers=` of a call: header fields for every attempt, and for those at one provider; keys go to one provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.catalog import base_name
from asyncrouter._config.checks import at
from asyncrouter._config.headers import name_fault, repeated, value_fault
from asyncrouter._config.secret_names import is_key_header, is_secret_header, is_secret_value
from asyncrouter._credentials.secret import NO_HEADERS, SealedHeaders, Secret, reveal

if TYPE_CHECKING:
    from asyncrouter._config.aliases import Headers
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import Plan


class CallHeaders(NamedTuple):
    """The header fields of a call: for all attempts, by provider, and the providers for which they bring a key."""

    for_all: Mapping[str, Secret]
    by_provider: Mapping[str, Mapping[str, Secret]]
    own_keys: frozenset[str]


def seal_headers(headers: Headers | None) -> SealedHeaders:
    """Check and copy the headers of a call; the values are opaque from here on.

    Never raises, because this frame and its caller's hold the values: what is wrong is the `fault` of the result. Its
    message has names but no values.
    """
    if not headers:
        return NO_HEADERS
    if isinstance(headers, SealedHeaders):
        return headers
    if not isinstance(headers, Mapping):
        return SealedHeaders(fault=TypeError(f"headers: expected a mapping, got {type(headers).__name__}"))
    groups: dict[str, Mapping[str, object]] = {}
    for_all: dict[str, object] = {}
    for name, value in headers.items():
        if isinstance(name, str) and isinstance(value, Mapping):
            groups[f"headers[{name!r:.80}]"] = value
        else:
            for_all[name] = value
    for path, fields in ({"headers": for_all} | groups).items():
        if (fault := _fault(path, fields)) is not None:
            return SealedHeaders(fault=fault)
    return SealedHeaders(headers)


def check_headers(headers: SealedHeaders, config: Config, plan: Plan) -> CallHeaders:
    """The headers of a call, by whom they are for. Raises `TypeError` or `ConfigError`, with names but no values.

    A credential may stand among the fields for every attempt only if all steps of the plan are at one provider.
    """
    for_all = {name: value for name, value in headers.items() if isinstance(value, Secret)}
    by_provider = {name: value for name, value in headers.items() if not isinstance(value, Secret)}
    with at("headers"):
        for name in by_provider:
            config.provider(name)
    steps = [member for step in plan.steps for member in (step.pool.members if step.pool is not None else (step,))]
    providers = {base_name(step.model.provider): None for step in steps}  # in their order
    if len(providers) > 1:
        _check_one_provider(for_all, next(iter(providers)))
    keys = {name for name, fields in by_provider.items() if any(map(is_key_header, fields))}
    if any(map(is_key_header, for_all)):
        keys.update(providers)
    for keyed in plan.keyed:
        name = base_name(keyed)
        if name in keys:
            keys.add(keyed)
        if name in by_provider:
            by_provider[keyed] = by_provider[name]
    return CallHeaders(for_all, by_provider, frozenset(keys))


def _fault(path: str, fields: Mapping[str, object]) -> TypeError | ValueError | None:
    """What is wrong with header fields."""
    for name, value in fields.items():
        if not isinstance(name, str) or not isinstance(value, str):
            return TypeError(f"{path}[{name!r:.80}]: expected text")
        if fault := name_fault(name) or value_fault(value):
            return ValueError(f"{path}[{name!r:.80}]: expected {fault}")
    if (twice := repeated(fields)) is not None:
        return ValueError(f"{path}[{twice!r:.80}]: given twice; upper and lower case are the same")
    return None


def _check_one_provider(headers: Mapping[str, Secret], provider: str) -> None:
    """Refuse credentials that would go to several providers. Raises `TypeError`."""
    for name, value in headers.items():
        if is_secret_header(name) or is_secret_value(reveal(value)):
            raise TypeError(
                f"headers[{name!r}]: a credential would go to every provider of the chain; give it to the one it is "
                f'for: headers={{"{provider}": {{"{name}": …}}}}'
            )
