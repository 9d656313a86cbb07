"""Mutants that race too soon, too often or the wrong way, or forget that a model has become slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter._engine import hedging, race_budgets, watching
from asyncrouter._engine.later_race import LaterRace, LaterTask
from asyncrouter._engine.race_budgets import RaceBudgets
from asyncrouter._engine.remaining import Remaining
from asyncrouter._policies.rescue_budget import RescueBudget
from asyncrouter._policies.slowness import Slowness

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


@mutant
def rescues_without_budget() -> Iterator[None]:
    """A rescue takes no token."""
    with patch.object(RescueBudget, "pay", lambda self, silent: 0.0):
        yield


@mutant
def rescues_at_once() -> Iterator[None]:
    """An attempt is rescued as soon as its first content takes longer than usual."""
    with (
        patch.object(watching, "rescue_first", lambda late, m, o: m.first.near),
        patch.object(watching, "RESCUE_EARLIEST", 0.0),
    ):
        yield


@mutant
def rescues_whatever_was_asked() -> Iterator[None]:
    """Batch work, and what `rescue = "off"` is for, are rescued too."""

    def make(init: Any) -> Any:
        def begins(one: Any, *more: Any) -> None:
            init(one, *more)
            one.may_race = True

        return begins

    def ask_for_it(pay: Any) -> Any:
        def pays(budgets: Any, sent: Any, *more: Any) -> Any:
            sent.step = sent.step._replace(rescue=True)
            return pay(budgets, sent, *more)

        return pays

    with (
        patch.object(race_budgets, "may_rescue", lambda call, plan: True),
        around(Remaining, "__init__", make), around(RaceBudgets, "pay", ask_for_it),
    ):
        yield


@mutant
def auto_limits_are_numbers() -> Iterator[None]:
    """An "auto" limit cuts when it is reached, though another model could be raced."""
    with (
        patch("asyncrouter._engine.attempt.wait_longer", lambda *_: False),
        patch("asyncrouter._engine.reading.wait_longer", lambda *_: False),
    ):
        yield


@mutant
def first_words_confirm() -> Iterator[None]:
    """Of two answers the one that has begun is confirmed at once, however it goes on."""
    with patch.object(hedging, "flows_as_usual", lambda step_run, now: True):
        yield


@mutant
def room_for_nobody() -> Iterator[None]:
    """One of two attempts whose models have become slow is stopped, whether or not a third one is sent."""
    def stop_the_older(self: hedging.Hedging, slow: object, now: float) -> None:
        self._stop(self._running[0], "superseded")

    with patch.object(hedging.Hedging, "_make_room", stop_the_older):
        yield


@mutant
def slow_models_stay_first() -> Iterator[None]:
    """A model that has become slow keeps its place."""
    with patch.object(Slowness, "place", lambda self, now: "usual"):
        yield


@mutant
def probes_do_not_become_rarer() -> Iterator[None]:
    """Every call probes a slow model, once a probe was due."""
    with patch.object(Slowness, "begin_probe", lambda self, now: None):
        yield


@mutant
def slow_at_once() -> Iterator[None]:
    """One attempt that takes longer than usual makes a model slow, and nothing brings it back."""
    with (
        patch("asyncrouter._policies.slowness.LIMIT", 0.5),
        patch.object(Slowness, "passed", lambda self, now: None),
        patch.object(Slowness, "won", lambda self, now: None),
    ):
        yield


@mutant
def races_beside_a_stream_run_on() -> Iterator[None]:
    """What was raced with a silent stream runs on when the stream goes on, or its caller leaves."""
    with patch.object(LaterTask, "abort", lambda self, outcome: None):
        yield


@mutant
def races_beside_a_stream_are_raced() -> Iterator[None]:
    """The steps that are raced with a silent stream are raced in turn, while it lives."""

    def make(init: Any) -> Any:
        def begins(one: Any, *more: Any) -> None:
            init(one, *more)
            one._alone = True

        return begins

    with around(LaterRace, "__init__", make):
        yield
