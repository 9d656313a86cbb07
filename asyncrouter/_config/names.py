"""What a model's name stands for: an entry of the configuration, `provider:id`, or an id of the default provider."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.catalog import Model
from asyncrouter._config.checks import expected, near, one_edit, show, unknown
from asyncrouter._config.list_prices import price_elsewhere
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Provider

_FACTS = ("context", "max_output", "usd_per_mtok", "retired", "successor")


def find_provider(name: str, own: Mapping[str, Provider]) -> Provider:
    """The configuration's own provider of this name, or the well-known one. Raises `ConfigError`."""
    known = {**catalog().providers, **own}
    if name not in known:
        raise unknown("provider", name, known)
    return known[name]


def find_model(name: str, *, models: Mapping[str, Model], providers: Mapping[str, Provider], default: str) -> Model:
    """The model a name stands for, with what the catalogue knows of it. Raises `ConfigError`."""
    if name in models:
        return _with_facts(models[name], providers)
    provider, colon, model = name.partition(":")
    if colon and (provider in providers or provider in catalog().providers):
        if not model.strip():
            raise expected("provider:id", name)
        return _with_facts(Model(provider=provider, id=model, name=name), providers)
    if colon and "/" not in provider:
        _refuse_misspelt(provider, {**catalog().providers, **providers}, strict=default == "openrouter")
    if default == "openrouter" and "/" not in name:
        raise _no_entry(name, models)
    return _with_facts(Model(provider=default, id=name, name=name), providers)


def _refuse_misspelt(name: str, known: Mapping[str, Provider], *, strict: bool) -> None:
    # An id of OpenRouter's may have a colon (":free"), but only after its slash.
    if strict or any(one_edit(name.lower(), other) or name.lower() == other for other in known):
        raise unknown("provider", name, known)


def _no_entry(name: str, models: Mapping[str, Model]) -> ConfigError:
    meant = near(name, models)
    cure = f"did you mean {meant!r}?" if meant else "an id of OpenRouter's has the form vendor/model"
    return ConfigError(f"unknown model {show(name)}; {cure}", value=name)


def _with_facts(model: Model, providers: Mapping[str, Provider]) -> Model:
    """The model with what is known of it elsewhere, where it does not say so itself."""
    facts: dict[str, Any] = {}
    known = catalog().models.get((model.provider, model.id))
    if known is not None:
        facts = {name: getattr(known, name) for name in _FACTS if getattr(model, name) is None}
        facts["drop"] = model.drop or known.drop
    if facts.get("usd_per_mtok", model.usd_per_mtok) is None:
        facts["usd_per_mtok"] = price_elsewhere(find_provider(model.provider, providers).base_url, model.id)
    return replace(model, **facts)
