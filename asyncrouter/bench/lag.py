"""Whether the harness itself is late: how long its event loop keeps a timer waiting."""

from __future__ import annotations

import asyncio
from typing import Self

EVERY = 0.05
"""Seconds between two looks."""


class Lag:
    """Watches the running loop while entered; `p99` is in seconds, `None` before the first look."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Lag p99 {self.p99} s of {len(self._late)}>"

    @property
    def p99(self) -> float | None:
        """The 99th percentile of the delays."""
        return sorted(self._late)[int(0.99 * (len(self._late) - 1))] if self._late else None

    async def __aenter__(self) -> Self:
        self._watch()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(EVERY, self._look, loop.time() + EVERY)

    def _look(self, due: float) -> None:
        self._late.append(max(0.0, asyncio.get_running_loop().time() - due))
        self._watch()
