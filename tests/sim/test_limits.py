"""A world under load: its limits and what it says of them, its schedules, its capacity, its bills, its connections."""

import asyncio
import hashlib
import math
import os
import statistics
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from asyncrouter import ConnectionFailed, Request, Router, sim
from asyncrouter.sim import Act, Clock, LoggedRequest, SimTransport, World, lognormal
from asyncrouter.sim.limits import TokenBucket
from tests.helpers.simulated import chat_request

ROOT = Path(__file__).parents[2]


async def fetch(transport: SimTransport, asked: Request) -> tuple[int, dict[str, str]]:
    """Status and headers of a response that is read to its end."""
    response = await transport.send(asked)
    while await response.read():
        pass
    return response.status, dict(response.headers)


def at_instants(clock: Clock, world: World, instants: list[float], *asked: Request) -> list[tuple[int, dict[str, str]]]:
    """What requests get that are sent at these instants."""
    transport = world.transport()

    async def one(at: float, index: int) -> tuple[int, dict[str, str]]:
        await asyncio.sleep(at)
        return await fetch(transport, asked[index % len(asked)] if asked else chat_request())

    async def scenario() -> list[tuple[int, dict[str, str]]]:
        return await asyncio.gather(*(one(at, index) for index, at in enumerate(instants)))

    return clock.run(scenario())


def statuses(answers: list[tuple[int, dict[str, str]]]) -> list[int]:
    return [status for status, _ in answers]


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_bucket_lets_its_burst_and_its_rate_through(world: World, clock: Clock) -> None:
    """A limit of 2 a second with a burst of 3 admits three requests at once, then one each half second."""
    world.model("m").limit(2, burst=3)

    got = statuses(at_instants(clock, world, [0.0] * 5 + [0.5, 0.6, 1.0, 1.4, 3.0, 3.0, 3.0, 3.0, 3.0]))

    # Of those sent at one instant the loop may take any first.
    assert sorted(got[:5]) == [200, 200, 200, 429, 429]
    assert got[5:9] == [200, 429, 200, 429]
    assert sorted(got[9:]) == [200, 200, 200, 429, 429]
    assert world.model("m").bill.statuses == {200: 8, 429: 6}


def test_a_pace_at_the_limit_is_never_refused(world: World, clock: Clock) -> None:
    """Requests evenly spaced at exactly the rate, without any burst, never get a 429."""
    world.model("m").limit(50, burst=1)

    assert set(statuses(at_instants(clock, world, [index / 50 for index in range(2000)]))) == {200}


def test_retry_after_is_true_missing_or_wrong(world: World, clock: Clock) -> None:
    """A true Retry-After is right to the millisecond; it can also be missing or wrong."""
    world.model("m").limit(0.3, burst=1)
    seconds = float(at_instants(clock, world, [0.0, 1.0])[1][1]["retry-after"])

    assert seconds == 2.334
    assert statuses(at_instants(clock, world, [seconds])) == [200]
    world.model("m").limit(0.3, burst=1, retry_after=False)
    assert "retry-after" not in at_instants(clock, world, [0.0])[0][1]
    world.model("m").limit(0.3, burst=1, retry_after="lying")
    lies = [float(headers["retry-after"]) for _, headers in at_instants(clock, world, [0.001] * 50)]
    assert 1.6 < min(lies) < 3.3 < max(lies) < 6.8


def test_limits_are_announced(world: World, clock: Clock) -> None:
    """Rate, rest and reset are announced, in OpenAI's headers as durations, in Anthropic's as dates."""
    world.model("m").limit(10, burst=5, tps=100, announced=True)
    _, headers = at_instants(clock, world, [0.0, 0.0], chat_request(max_tokens=97))[1]
    asked = Request("POST", "http://sim.test/v1/messages", {}, chat_request(max_tokens=97).body)
    _, dated = at_instants(clock, world, [0.0], asked)[0]

    names = ("limit", "remaining", "reset")

    assert tuple(headers[f"x-ratelimit-{name}-requests"] for name in names) == ("600", "3", "200ms")
    assert tuple(headers[f"x-ratelimit-{name}-tokens"] for name in names) == ("6000", "5800", "2s")
    assert tuple(
        dated[f"anthropic-ratelimit-requests-{name}"] for name in ("remaining", "reset")
    ) == ("2", "2026-01-01T00:00:00.300000Z")


