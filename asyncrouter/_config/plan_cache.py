"""A cache of plans: calls with the same arguments share one."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from asyncrouter._config.plan import NO_CALL_SETTINGS, resolve
from asyncrouter._config.settings import NOT_GIVEN, NotGiven
from asyncrouter._events import MAX_NAMES

if TYPE_CHECKING:
    from asyncrouter._config.aliases import ChainLike, HedgeLike, RetryLike
    from asyncrouter._config.catalog import Model
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import CallSettings, Plan


class PlanCache:
    """Plans calls by one configuration, which `reload()` replaces, and remembers the plans."""

    __slots__ = ("_cached", "config")

    def __init__(self, config: Config) -> None:
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Plan by this configuration from now on."""
        self.config = config
        # Typed, because True equals 1 and yet is no number of seconds.
        self._cached = lru_cache(MAX_NAMES, typed=True)(partial(resolve, config))

    def __repr__(self) -> str:
        return f"<PlanCache {self._cached.cache_info().currsize} of {MAX_NAMES}>"

    def plan(
        self, task: str | None = None, tier: str | None = None, chain: ChainLike | None = None,
        model: str | Model | None = None, hedge: HedgeLike | NotGiven = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN, settings: CallSettings = NO_CALL_SETTINGS,
    ) -> Plan:
        """The plan of a call with these arguments. Raises what `resolve` raises."""
        if isinstance(chain, list):
            chain = tuple(chain)
        try:
            if settings is NO_CALL_SETTINGS:
                return self._cached(task=task, tier=tier, chain=chain, model=model, hedge=hedge, retry=retry)
            return self._cached(
                task=task, tier=tier, chain=chain, model=model, hedge=hedge, retry=retry, settings=settings
            )
        except TypeError:  # a mapping cannot be a key of the cache; any other mistake is raised again
            return resolve(
                self.config, task=task, tier=tier, chain=chain, model=model, hedge=hedge, retry=retry,
                settings=settings,
            )
