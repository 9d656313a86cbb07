"""Places that stand in two pools of a configuration: what is known of them is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._config.config import Config
    from asyncrouter._config.places import Places


def shared_members(config: Config, places: Places) -> Iterator[tuple[str, str]]:
    """What to say about members of a pool that stand in another one, too, each with the name of the pool it is about.

    That is the one which the configuration names first: two pools say the same of each other.
    """
    own = {(place.provider.name, place.model.id): place.name for place in places.members}
    comes_first = places.name not in config.models
    for name, entry in config.models.items():
        comes_first = comes_first or name == places.name
        if name == places.name or not isinstance(entry, Pool) or _holds(entry, places.name, config):
            continue
        found = config.places(entry)
        for place in found.members if found is not None else ():
            if (member := own.get((place.provider.name, place.model.id))) is not None:
                one, other = (places.name, name) if comes_first else (name, places.name)
                member = member if comes_first else place.name
                yield one, f"{member} is in the pools {one} and {other}: its limits, holds and health are one"


def _holds(outer: Pool, name: str, config: Config) -> bool:
    """Whether a pool stands in the other one, in either direction."""
    inner = config.models.get(name)
    return any(one.model == name for one in outer.members) or (
        isinstance(inner, Pool) and any(one.model == outer.name for one in inner.members)
    )
