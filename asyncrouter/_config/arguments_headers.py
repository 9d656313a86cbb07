"""The `headers=` of a call: header fields for every attempt, and for those at one provider; keys go to one provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.checks import at
from asyncrouter._config.headers import name_fault, value_fault
from asyncrouter._config.secret_names import is_key_header, is_secret_header, is_secret_value

if TYPE_CHECKING:
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import Plan

    Headers = Mapping[str, str | Mapping[str, str]]


class CallHeaders(NamedTuple):
    """The header fields of a call: for all attempts, by provider, and the providers for which they bring a key."""

    for_all: Mapping[str, str]
    by_provider: Mapping[str, Mapping[str, str]]
    own_keys: frozenset[str]


def check_headers(headers: Headers, config: Config, plan: Plan) -> CallHeaders:
    """Copy the headers of a call. Raises `TypeError`, `ValueError` or `ConfigError`, with names but no values.

    A credential may stand among the fields for every attempt only if all steps of the plan are at one provider.
    """
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers: expected a mapping, got {type(headers).__name__}")
    for_all: dict[str, str] = {}
    by_provider: dict[str, Mapping[str, str]] = {}
    for name, value in headers.items():
        if isinstance(value, Mapping) and isinstance(name, str):
            with at("headers"):
                config.provider(name)
            by_provider[name] = {field: _checked(f"headers[{name!r}]", field, text) for field, text in value.items()}
        else:
            for_all[name] = _checked("headers", name, value)
    providers = {step.model.provider: None for step in plan.steps}  # in their order
    if len(providers) > 1:
        _check_one_provider(for_all, next(iter(providers)))
    keys = {name for name, fields in by_provider.items() if any(map(is_key_header, fields))}
    if any(map(is_key_header, for_all)):
        keys.update(providers)
    return CallHeaders(for_all, by_provider, frozenset(keys))


def _checked(path: str, name: object, value: object) -> str:
    """The value of a header field. Raises `TypeError` or `ValueError`."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"{path}[{name!r}]: expected text")
    if fault := name_fault(name) or value_fault(value):
        raise ValueError(f"{path}[{name!r}]: expected {fault}")
    return value


def _check_one_provider(headers: Mapping[str, str], provider: str) -> None:
    """Refuse credentials that would go to several providers. Raises `TypeError`."""
    for name, value in headers.items():
        if is_secret_header(name) or is_secret_value(value):
            raise TypeError(
                f"headers[{name!r}]: a credential would go to every provider of the chain; give it to the one it is "
                f'for: headers={{"{provider}": {{"{name}": …}}}}'
            )
