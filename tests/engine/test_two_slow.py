"""Two models of a chain are slow at once and the third is not: it is found, whether or not the second is known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router, StateChanged
from asyncrouter.sim import Act
from tests.helpers.racing import timeline

if TYPE_CHECKING:
    from asyncrouter import Trace
    from asyncrouter.sim import Clock, World

FLOWS = Act(tokens=65, first_token=0.5, gap=1 / 32)
"""A healthy answer of 2.5 s."""
CRAWLS = Act(tokens=65, first_token=0.5, gap=0.625)
"""Its contents come twenty times slower."""
LATE = Act(tokens=65, first_token=5.0, gap=1 / 32)
"""Its first content comes ten times later."""
HANGS = Act(first_token=600.0)
CHAIN = ["a", "b", "c"]
TROUBLES = [
    pytest.param(act, hedge, id=f"{name}-{hedge}")
    for name, act in (("crawls", CRAWLS), ("late", LATE), ("hangs", HANGS)) for hedge in (None, "auto")
]


class Day:
    """The traces of so many calls, five a second, and what was told of the models."""

    def __init__(
        self, clock: Clock, world: World, known: str, acts: dict[str, Act], *, chain: list[str] = CHAIN,
        hedge: str | None = None, calls: int = 60,
    ) -> None:
        self.told: list[tuple[float, str, str, str]] = []
        """Seconds since the first of the calls, the model, its new state and why."""
        self._began = 0.0
        for name in CHAIN:
            world.model(name, FLOWS)

        async def scenario() -> list[Trace]:
            async with Router(world.config(), transport=world.transport(), listeners=[self._listen], seed=1) as router:
                for name in known:
                    for _ in range(120):
                        await router.chat("x", model=name)
                for name, act in acts.items():
                    world.model(name, act)
                self._began = asyncio.get_running_loop().time()
                made = []
                for _ in range(calls):
                    made.append(asyncio.ensure_future(router.chat("x", chain=chain, hedge=hedge)))
                    await asyncio.sleep(0.2)
                return [reply.trace for reply in await asyncio.gather(*made)]

        self.traces: list[Trace] = clock.run(scenario())

    def _listen(self, event: object) -> None:
        if isinstance(event, StateChanged):
            at = round(asyncio.get_running_loop().time() - self._began, 3)
            self.told.append((at, event.subject, event.state, event.why))

    @property
    def slow(self) -> list[tuple[str, str]]:
        """The models that were told to be slow, or not slow any more, in that order."""
        return [(model, state) for _, model, state, _ in self.told]

    @property
    def seconds(self) -> list[float]:
        """How long the calls took, the longest first."""
        return sorted((trace.seconds for trace in self.traces), reverse=True)


# ── a model that is not known ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("known", ["a", "abc"])
@pytest.mark.parametrize(("act", "hedge"), TROUBLES)
def test_the_third_model_answers_while_two_are_slow(
    clock: Clock, world: World, act: Act, hedge: str | None, known: str
) -> None:
    """Where the first two models of a chain become slow, the calls soon go to the third, whoever is known."""
    day = Day(clock, world, known, {"a": act, "b": act}, hedge=hedge)

    assert day.slow[:2] == [("a", "slow"), ("b", "slow")]
    assert day.seconds[0] < 12.0
    assert day.seconds[25] < 3.0


def test_an_unknown_model_is_judged_by_three_times_what_the_slow_one_takes(clock: Clock, world: World) -> None:
    """The first model is found slow by its own past, the second by three times that, and the words say so."""
    day = Day(clock, world, "a", {"a": CRAWLS, "b": CRAWLS})

    assert day.told == [
        (1.6, "a", "slow", "0.5 s of silence between contents, usual 0.0311 s"),
        (3.4, "b", "slow", "0.5 s of silence between contents, expected 0.0941 s"),
    ]


@pytest.mark.parametrize("act", [
    Act(tokens=65, first_token=1.3, gap=1 / 32), Act(tokens=65, first_token=0.5, gap=0.08)
], ids=["first content", "pace"])
def test_a_model_that_takes_somewhat_longer_by_nature_is_not_slow(clock: Clock, world: World, act: Act) -> None:
    """An unknown model that takes two and a half times as long keeps its place."""
    day = Day(clock, world, "a", {"a": LATE, "b": act})

    assert [each for each in day.slow if each[0] == "b"] == []
    assert [trace.attempts[-1].model for trace in day.traces[-10:]] == ["b"] * 10


def test_without_a_third_model_an_unknown_one_is_not_slow(clock: Clock, world: World) -> None:
    """In a chain of two nothing would be won by finding the second slow as well."""
    day = Day(clock, world, "a", {"a": CRAWLS, "b": CRAWLS}, chain=["a", "b"], calls=40)

    assert [each for each in day.slow if each[0] == "b"] == []


def test_when_all_are_slow_the_order_stands_and_races_are_few(clock: Clock, world: World) -> None:
    """Where all models are slow, known or not, a budget bounds the races, and no call fails."""
    day = Day(clock, world, "a", dict.fromkeys(CHAIN, CRAWLS))

    assert sum(one.cause == "rescue" for trace in day.traces for one in trace.attempts) <= 30


# ── a third in the place of one of two ───────────────────────────────────────────────────────────────────────────────


def test_a_third_takes_the_place_of_the_one_that_has_come_less_far(clock: Clock, world: World) -> None:
    """When both models of a race have become slow, the third is started, and the answer that is behind is stopped."""
    day = Day(clock, world, "abc", {"a": CRAWLS, "b": CRAWLS})

    assert day.told[1][:3] == (3.2, "b", "slow")
    # The third is raced as soon as it has given an ordinary answer to somebody since then; that is looked for each
    # second.
    assert timeline(day.traces[0]) == [
        ("a", "first", "superseded", 0.0, pytest.approx(8.7)),
        ("b", "rescue", "superseded", 1.625, pytest.approx(6.2)),
        ("c", "rescue", "won", pytest.approx(6.2), pytest.approx(8.7)),
    ]


def test_of_two_silent_attempts_the_older_one_is_stopped(clock: Clock, world: World) -> None:
    """When neither of two has given a content, the third takes the place of the older one."""
    day = Day(clock, world, "abc", {"a": HANGS, "b": HANGS})

    assert [line[:3] for line in timeline(day.traces[0])] == [
        ("a", "first", "superseded"), ("b", "rescue", "superseded"), ("c", "rescue", "won")
    ]
    first, second, third = day.traces[0].attempts
    assert first.ended == third.sent
    assert second.ended < third.ended
    assert third.why.startswith("b: no content for")


def test_an_answer_that_crawls_is_kept_rather_than_one_that_is_silent(clock: Clock, world: World) -> None:
    """A newer attempt that is silent is stopped, not the older one whose contents come."""
    day = Day(clock, world, "abc", {"a": CRAWLS, "b": HANGS})

    first, second, third = day.traces[0].attempts
    assert (first.ended, second.ended) == (third.ended, third.sent)
    assert (first.model, second.model, third.model) == ("a", "b", "c")


# ── probes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_probe_that_crawls_does_not_bring_its_model_back(clock: Clock, world: World) -> None:
    """A probe that is stopped before its eighth content has been too slow if eight would have come at a usual pace."""
    day = Day(clock, world, "abc", {"a": CRAWLS}, calls=150)

    assert day.slow == [("a", "slow")]
