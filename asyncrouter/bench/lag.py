"""Measures event-loop lag: by how much the harness's own loop runs its timers late."""

from __future__ import annotations

import asyncio
from typing import Self

SAMPLE_SECONDS = 0.05
"""Seconds between two samples: often enough to see a stall of a tenth of a second, too seldom to cost anything."""


class LoopLag:
    """Samples the lag of the running event loop while entered; `p99` is in seconds, `None` before the first sample."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<LoopLag p99 {self.p99} s of {len(self._samples)}>"

    @property
    def p99(self) -> float | None:
        """The 99th percentile of the lag."""
        return sorted(self._samples)[int(0.99 * (len(self._samples) - 1))] if self._samples else None

    async def __aenter__(self) -> Self:
        self._schedule()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SAMPLE_SECONDS, self._sample, loop.time() + SAMPLE_SECONDS)

    def _sample(self, due: float) -> None:
        self._samples.append(max(0.0, asyncio.get_running_loop().time() - due))
        self._schedule()