def test_an_announced_limit_may_be_a_lie(clock: Clock) -> None:
    """A lying announcement is off by one factor from 0.5 to 2, the same for a world's seed."""

    def announced(seed: int) -> int:
        world = World(seed)
        world.model("m").limit(10, announced="lying")
        return int(at_instants(clock, world, [0.0])[0][1]["x-ratelimit-limit-requests"])

    found = [announced(seed) for seed in range(20)]
    assert 300 <= min(found) < 500 < 700 < max(found) <= 1200
    assert found == [announced(seed) for seed in range(20)]


def test_tokens_are_limited_too(world: World, clock: Clock) -> None:
    """A request takes the tokens of its prompt and its max_tokens from a bucket that holds a minute's worth."""
    world.model("m").limit(tps=1)  # 60 at once
    got = at_instants(clock, world, [0.0, 0.0, 0.0, 20.0, 27.0], chat_request(max_tokens=27))

    assert statuses(got) == [200, 200, 429, 429, 429]
    assert got[4][1]["retry-after"] == "3.0"


def test_a_limit_changes_at_its_instants(world: World, clock: Clock) -> None:
    """A limit can fall, rise and end at given instants; what was in the bucket stays."""
    world.model("m").limit(10).limit(2, at=10.0).limit(at=20.0)

    got = statuses(at_instants(clock, world, [0.0] * 12 + [10.0] * 4 + [20.0] * 50))

    assert (got[:12].count(200), got[12:16].count(200), got[16:].count(200)) == (10, 2, 50)


def test_a_limit_of_the_world_is_each_keys(world: World, clock: Clock) -> None:
    """A limit of the world holds for each key alone, over all models together."""
    world.model("a")
    world.model("b")
    world.limit(1, burst=2)
    world.limit(1, burst=3, at=100.0)
    asked = [chat_request(model, key=key) for model, key in ("ax", "bx", "ax", "ay")]

    assert statuses(at_instants(clock, world, [0.0, 0.1, 0.2, 0.3], *asked)) == [200, 200, 429, 200]
    assert statuses(at_instants(clock, world, [0.0], chat_request("b", key="x"))) == [429]
    got = statuses(at_instants(clock, world, [110.0] * 4, chat_request("b", key="z")))
    assert sorted(got) == [200, 200, 200, 429]


def test_a_limit_of_zero_is_refused(world: World) -> None:
    """A limit of 0 requests a second is a `ValueError`."""
    with pytest.raises(ValueError, match="rps: expected a number above 0, got 0"):
        world.model("m").limit(0)


def test_a_bucket_asked_for_more_than_it_holds_gives_all_it_has() -> None:
    """A request larger than the bucket passes when that is full, and empties it below zero."""
    bucket = TokenBucket(1.0, 10.0, 10.0, 0.0)

    assert bucket.seconds_until(0.0, 25.0) == 0.0
    bucket.take(0.0, 25.0)
    assert (bucket.level(0.0), bucket.seconds_until(0.0, 1.0)) == (-15.0, 16.0)


# ── schedules, rules, capacity ───────────────────────────────────────────────────────────────────────────────────────


def test_a_model_changes_at_its_instants(world: World, clock: Clock) -> None:
    """A model follows another script from each given instant on, in whatever order they were given."""
    world.model("m", Act(status=500)).at(20.0, Act(status=503), Act(status=504)).at(10.0, Act())

    assert statuses(
        at_instants(clock, world, [0.0, 9.999, 10.0, 19.0, 20.0, 21.0, 22.0])
    ) == [500, 500, 200, 200, 503, 504, 504]


def test_a_rule_comes_before_any_model(world: World, clock: Clock) -> None:
    """A rule may decide by the instant, the host or the key; what it leaves alone is decided by the model."""

    def blackout(seen: LoggedRequest, random: Random) -> Act | None:
        return Act(status=503) if 5 <= seen.at < 10 and seen.key == "Bearer x" else None

    world.model("m")
    world.rule(blackout)

    assert statuses(
        at_instants(clock, world, [4.0, 5.0, 10.0, 5.0], *[chat_request(key="x")] * 3, chat_request(key="y"))
    ) == [200, 503, 200, 200]


def test_a_request_over_capacity_is_refused(world: World, clock: Clock) -> None:
    """With a capacity of two the third request is refused, and the next one after an end is served."""
    world.model("m", Act(first_token=1.0)).capacity(2)

    assert statuses(at_instants(clock, world, [0.0, 0.1, 0.2, 0.9, 1.05])) == [200, 200, 503, 503, 200]
    assert world.model("m").live == 0


