"""Finds a model in the built-in catalogue by its id, or by its family where the id is dated or an alias.

`claude-haiku-4-5-20251001` is `claude-haiku-4-5` of another day, and `claude-opus-latest` the newest Opus there is:
what a model takes, its window and its price are the same. The exact id comes first. An id of a family that is newer
than the catalogue finds nothing: its price is not that of its predecessor.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.families import NEWEST, family_of
from asyncrouter._events import MAX_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Model

@lru_cache(maxsize=MAX_NAMES)
def known_model(provider: str, base_url: str, model_id: str) -> Model | None:
    """What the catalogue knows about a model of the provider of this name and address; `None` for nothing.

    A provider of another name counts as the well-known one if it has its address: it is another account there.
    """
    names = [name for name, known in catalog().providers.items() if name == provider or known.base_url == base_url]
    for name in names:
        if (exact := catalog().models.get((name, model_id))) is not None:
            return exact
    return next((found for name in names if (found := _of_family(name, model_id)) is not None), None)


def _of_family(provider: str, model_id: str) -> Model | None:
    """The entry of the id's family. A variant or a tuned model (`:free`, `ft:…`) has a price of its own."""
    family = family_of(model_id)
    if family is None:
        return None
    entries = _families(provider).get((family.vendor, family.name, family.kind), {})
    found = entries.get(max(entries, default=NEWEST) if family.version == NEWEST else family.version)
    if found is None or ":" not in model_id.removesuffix(":0"):
        return found
    return replace(found, usd_per_mtok=None)


@cache
def _families(provider: str) -> Mapping[tuple[str, str, tuple[str, ...]], dict[tuple[int, int], Model]]:
    """The catalogue's models of a provider, by family and version."""
    found: dict[tuple[str, str, tuple[str, ...]], dict[tuple[int, int], Model]] = {}
    for (name, model_id), model in catalog().models.items():
        family = family_of(model_id)
        if name == provider and family is not None:
            found.setdefault((family.vendor, family.name, family.kind), {})[family.version] = model
    return found

