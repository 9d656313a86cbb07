"""Names of models and providers: what each of them stands for in a configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.catalog import Model
from asyncrouter._config.checks import closest, expected, one_edit_apart, show, unknown
from asyncrouter._config.known_models import known_model
from asyncrouter._config.list_prices import list_price
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Provider

_CATALOG_FIELDS = ("context", "max_output", "usd_per_mtok", "retired", "successor")
"""The fields of a model that are taken from the built-in catalogue where the configuration leaves them out."""


def find_provider(name: str, own: Mapping[str, Provider]) -> Provider:
    """The provider of this name: one of the configuration's own, or else a well-known one. Raises `ConfigError`."""
    known = {**catalog().providers, **own}
    if name not in known:
        raise unknown("provider", name, known)
    return known[name]


def find_model(name: str, *, models: Mapping[str, Model], providers: Mapping[str, Provider], default: str) -> Model:
    """The model of this name: an entry, else `provider:id`, else an id of the provider named `default`.

    Fields that are not given come from the built-in catalogue and the price list. Raises `ConfigError`.
    """
    if name in models:
        return _completed(models[name], providers)
    provider, colon, model = name.partition(":")
    if colon and (provider in providers or provider in catalog().providers):
        if not model.strip():
            raise expected("provider:id", name)
        return _completed(Model(provider=provider, id=model, name=name), providers)
    if colon and "/" not in provider:
        _check_misspelling(provider, {**catalog().providers, **providers}, strict=default == "openrouter")
    if default == "openrouter" and "/" not in name:
        raise _no_entry(name, models)
    return _completed(Model(provider=default, id=name, name=name), providers)


def _check_misspelling(name: str, known: Mapping[str, Provider], *, strict: bool) -> None:
    """Raise `ConfigError` if what stands before a colon is a misspelt provider; `strict`: whatever it is."""
    # An OpenRouter id may have a colon (":free"), but only after its slash.
    if strict or any(one_edit_apart(name.lower(), other) or name.lower() == other for other in known):
        raise unknown("provider", name, known)


def _no_entry(name: str, models: Mapping[str, Model]) -> ConfigError:
    meant = closest(name, models)
    cure = f"did you mean {meant!r}?" if meant else "an id of OpenRouter's has the form vendor/model"
    return ConfigError(f"unknown model {show(name)}; {cure}", value=name)


def _completed(model: Model, providers: Mapping[str, Provider]) -> Model:
    """Copy the model with what the built-in catalogue and the price list know of it, where it does not say so."""
    facts: dict[str, Any] = {}
    base_url = find_provider(model.provider, providers).base_url
    known = known_model(model.provider, base_url, model.id)
    if known is not None:
        facts = {name: getattr(known, name) for name in _CATALOG_FIELDS if getattr(model, name) is None}
        facts["drop"] = model.drop or known.drop
    if facts.get("usd_per_mtok", model.usd_per_mtok) is None:
        facts["usd_per_mtok"] = list_price(base_url, model.id)
    return replace(model, **facts)
