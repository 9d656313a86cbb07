"""What the scripts in Redis do is what the rules in Python say."""

from __future__ import annotations

import asyncio
import pickle
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConfigError
from asyncrouter.integrations.redis import RedisState
from asyncrouter.shared import Account, Ask, Reservation, SharedHold, Short, Spent
from asyncrouter.shared._turns import PlaceTurns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.helpers.redis_server import RedisServer

NAMES = count()


def with_states(
    server: RedisServer, number: int, scenario: Callable[..., Awaitable[object]], *,
    kind: type[RedisState] = RedisState, **options: object,
) -> object:
    """Run a scenario with so many states, as of so many processes, that share a namespace nobody else has."""
    namespace = f"scripts-{next(NAMES)}"

    async def run() -> object:
        states = [kind(server.url, namespace=namespace, **options) for _ in range(number)]  # type: ignore[arg-type]
        for state in states:
            await state.open()
        try:
            return await scenario(*states)
        finally:
            for state in states:
                await state.aclose()

    return asyncio.run(run())


def ask(place: str = "p", **fields: object) -> Ask:
    given = {
        "running": 0, "wanted": (), "interactive": 100, "waiting": 0, "rate": None, "tokens_rate": None, "most": None,
    }
    return Ask(place, **(given | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_turns_are_given_as_the_rules_say(server: RedisServer, seed: int) -> None:
    """For random questions of three processes at random times both answer the same."""
    random = Random(seed)
    rate = random.choice([None, 0.5, 20.0])
    tokens_rate = random.choice([None, 1000.0])
    most = random.choice([None, 1, 5])

    async def scenario(*states: Timed) -> None:
        place: PlaceTurns | None = None
        now = 1e9
        for _ in range(60):
            now = round(now + random.choice([0.0, 0.01, 0.2, 0.6, 4.0, 20.0]), 6)
            number = random.randrange(3)
            wanted = [random.choice([10.0, 300.0, 5000.0]) for _ in range(random.randrange(5))]
            asked = ask(
                running=random.randrange(4), wanted=wanted, interactive=random.randrange(5), waiting=len(wanted),
                rate=rate, tokens_rate=tokens_rate, most=most, known=random.random() < 0.5,
                back=random.random() < 0.2,
                unused=random.choice([0, 0, 1, -1]), more_tokens=random.choice([0.0, 50.0, -50.0]),
            )
            place = place or PlaceTurns.new(asked, now)
            expected = place.admit(str(number), asked, now)
            got = await states[number].at(now).admit(asked)
            assert (len(got.turns), got.processes, got.room) == (
                len(expected.turns), expected.processes, expected.room
            )
            assert [*got.turns, got.wait, got.share, got.joins_in] == pytest.approx(
                [*expected.turns, expected.wait, expected.share, expected.joins_in], abs=2e-6
            )

    with_states(server, 3, scenario, kind=Timed)


class Timed(RedisState):
    """A state whose server believes that it is the time that the test says."""

    now = 0.0

    def at(self, now: float) -> Timed:
        self.now, self._ahead = now, 0.0
        return self

    async def _run_script(self, text: str, *arguments: object) -> object:  # type: ignore[override]
        seconds, micro = divmod(round(self.now * 1e6), 1_000_000)
        told = text.replace("redis.call('TIME')", f"{{'{seconds}', '{micro}'}}")
        return await super()._run_script(told if self.now else text, *arguments)  # type: ignore[arg-type]


def test_slots_are_shared_out_fairly(server: RedisServer) -> None:
    """While a process that has less than its even part waits, nobody takes beyond his."""

    async def scenario(one: RedisState, two: RedisState) -> list[int]:
        first = await one.admit(ask(wanted=[0.0] * 8, waiting=8, most=4))
        second = await two.admit(ask(wanted=[0.0] * 8, waiting=8, most=4))
        freed = await one.admit(ask(running=3, wanted=[0.0] * 8, waiting=8, most=4))
        third = await two.admit(ask(wanted=[0.0] * 8, waiting=8, most=4))
        return [len(grant.turns) for grant in (first, second, freed, third)]

    assert with_states(server, 2, scenario) == [4, 0, 0, 1]


def test_the_slots_of_a_process_that_died_are_given_back(server: RedisServer) -> None:
    """A process that has not been heard of for 15 seconds has no slots any more, and no part of what is shared out."""

    async def scenario(one: Timed, two: Timed) -> list[tuple[int, int]]:
        await one.at(1e9).admit(ask(wanted=[0.0] * 8, waiting=8, most=4))
        grants = []
        for seconds in (14.9, 15.1):
            grant = await two.at(1e9 + seconds).admit(ask(wanted=[0.0] * 8, waiting=8, most=4))
            grants.append((len(grant.turns), grant.processes))
        return grants

    assert with_states(server, 2, scenario, kind=Timed) == [(0, 2), (4, 1)]


def test_a_question_that_nobody_waits_for_any_more_takes_nothing(server: RedisServer) -> None:
    """A question that a stopped server finds when it goes on changes nothing; the client asks anew."""

    async def scenario(one: RedisState) -> tuple[int, int]:
        await one.admit(ask("q", wanted=[0.0], waiting=1, most=1))
        one._ahead -= 5.0  # as if it had lain in the server's input for so long
        grant = await one.admit(ask(wanted=[0.0], waiting=1, rate=100.0, most=1))
        one._ahead -= 5.0
        (found,) = await one.reserve([((Account("", "", 100, 0),), 40, 60.0)])
        assert isinstance(found, Reservation)
        return len(grant.turns), (await one.read(Account("", "", 100, 0))).reserved

    assert with_states(server, 1, scenario, run="r") == (1, 40)


def test_what_was_spent_alone_is_booked_once(server: RedisServer) -> None:
    """What a process has spent while it could not reach the server is booked later, and only once if it is said twice.
    """
    account = Account("", "", 100, 0)

    async def scenario(one: RedisState) -> Spent:
        alone = Reservation((account,), (0,), 40, "alone-x-1")
        await one.settle([(alone, 30)])
        await one.settle([(alone, 30)])
        return await one.read(account)

    assert with_states(server, 1, scenario, run="r") == Spent(30, 0, None)


def test_a_hold_stops_the_turns_of_its_place(server: RedisServer) -> None:
    """A hold stops the turns of its place, is among the news of the others, and never becomes shorter."""

    async def scenario(one: RedisState, two: RedisState) -> tuple[object, ...]:
        hold = SharedHold("held", ("p", "a", True), 60.0, 60.0, "slow down: ü", of_key=True, place="p")
        await one.tell(hold)
        await one.tell(hold._replace(seconds=5.0))
        grant = await two.admit(ask(wanted=[0.0], waiting=1, rate=10.0))
        processes, holds = await two.news()
        rounded = [each._replace(seconds=round(each.seconds)) for each in holds]
        return len(grant.turns), round(grant.held), grant.why, processes, rounded

    assert with_states(server, 2, scenario) == (
        0, 60, "slow down: ü", 2, [SharedHold("held", ("p", "a", True), 60, 60.0, "slow down: ü", True)]
    )


def test_money_is_reserved_in_all_accounts_or_in_none(server: RedisServer) -> None:
    """A reservation counts in each of its accounts, and not at all if one of them is short; settling it twice is once.
    """
    whole, tenant = Account("", "", 100, 0), Account("tenant", "a", 30, 86400)

    async def scenario(one: RedisState, two: RedisState) -> list[object]:
        found = await one.reserve([((whole, tenant), 20, 60.0), ((whole, tenant), 20, 60.0), ((whole,), 80, 60.0)])
        first = found[0]
        assert isinstance(first, Reservation)
        shorts = [
            (short.account, short.left, short.ends_in is None) for short in found[1:] if isinstance(short, Short)
        ]
        await one.settle([(first, 25), (first, 25)])
        rest = await one.read(tenant)
        return [first.left, shorts, (await two.read(whole)), (rest.spent, rest.reserved)]

    assert with_states(server, 2, scenario, run="r") == [
        (80, 10), [(tenant, 10, False)], Spent(25, 80, None), (25, 0)
    ]


def test_a_reservation_that_nobody_settles_counts_as_spent(server: RedisServer) -> None:
    """After its time a reservation counts as spent; if it is settled after all, the difference is booked, once."""
    account = Account("", "", 100, 0)

    async def scenario(one: RedisState) -> list[Spent]:
        (found,) = await one.reserve([((account,), 40, 0.05)])
        assert isinstance(found, Reservation)
        await asyncio.sleep(0.1)
        lapsed = await one.read(account)
        await one.settle([(found, 15), (found, 15)])
        return [lapsed, await one.read(account)]

    assert with_states(server, 1, scenario) == [Spent(40, 0, None), Spent(15, 0, None)]


def test_large_amounts_keep_every_digit(server: RedisServer) -> None:
    """A million dollars and a nano-dollar is not a million dollars."""
    account = Account("", "", 2 * 10**15, 0)

    async def scenario(one: RedisState) -> Spent:
        (found,) = await one.reserve([((account,), 10**15 + 1, 60.0)])
        assert isinstance(found, Reservation)
        await one.settle([(found, 10**15 + 1)])
        await one.reserve([((account,), 1, 60.0)])
        return await one.read(account)

    assert with_states(server, 1, scenario) == Spent(10**15 + 1, 1, None)


def test_keys_are_declared_named_by_version_and_expire(server: RedisServer) -> None:
    """Every key begins with the version and the namespace, shows no name, and goes when nobody uses it."""

    async def scenario(one: RedisState) -> None:
        await one.admit(ask(place="ab12", wanted=[0.0], waiting=1, rate=10.0))
        await one.reserve([((Account("tenant", "secret-name", 100, 3600),), 1, 60.0)])

    with_states(server, 1, scenario, run="r")
    prefix = f"asyncrouter:1:scripts-{next(NAMES) - 1}:"
    reply = server.command("KEYS", f"{prefix}*").decode()
    keys = [line for line in reply.splitlines() if line.startswith(prefix)]
    assert {key.removeprefix(prefix).split(":")[0] for key in keys} == {"{ab12}", "{budget}"}
    assert "secret-name" not in reply
    assert all(int(server.command("TTL", key)[1:-2]) > 0 for key in keys)


def test_another_versions_keys_are_left_alone(server: RedisServer) -> None:
    """A key in which something else stands than our state is an error that the router survives, and stays as it is."""
    namespace = f"scripts-{next(NAMES)}"
    server.command("SET", f"asyncrouter:1:{namespace}:{{p}}", "nonsense")

    async def scenario() -> None:
        state = RedisState(server.url, namespace=namespace)
        await state.open()
        try:
            with pytest.raises(ConnectionError, match="ResponseError") as caught:
                await state.admit(ask(wanted=[0.0], waiting=1, rate=10.0))
            cure = "holds what asyncrouter has not written; delete it, or use another namespace"
            assert str(caught.value).startswith(f"asyncrouter:1:{namespace}:{{p}} {cure} (")
        finally:
            await state.aclose()

    asyncio.run(scenario())
    assert server.command("GET", f"asyncrouter:1:{namespace}:{{p}}") == b"$8\r\nnonsense\r\n"


def test_a_server_that_is_not_there() -> None:
    """A server that cannot be reached is a `ConfigError` that says where, without the password."""
    state = RedisState("redis://user:hunter2@127.0.0.1:1/0")

    with pytest.raises(ConfigError) as caught:
        asyncio.run(state.open())

    assert str(caught.value).startswith("shared: redis://127.0.0.1:1/0 cannot be used: ConnectionError")
    assert "hunter2" not in f"{caught.value!r} {state!r}"


@pytest.mark.parametrize(("given", "words"), [
    ({"url": "http://localhost"}, "begin with redis://"), ({"url": ""}, "begin with redis://"), ({"url": 3}, "got int"),
    ({"url": "redis://:hunter2@localhost:hunter2/0"}, "host or port cannot be read$"),
    ({"url": "redis://h/db0"}, "number of a database$"), ({"url": "rediss://h/0/1"}, "number of a database$"),
    ({"url": "redis://[::1/0"}, "host or port cannot be read$"), ({"url": "redis://h", "namespace": "a b"}, "letters"),
    ({"url": "redis://h", "namespace": ""}, "letters"), ({"url": "redis://h", "processes": 0}, "1 or more"),
    ({"url": "redis://h", "namespace": 3}, "letters"), ({"url": "redis://h", "processes": "2"}, "1 or more"),
])
def test_arguments_that_cannot_be_used(given: dict[str, object], words: str) -> None:
    """A URL or a name that cannot be used is a `ConfigError`."""
    with pytest.raises(ConfigError, match=words):
        RedisState(**given)  # type: ignore[arg-type]


def test_a_pickled_state_belongs_to_the_same_run() -> None:
    """Worker processes get a state by pickle; what one run may spend is one amount for all of them."""
    state = RedisState("redis://localhost", namespace="n", required=False, processes=3)
    again = pickle.loads(pickle.dumps(state))

    assert (again.__reduce__(), again.processes) == (state.__reduce__(), 3)
