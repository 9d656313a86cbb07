"""The settings of a run: everything but its arms and its load."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter import AiohttpTransport
from asyncrouter.bench.sample import Sample
from asyncrouter.bench.scorers import Scorer, check_scorers
from asyncrouter.bench.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from asyncrouter import Transport
    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.progress import Progress

DEFAULT_PROMPT = "Name a city, and say in one sentence what it is known for."
"""What is asked where no prompts are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keyword arguments of `run` in one object, for `run_real`.

    `slo` are limits in seconds for "ttft", "e2e" and "tpot". Call k asks prompt k modulo their number. A text is made
    unique for each call, against caches, unless there are `scorers`; a `Sample` is sent as it stands. With scorers, or
    `keep_answers`, the texts of the answers are kept. `good_enough` is the least quality of an arm to choose, from 0 to
    1 (`None`: not shown to be below the best one's).
    """

    seed: int = 0
    warmup: int = 0
    stop: Stop = field(default_factory=Stop)
    slo: Mapping[str, float] = field(default_factory=dict)
    prompts: Sequence[str | Sample] = ()
    scorers: Sequence[Scorer] = ()
    keep_answers: bool = False
    good_enough: float | None = None
    progress: Callable[[Progress], object] | None = None
    transport: Callable[[], Transport] = AiohttpTransport
    """Makes the transport of an arm's router, for real providers."""
    journal: Path | None = None
    """A file that keeps each call that has ended, against real providers; a run that was killed goes on from it."""

    @property
    def keeping(self) -> bool:
        """Whether the texts of the answers are kept."""
        return self.keep_answers or bool(self.scorers)

    def sample(self, number: int) -> Sample:
        """What this call asks."""
        given = self.prompts[number % len(self.prompts)] if self.prompts else DEFAULT_PROMPT
        if isinstance(given, Sample):
            return given
        return Sample(prompt=given if self.scorers else f"[{self.seed}-{number}] {given}")

    def samples(self) -> list[Sample]:
        """All prompts, by their places; the built-in one where none were given."""
        return [one if isinstance(one, Sample) else Sample(prompt=one) for one in self.prompts or [DEFAULT_PROMPT]]

    def repeated(self, calls: int) -> str | None:
        """A warning where so many calls ask samples again, which a provider's cache may make faster; else `None`.

        With scorers it is meant: each epoch asks again.
        """
        times = calls / len(self.prompts) if self.prompts else 0.0
        if times <= 1.0 or self.scorers or not any(isinstance(one, Sample) for one in self.prompts):
            return None
        return f"each of the {len(self.prompts):,} prompts was asked {times:.3g} times: a cache may have made it faster"

    def place(self, number: int) -> int | None:
        """The place of this call's prompt among all prompts, `None` for the built-in one."""
        return number % len(self.prompts) if self.prompts else None


def check(arms: Sequence[Arm], load: Load, settings: Settings) -> None:
    """Raise `ValueError` for a run that could measure nothing."""
    if settings.seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {settings.seed}")
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) < len(names):
        raise ValueError(f"arms: expected at least one, each with a name of its own, got {names}")
    _check_slo(settings.slo)
    check_scorers(settings.scorers, settings.prompts)
    if settings.good_enough is not None and not (settings.scorers and 0.0 < settings.good_enough < 1.0):
        raise ValueError(f"good_enough: expected scorers and a quality between 0 and 1, got {settings.good_enough!r}")
    calls = len(load.arrivals(settings.seed)) if load.open else load.calls
    if settings.warmup < 0:
        raise ValueError(f"warmup: expected 0 calls or more, got {settings.warmup}")
    if calls is not None and settings.warmup >= calls:
        raise ValueError(f"warmup: {settings.warmup} of {calls} calls leave nothing to measure")


def _check_slo(slo: Mapping[str, float]) -> None:
    for name, limit in slo.items():
        if name not in {"ttft", "e2e", "tpot"}:
            raise ValueError(f"slo: expected ttft, e2e or tpot, got {name!r}")
        if not 0.0 < limit < math.inf:
            raise ValueError(f"slo: {name}: expected seconds above 0, got {limit!r}")
