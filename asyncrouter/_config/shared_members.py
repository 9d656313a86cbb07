"""Places that stand in two pools of a configuration: what is known of them is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._config.config import Config
    from asyncrouter._config.places import Places


def shared_members(config: Config, places: Places) -> Iterator[str]:
    """What to say about members of a pool that stand in another one, too."""
    own = {(place.provider.name, place.model.id): place.name for place in places.members}
    for name, entry in config.models.items():
        if name == places.name or not isinstance(entry, Pool) or _holds(entry, places.name, config):
            continue
        found = config.places(entry)
        for place in found.members if found is not None else ():
            if (member := own.get((place.provider.name, place.model.id))) is not None:
                yield f"{member} is in the pools {places.name} and {name}: its limits, holds and health are one"


def _holds(outer: Pool, name: str, config: Config) -> bool:
    """Whether a pool stands in the other one, in either direction."""
    inner = config.models.get(name)
    return any(one.model == name for one in outer.members) or (
        isinstance(inner, Pool) and any(one.model == outer.name for one in inner.members)
    )
