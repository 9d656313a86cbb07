"""What is known without a configuration: the catalogue that ships, read when it is first needed."""

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
    """`catalog.toml`: models by provider and id; tables by name, each with its "tasks" and "tiers" of model names."""

    verified: date
    """The day on which the models were last looked up."""
    providers: Mapping[str, Provider]
    models: Mapping[tuple[str, str], Model]
    tables: Mapping[str, Mapping[str, Mapping[str, list[str]]]]


@cache
def catalog() -> Catalog:
    """The catalogue."""
    # A few milliseconds at import that a router without names would not need.
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
