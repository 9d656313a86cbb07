"""Names of models and providers: what each of them stands for in a configuration."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from asyncrouter._config.catalog import Model, base_name
from asyncrouter._config.checks import closest, expected, one_edit_apart, show, unknown
from asyncrouter._config.known_models import known_model
from asyncrouter._config.known_providers import has_its_key, known_names, known_provider
from asyncrouter._config.list_prices import list_price
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asyncrouter._config.catalog import Provider
    from asyncrouter._config.pool import Pool

_CATALOG_FIELDS = ("context", "max_output", "usd_per_mtok", "retired", "successor")
"""The fields of a model that are taken from the built-in catalogue where the configuration leaves them out."""


_IN_ADDRESS: Final = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[A-Za-z0-9._~@+/-]+")
"""The ids that stand in an address as they are, and in no other way: no empty part, no `.`, no `..`."""


def check_id(model: Model, provider: Provider) -> None:
    """Check that the id of a model can be sent. Raises `ConfigError`."""
    if provider.wire == "gemini" and not can_stand_in_address(model.id):
        raise expected("an id that can stand in an address", model.id, "model")
    if any("\ud800" <= sign <= "\udfff" for sign in model.id):
        raise expected("an id that UTF-8 can express", model.id, "model")


def can_stand_in_address(model_id: str) -> bool:
    """Whether an id is a part of an address, or several, and changes nothing else about it."""
    return _IN_ADDRESS.fullmatch(model_id) is not None


def find_provider(name: str, own: Mapping[str, Provider]) -> Provider:
    """The provider of this name: one of the configuration's own, or else a well-known one. Raises `ConfigError`.

    The name may have that of one of its keys: `openai[OPENAI_KEY_B]`.
    """
    base = base_name(name)
    found = own.get(base) or known_provider(base)
    if found is not None and base != name:
        found = next((one for one in found.each_key() if one.name == name), None)
    if found is None:
        raise unknown("provider", name, [*own, *known_names()])
    return found


def find_model(
    name: str, *, models: Mapping[str, Model | Pool], providers: Mapping[str, Provider], default: str
) -> Model:
    """The model of this name: an entry, else `provider:id`, else an id of the provider named `default`.

    `provider:name` of an entry is that entry, if it is at this provider. A well-known provider without an entry and
    without its key counts only where the default provider is openrouter; elsewhere it is a part of the id, as in
    `mistral:7b` at Ollama. `provider::id` is never an id of the default provider.

    Fields that are not given come from the built-in catalogue and the price list. Raises `ConfigError`.
    """
    return completed(model_named(name, models=models, providers=providers, default=default), providers)


def model_named(
    name: str, *, models: Mapping[str, Model | Pool], providers: Mapping[str, Provider], default: str
) -> Model:
    """The same, with nothing but what the configuration says of it."""
    if isinstance(entry := models.get(name), Model):
        return entry
    provider, colon, model = name.partition(":")
    if colon and (model.startswith(":") or _is_provider(provider, providers, default)):
        model = model.removeprefix(":")
        if not model.strip():
            raise expected("provider:id", name)
        find_provider(provider, providers)
        if isinstance(entry := models.get(model), Model) and entry.provider == provider:
            return replace(entry, name=name)
        return Model(provider=provider, id=model, name=name)
    if colon and "/" not in provider and provider not in known_names():
        _check_misspelling(provider, [*known_names(), *providers], strict=default == "openrouter")
    if default == "openrouter" and "/" not in name:
        raise _no_entry(name, models)
    return Model(provider=default, id=name, name=name)


def read_as_id(model: Model, providers: Mapping[str, Provider]) -> str | None:
    """What to say of a name with a well-known provider in it that was read as an id of another one; else `None`."""
    provider, colon, rest = model.name.partition(":")
    if not colon or provider == model.provider or provider in providers or provider not in known_names():
        return None
    if model.id != model.name:  # an entry
        return None
    return (
        f"model {model.name!r} is read as an id of {model.provider}, for the key of {provider} is not set; "
        f"{provider + '::' + rest!r} names the provider"
    )


def _is_provider(name: str, own: Mapping[str, Provider], default: str) -> bool:
    """Whether what stands before a colon is a provider."""
    # No server of one's own has a model that is called "openrouter".
    return name in own or (
        name in known_names() and (default == "openrouter" or name in {"openrouter", default} or has_its_key(name))
    )


def _check_misspelling(name: str, known: Iterable[str], *, strict: bool) -> None:
    """Raise `ConfigError` if what stands before a colon is a misspelt provider; `strict`: whatever it is."""
    # An OpenRouter id may have a colon (":free"), but only after its slash.
    if strict or any(one_edit_apart(name.lower(), other) or name.lower() == other for other in known):
        raise unknown("provider", name, known)


def _no_entry(name: str, models: Mapping[str, Model | Pool]) -> ConfigError:
    meant = closest(name, models)
    forms = "an id of OpenRouter's has the form vendor/model, one of another provider provider:id"
    cure = f"did you mean {meant!r}?" if meant else forms
    return ConfigError(f"unknown model {show(name)}; {cure}", value=name)


def completed(model: Model, providers: Mapping[str, Provider]) -> Model:
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