def test_a_deaf_model_stays_busy(world: World, clock: Clock) -> None:
    """A deaf model is busy until its abandoned answer is done; another one is free at once."""

    async def scenario(deaf: bool) -> list[int]:
        world.model("m", Act(first_token=5.0, deaf=deaf)).capacity(1)
        transport = world.transport()
        (await transport.send(chat_request(stream=True))).close()
        first = await fetch(transport, chat_request())
        await asyncio.sleep(6.0)
        return [first[0], (await fetch(transport, chat_request()))[0]]

    assert clock.run(scenario(deaf=True)) == [503, 200]
    assert clock.run(scenario(deaf=False)) == [200, 200]


def test_correlated_prompts_are_slow_everywhere(clock: Clock) -> None:
    """The logarithms of two models' latencies have the given correlation, and each keeps its distribution."""

    def latencies(correlation: float) -> tuple[list[float], list[float]]:
        world, found = World(3), ([], [])  # type: tuple[World, tuple[list[float], list[float]]]
        for name in "ab":
            world.model(name, Act(first_token=lognormal(1.0, 0.5, correlation=correlation)))

        async def scenario() -> None:
            transport = world.transport()
            for index in range(1500):
                for name, kept in zip("ab", found, strict=True):
                    began = clock.now
                    await fetch(transport, chat_request(name, prompt=f"prompt {index}"))
                    kept.append(math.log(clock.now - began))

        clock.run(scenario())
        return found

    for wanted in (0.0, 0.6, 1.0):
        a, b = latencies(wanted)
        assert statistics.correlation(a, b) == pytest.approx(wanted, abs=0.07)
        assert (statistics.mean(a), statistics.stdev(a)) == pytest.approx((0.0, 0.5), abs=0.05)


def test_the_docstrings_second_example(world: World, clock: Clock) -> None:
    """The second example of the package's docstring works as it says."""
    names = {"Act": Act, "lognormal": lognormal, "world": world}
    exec(sim.__doc__.split("```")[3].removeprefix("python"), names)

    got = at_instants(clock, world, [float(at) for at in range(50)])
    assert set(statuses(got)) == {200, 503}
    assert "x-ratelimit-limit-requests" in got[0][1]


# ── bills ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bill_of_an_answer_is_what_its_usage_says(world: World, clock: Clock) -> None:
    """What the world bills is what the router's trace adds up to."""
    world.model("m", Act(tokens=7)).price(input=1.0, output=4.0)
    priced = {"m": {"provider": "sim", "id": "m", "usd_per_mtok": {"input": 1.0, "output": 4.0}}}

    async def scenario() -> float | None:
        async with Router(world.config(models=priced), transport=world.transport()) as router:
            return (await router.chat("three little words", model="m")).trace.cost_usd

    assert clock.run(scenario()) == world.usd == 31e-6
    assert (world.model("m").bill.requests, world.seen[0].input_tokens, world.seen[0].output_tokens) == (1, 3, 7)


@pytest.mark.parametrize(
    ("act", "stream", "leave", "billed"),
    [
        (Act(tokens=9, gap=1.0), True, None, (3, 9)),
        (Act(tokens=9, gap=1.0), True, 2.5, (3, 3)),
        (Act(tokens=9, gap=1.0, deaf=True), True, 2.5, (3, 9)),
        (Act(tokens=9, gap=1.0), False, 2.5, (3, 9)),
        (Act(tokens=9, first_token=5.0), True, 2.5, (3, 0)),
        (Act(tokens=9, connect=5.0), True, 2.5, (0, 0)),
        (Act(tokens=9, gap=1.0, fault="cut", at=4), True, None, (3, 4)),
        (Act(tokens=9, gap=1.0, fault="cut", at=4, deaf=True), True, 1.5, (3, 4)),
        (Act(tokens=9, fault="refuse"), True, None, (0, 0)),
        (Act(why="rate_limit"), True, None, (0, 0)),
        (Act(fault="html"), True, None, (0, 0)),
        (Act(tokens=9, fault="hang", at="headers"), True, 2.5, (3, 0)),
    ],
)
def test_what_is_billed(
    world: World, clock: Clock, act: Act, stream: bool, leave: float | None, billed: tuple[int, int]
) -> None:
    """A stream is billed until its client left, everything else in full; errors cost nothing."""
    world.model("m", act)

    async def scenario() -> None:
        try:
            async with asyncio.timeout(leave):
                response = await world.transport().send(chat_request(stream=stream))
                try:
                    while await response.read():
                        pass
                finally:
                    response.close()
        except (TimeoutError, ConnectionFailed):
            pass

    clock.run(scenario())

    assert billed == (world.seen[0].input_tokens, world.seen[0].output_tokens)
    assert world.open == world.model("m").live == 0


