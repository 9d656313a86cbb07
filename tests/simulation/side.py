"""One router of a scenario: its own connections to the providers, and what checks it while it goes on."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from asyncrouter import Router

from .live_checks import LiveChecks
from .world import World

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from asyncrouter import Event
    from asyncrouter.shared import Shared

    from .live_checks import Pace
    from .record import CallRecord, Record
    from .scenario import Scenario


class Side:
    """A router, its world and its checks. `others` are the sides before it, `store` is what all of them share."""

    def __init__(
        self, scenario: Scenario, record: Record, loop: asyncio.AbstractEventLoop, pace: Pace,
        cancel: Callable[[CallRecord], None], others: list[Side], store: Shared | None,
    ) -> None:
        self._scenario = scenario
        self.world: World = World(scenario, record, loop, [other.world for other in others])
        self.world.cancel = cancel
        self.has_left = False
        """Whether it makes no calls any more."""
        self.router = Router(
            self._config(), transport=self.world, listeners=self._listeners(), seed=scenario.seed + len(others),
            wall=self.world.wall, shared=store,
        )
        self.checks = LiveChecks(record, self.world, self.router, loop, pace)

    def _config(self) -> dict[str, object]:
        config = self._scenario.config
        for name, table in config["providers"].items():  # type: ignore[attr-defined]  # drawn as a dict
            keys = self._scenario.keys.get(name)
            names = [name] if keys is None else [f"{name}[{index}]" for index in range(1, keys + 1)]
            table["key"] = self._key_of(name) if keys is None else [self._key_of(one) for one in names]
        return config

    def _key_of(self, provider: str) -> Callable[[], str]:
        return lambda: self.world.key(provider)

    def _listeners(self) -> list[Callable[[Event], None]]:
        if self._scenario.listeners == "none":
            return []
        listeners: list[Callable[[Event], None]] = [lambda event: self.checks.listen(event)]
        if self._scenario.listeners == "raising":
            random = Random(f"listener {self._scenario.seed}")

            def raising(_: Event) -> None:
                if random.random() < 0.1:
                    raise LookupError("a listener that raises")

            listeners.insert(0, raising)
        return listeners
