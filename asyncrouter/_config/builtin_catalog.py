"""The built-in catalogue, `catalog.toml`: well-known providers, models and tables; read when it is first needed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.catalog import Provider, model_from
from asyncrouter._config.tables import build

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from asyncrouter._config.catalog import Model


class Catalog(NamedTuple):
    """The contents of `catalog.toml`."""

    verified: date
    """The day on which the models were last looked up."""
    providers: Mapping[str, Provider]
    """Providers that need no entry in a configuration, by name."""
    models: Mapping[tuple[str, str], Model]
    """Models by provider and id."""
    tables: Mapping[str, Mapping[str, Mapping[str, list[str]]]]
    """Tables by name ("current", "classic"), each with its "tasks" and "tiers", which are lists of model names."""


@cache
def catalog() -> Catalog:
    """The built-in catalogue, parsed once."""
    # A few milliseconds at import that a configuration without names does not need.
    from importlib.resources import files
    from tomllib import loads

    shipped = loads(files("asyncrouter._config").joinpath("catalog.toml").read_text("utf-8"))
    return Catalog(
        verified=shipped["verified"],
        providers={name: build(Provider, {"name": name, **given}) for name, given in shipped["providers"].items()},
        models={
            (provider, model): model_from({"provider": provider, "id": model, **given})
            for provider, models in shipped["models"].items()
            for model, given in models.items()
        },
        tables=shipped["tables"],
    )