def test_a_reported_cost_is_the_bill(world: World, clock: Clock) -> None:
    """An act's `cost` replaces the price once the answer is whole."""
    world.model("m", Act(style="openrouter", cost=0.5)).price(input=1.0, output=1.0)
    at_instants(clock, world, [0.0])

    assert world.usd == 0.5


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pool_serves_again_at_no_time_to_connect(world: World, clock: Clock) -> None:
    """A connection whose response was read to its end serves its host again for 30 s; one left early does not."""
    world.model("m", Act(connect=1.0, tail=0.5))

    async def scenario() -> list[tuple[bool, float]]:
        transport, found = world.transport(pool=True), []
        for rest, whole in ((0.0, True), (29.0, True), (31.0, False), (0.0, True)):
            await asyncio.sleep(rest)
            began = clock.now
            response = await transport.send(chat_request(stream=True))
            found.append((response.reused, clock.now - began))
            while whole and await response.read():
                pass
            response.close()
        return found

    assert clock.run(scenario()) == [(False, 1.0), (True, 0.0), (False, 1.0), (False, 1.0)]


def test_a_stale_connection_is_resent_once(world: World, clock: Clock) -> None:
    """A pooled connection that fails before the headers costs one free resend; a second failure is raised."""
    lost = Act(fault="reset", at="headers")
    world.model("m", Act(), lost, Act(), lost, lost)

    async def scenario() -> tuple[list[bool], int]:
        transport = world.transport(pool=True)
        found = []
        for _ in range(2):
            response = await transport.send(chat_request())
            found.append(response.reused)
            while await response.read():
                pass
        with pytest.raises(ConnectionFailed):
            await transport.send(chat_request())
        return found, transport.resends

    assert clock.run(scenario()) == ([False, False], 2)
    assert world.requests == 5


# ── endurance ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_run_keeps_nothing(clock: Clock) -> None:
    """With `keep=0` memory stays flat, whatever is limited, scheduled, priced and left early."""
    world = World(keep=0)
    law = lognormal(0.1, 0.5, stragglers=0.02, correlation=0.3)
    world.model("m", Act(first_token=law, tokens=3, deaf=True)).limit(100, announced=True).capacity(50).price(1.0, 1.0)
    world.limit(1000)

    async def some(count: int) -> None:
        transport = world.transport(pool=True)
        for index in range(count):
            response = await transport.send(chat_request(stream=True, prompt=f"{index % 7}"))
            await response.read()
            if index % 3:
                while await response.read():
                    pass
            response.close()

    clock.run(some(500))
    tracemalloc.start()
    try:
        clock.run(some(200))
        before, _ = tracemalloc.get_traced_memory()
        clock.run(some(1000))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 30_000
    assert (world.requests, len(world.seen), world.open) == (1700, 0, 0)


HISTORY = """
from tests.sim.test_limits import busy_day
print(busy_day())
"""


def busy_day() -> str:
    """The digest of everything that happens in a world with all of it at once."""
    clock, world, log = Clock(), World(11), []
    law = lognormal(0.2, 0.5, stragglers=0.05, correlation=0.5)
    for name in "abc":
        world.model(name, lambda seen, random: Act(
            why=random.choice(["server", "overloaded"]) if random.random() < 0.2 else None,
            first_token=law, tokens=3, sse=("cuts", "crlf"), deaf=True,
        )).limit(5, announced="lying", retry_after="lying").capacity(4)
    world.model("c").at(3.0, Act(fault="cut", at=1))
    world.limit(20)
    world.rule(lambda seen, random: Act(why="timeout") if random.random() < 0.1 else None)

    async def one(index: int) -> None:
        await asyncio.sleep(index * 0.05)
        asked = chat_request("abc"[index % 3], key="xy"[index % 2], prompt=f"{index}", stream=bool(index % 2))
        try:
            response = await world.transport().send(asked)
            while data := await response.read():
                log.append((clock.now, index, response.status, sorted(response.headers.items()), data))
        except ConnectionFailed as error:
            log.append((clock.now, index, str(error)))

    async def scenario() -> None:
        await asyncio.gather(*(one(index) for index in range(120)))

    clock.run(scenario())
    log.append([(repr(seen), seen.usd) for seen in world.seen])
    return hashlib.sha256(repr(log).encode()).hexdigest()


def test_one_seed_is_one_history_in_every_process() -> None:
    """One seed gives the same bytes at the same instants, whatever PYTHONHASHSEED says."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", HISTORY], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout.strip()
        for seed in ("0", "1")
    }

    assert digests == {busy_day()}
