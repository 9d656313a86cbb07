"""Makes the calls of one arm, and keeps a row of each."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from asyncrouter import CallError, HedgeDenied, Refused
from asyncrouter.bench.rows import Row, attempt_row
from asyncrouter.bench.stop import reserve

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Config, Event, Reply, Router, Trace
    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.beforehand import Beforehand
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.sample import Sample
    from asyncrouter.bench.settings import Settings
    from asyncrouter.bench.stop import Ledger

CHOOSING = ("task", "tier", "model")
"""Arguments of a call that choose a chain in another way than `chain` does."""
TAG = "bench"
"""The tag that carries the number of a call, so that events can be told apart by call."""


class Driver:
    """Calls the router of one arm. `rows` are in the order in which calls ended; `peak` is the most in flight at once.

    `on_ended` is called with the row of each call that has ended. `began` is the instant of the event loop's clock that
    rows count from, `cpu` the CPU seconds of the run.
    """

    def __init__(
        self, arm: Arm, load: Load, settings: Settings, ledger: Ledger, on_ended: Callable[[Row], None]
    ) -> None:
        self.arm = arm
        self.rows: list[Row] = []
        self.done: set[int] = set()
        """The numbers of the calls that were made before a kill, and are not made again."""
        self.peak: int = 0
        self.cpu: float = 0.0
        self.began: float = 0.0
        self.known: Beforehand | None = None
        """What is known of the first model's answers, for an arm that knows them."""
        self._router: Router | None = None
        self._settings = settings
        self._ledger = ledger
        self._on_ended = on_ended
        self._in_flight = 0
        self._cap = asyncio.Semaphore(load.cap) if load.cap is not None else None
        self._denied: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Driver {self.arm.name!r}: {len(self.rows)} ended, {self._in_flight} in flight>"

    def listen(self, event: Event) -> None:
        """Count the hedges that were due and not allowed; a listener for the arm's router."""
        if isinstance(event, HedgeDenied) and event.trace.tags is not None:
            number = event.trace.tags.get(TAG, "")
            self._denied[number] = self._denied.get(number, 0) + 1

    def use(self, router: Router, began: float) -> None:
        """Call this router from now on; rows count from the instant `began` of the loop's clock.

        Raises `ConfigError` or `ValueError` for an arm that cannot be called.
        """
        self._router = router
        self.began = began
        self._steps = router.explain(**self._explain_arguments()).steps

    @property
    def providers(self) -> list[str]:
        """The names of the providers that a call may be sent to."""
        return [step.provider for step in self._steps]

    def models(self, config: Config) -> list[str]:
        """The ids of the models of a call, as their provider knows them."""
        names = [step.model for step in self._steps]
        return [config.model(name).id if name in config.models else name.partition(":")[2] or name for name in names]

    def reserve(self, number: int) -> float:
        """USD that this call can cost at most. Raises `ValueError` for a model without a price."""
        sample = self._settings.sample(number)
        return reserve(self._steps, sample.written, {**sample.parameters, **self.arm.call})

    async def call(self, number: int, scheduled: float, reserved: float = 0.0) -> None:
        """Make a call that is due now, and keep its row. `reserved` USD were set aside for it."""
        capped = self._cap is not None and self._cap.locked()
        async with self._cap or contextlib.nullcontext():
            row = Row(self.arm.name, number, scheduled, self._now(), capped=capped,
                      warmup=number < self._settings.warmup, prompt=self._settings.place(number))
            self._in_flight += 1
            self.peak = max(self.peak, self._in_flight)
            try:
                await self._ask(row)
            finally:
                self._in_flight -= 1
                self._ledger.settle(row, reserved)
        self.rows.append(row)
        self._on_ended(row)

    async def _ask(self, row: Row) -> None:
        trace: Trace | None
        try:
            reply = await self._answer(row, self._settings.sample(row.number), {TAG: str(row.number)})
            trace = reply.trace
            row.answer = reply.text if self._settings.keeping else None
        except (CallError, Refused) as error:
            row.outcome, trace = type(error).__name__, error.trace
        row.ended = self._now()
        row.denied = self._denied.pop(str(row.number), 0)
        if trace is not None:
            _fill(row, trace)

    async def _answer(self, row: Row, sample: Sample, tags: dict[str, str]) -> Reply:
        assert self._router is not None
        arguments: dict[str, Any] = {**sample.parameters, **self.arm.call, "tags": tags,
                                     **self._by_foresight(sample.text)}
        if not self.arm.stream:
            return await self._router.chat(sample.prompt, **arguments)
        instants: list[float] = []
        async with self._router.stream(sample.prompt, **arguments) as stream:
            async for chunk in stream:
                if chunk.restart:
                    instants.clear()
                if chunk.text or chunk.reasoning or chunk.tool_calls:
                    instants.append(self._now())
        row.gaps = [round(later - earlier, 6) for earlier, later in pairwise(instants)]
        return stream.reply

    def _by_foresight(self, prompt: str) -> dict[str, Any]:
        """The arguments of a call that leaves out a model whose answer would be bad, and needs no rescue."""
        if self.known is None:
            return {}
        chain = [step.model for step in self._steps]
        bad = len(chain) > 1 and self.known.is_bad(prompt, self._now())
        return dict.fromkeys(CHOOSING) | {"chain": chain[1:] if bad else chain, "rescue": "off"}

    def _explain_arguments(self) -> dict[str, Any]:
        names = ("task", "tier", "chain", "model", "deadline", "hedge", "retry")
        return {name: self.arm.call[name] for name in names if name in self.arm.call}

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self.began


def _fill(row: Row, trace: Trace) -> None:
    row.attempts = [attempt_row(attempt) for attempt in trace.attempts]
    row.cost_usd, row.cost_estimated = trace.cost_usd, trace.cost_estimated
    if (winner := row.winner) is not None:
        row.model, row.output_tokens = winner.model, winner.output_tokens
        if winner.first is not None:
            row.first = row.started + winner.first
