"""The errors of a call: which cause they name, what they carry, how they read, and that they survive a pickle."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import pytest

import asyncrouter
from asyncrouter import (
    AllModelsFailed,
    Attempt,
    AttemptError,
    AttemptTimeout,
    BadReply,
    CallError,
    ConfigError,
    ConnectionFailed,
    ContextTooLong,
    DeadlineExceeded,
    NotAccepted,
    NotSent,
    OutOfCredit,
    OverBudget,
    RateLimited,
    Refused,
    Rejected,
    Reply,
    Router,
    RouterClosed,
    RouterError,
    ServerFailed,
    StreamInterrupted,
    Trace,
    Unauthorized,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, REJECTED, SILENT, SPREAD, ask, call, play, script

ONCE = {"attempts": 1}

LEAST_TO_MOST_USEFUL = [
    Act(fault="refuse"),
    Act(fault="hang", at="connect"),
    Act(status=500),
    Act(status=429),
    Act(status=401),
    Act(status=400),
]


@pytest.mark.parametrize(
    ("asks", "beginning"),
    [
        ({"task": "coding"}, "All coding models failed"),
        ({"task": "poetry"}, "task 'poetry': every model failed"),
        ({"tier": "budget"}, "All budget-appropriate models failed"),
        ({"tier": "premium"}, "All budget-appropriate models failed"),
        ({"task": "coding", "tier": "budget"}, "All coding models failed"),
        ({"chain": ["a"]}, "All models failed"),
        ({"model": "a"}, "All models failed"),
    ],
)
def test_message_says_what_was_asked_for(clock: Clock, world: World, asks: dict[str, Any], beginning: str) -> None:
    """The error begins with the task's name as it was asked for, or with the fixed words for a tier or a chain."""
    script(world, REJECTED, REJECTED, REJECTED)
    chains = {"coding": {"models": ["a"]}, "default": {"models": ["b"]}}

    error = call(clock, world, tables={"tasks": chains, "tiers": {"budget": ["a"], "premium": ["c"]}}, **asks)

    assert isinstance(error, AllModelsFailed)
    assert error.message == f"{beginning}: {error.trace.attempts[0].error}"


@pytest.mark.parametrize(
    ("weak", "strong"), list(pairwise(LEAST_TO_MOST_USEFUL)), ids=["timeout", "server", "limit", "key", "rejected"]
)
def test_message_names_the_most_useful_cause(weak: Act, strong: Act) -> None:
    """Of several failures the one its reader can do most about is named, not the last one."""
    for place in range(3):
        clock, world = Clock(), World()
        script(world, *[strong if index == place else weak for index in range(3)])

        error = call(clock, world, tables=SPREAD, retry=ONCE)

        assert isinstance(error, AllModelsFailed)
        cause = error.trace.attempts[place].error
        assert error.message == f"All coding models failed: {cause}"
        assert str(cause).startswith(f"{'abc'[place]}: ")


def test_cause_is_every_attempts_error(clock: Clock, world: World) -> None:
    """`__cause__` is a group of the very errors of the trace, in their order, retries included."""
    script(world, Act(status=500), Act(fault="refuse"), REJECTED)

    error = call(clock, world)

    assert isinstance(error, AllModelsFailed)
    assert isinstance(error.__cause__, ExceptionGroup)
    assert [attempt.error for attempt in error.trace.attempts] == list(error.__cause__.exceptions)
    assert [
        type(one) for one in error.__cause__.exceptions
    ] == [ServerFailed, ServerFailed, ConnectionFailed, ConnectionFailed, Rejected]


def test_deadline_names_a_cause_too(clock: Clock, world: World) -> None:
    """`DeadlineExceeded` says how long the call had and what was wrong until then; it is a `TimeoutError`."""
    script(world, REJECTED, SILENT)

    error = call(clock, world, chain=["a", "b"], deadline=7.5)

    assert isinstance(error, DeadlineExceeded)
    assert isinstance(error, TimeoutError)
    assert (
        error.message == "no whole answer within the deadline of 7.5 s: a: The simulated model answers 400. (HTTP 400)"
    )
    assert isinstance(error.__cause__, ExceptionGroup)
    assert [type(one) for one in error.__cause__.exceptions] == [Rejected, AttemptTimeout]


@pytest.mark.parametrize("deadline", [5.0, 60.0])
def test_error_reads_as_the_timeline(clock: Clock, world: World, deadline: float) -> None:
    """`str()` of a call's error is its message and a line for each attempt."""
    script(world, Act(status=400, first_token=0.5), SILENT)

    error = call(clock, world, chain=["a", "b"], deadline=deadline)

    assert isinstance(error, CallError)
    ended = min(deadline, 30.5)
    last = "the call's deadline came first" if deadline == 5.0 else "no content for 30 s; nothing known yet"
    assert str(error).splitlines() == [
        error.message,
        " 1     0.000 s →    0.500 s  first     a  failed, Rejected: The simulated model answers 400.",
        f" 2     0.500 s → {ended:8.3f} s  fallback  b  failed, AttemptTimeout: {last}",
    ]
    assert str(error).endswith(str(error.trace))


def test_errors_know_where_they_come_from(clock: Clock, world: World) -> None:
    """An attempt's error names its model, provider, status, the provider's word for it, and the request."""
    script(world, Act(status=400, code="bad_temperature", message="temperature: at most 2", retry_after=3))

    error = call(clock, world, chain=["a"])

    assert isinstance(error, AllModelsFailed)
    [attempt] = error.trace.attempts
    cause = attempt.error
    assert isinstance(cause, Rejected)
    assert (
        cause.model, cause.provider, cause.status, cause.code, cause.message, cause.request_id, cause.retry_after,
    ) == ("a", "sim", 400, "bad_temperature", "temperature: at most 2", "req-1", 3.0)  # fmt: skip
    assert (attempt.status, attempt.request_id) == (400, "req-1")
    assert cause.__traceback__ is None


# ── pickling ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def attempt_errors() -> list[AttemptError]:
    """An error of each class of attempt error, with every field set."""
    common: dict[str, Any] = {"status": 418, "code": "teapot", "request_id": "r-1", "retry_after": 2.5}
    kinds = (ConnectionFailed, RateLimited, ServerFailed, BadReply, ContextTooLong, Refused, Rejected, Unauthorized)
    errors: list[AttemptError] = [kind("told", **common) for kind in (*kinds, OutOfCredit)]
    errors += [AttemptTimeout("idle", "told"), AttemptTimeout("connect"), NotSent("told", hold=3.5, actionable=True)]
    errors.append(OverBudget("told", until=1800.0, retry_after=60.0))
    errors.append(NotAccepted("told", reply=Reply(text="hi", model="a")))
    for error in errors:
        error.model, error.provider, error.again = "a", "sim", "quick"
    return errors


@pytest.mark.parametrize("error", attempt_errors(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_attempt_errors_survive_a_pickle(error: AttemptError, protocol: int) -> None:
    """Every field of an attempt's error is the same afterwards: they cross processes in Ray and in pools."""
    copy = pickle.loads(pickle.dumps(error, protocol))

    assert (type(error), str(error), vars(error)) == (type(copy), str(copy), vars(copy))


def call_errors() -> list[CallError]:
    """An error of each class of call error, with a trace that holds an error."""
    failed = Attempt(1, "a", "sim", "first", "failed", Rejected("no", status=400), 400, sent=0.0, ended=1.0)
    trace = Trace("coding", 5.0, [failed], 1.0, {"user": "1"})
    return [
        AllModelsFailed("told", trace),
        DeadlineExceeded("told", trace),
        StreamInterrupted("told", trace, "half an ans"),
    ]


@pytest.mark.parametrize("error", call_errors(), ids=lambda error: type(error).__name__)
def test_call_errors_survive_a_pickle(error: CallError) -> None:
    """A call's error keeps its message, its whole trace, and what of the stream had come."""
    copy = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), error.message) == (type(copy), str(copy), copy.message)
    assert getattr(error, "partial", None) == getattr(copy, "partial", None)
    [attempt], [copied] = error.trace.attempts, copy.trace.attempts
    assert (error.trace.task, error.trace.tags, error.trace.seconds) == (
        copy.trace.task, copy.trace.tags, copy.trace.seconds,
    )  # fmt: skip
    assert (attempt.model, attempt.ended, vars(attempt.error)) == (copied.model, copied.ended, vars(copied.error))


def test_other_errors_survive_a_pickle() -> None:
    """`ConfigError` and `RouterClosed` keep their fields in a pickle."""
    config = pickle.loads(pickle.dumps(ConfigError("expected seconds, got '20s'", "tasks.coding.total", "20s")))
    closed = pickle.loads(pickle.dumps(RouterClosed("the router is closed")))

    assert str(config) == "tasks.coding.total: expected seconds, got '20s'"
    assert (config.path, config.value) == ("tasks.coding.total", "20s")
    assert str(closed) == "the router is closed"


@pytest.mark.parametrize("mode", ["chat", "buffered"])
def test_real_errors_survive_a_pickle(clock: Clock, world: World, mode: str) -> None:
    """An error as a call raises it, a turned down reply in its trace, can be pickled whole."""
    script(world, Act(status=500), HEALTHY, SILENT)

    error = call(clock, world, mode=mode, deadline=9, accept=lambda reply: False)

    assert isinstance(error, DeadlineExceeded)
    copy = pickle.loads(pickle.dumps(error))
    assert str(error) == str(copy)
    turned_down = copy.trace.attempts[2].error
    assert isinstance(turned_down, NotAccepted)
    assert turned_down.reply is not None
    assert turned_down.reply.text == "hi"
    assert turned_down.reply.raw["choices"][0]["message"]["content"] == "hi"  # type: ignore[index]


def test_every_error_class_is_covered() -> None:
    """The lists above name every error class the package exports."""
    covered = {type(error) for error in [*attempt_errors(), *call_errors()]}
    covered |= {ConfigError, RouterClosed, RouterError, CallError, AttemptError}
    classes = {value for value in vars(asyncrouter).values() if isinstance(value, type)}
    exported = {value for value in classes if issubclass(value, RouterError)}

    assert exported == covered


def test_a_failed_call_can_be_made_again(clock: Clock, world: World) -> None:
    """Nothing of a failed call is left in the router: the next one works."""
    script(world, (REJECTED, HEALTHY))

    async def scenario(router: asyncrouter.Router) -> list[type]:
        return [type(await ask(router, chain=["a"])) for _ in range(2)]

    assert play(clock, world, scenario) == [AllModelsFailed, Reply]


# ── what a caller, or a server in between, makes of it ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("acts", "options", "status"), [
    ((SILENT, SILENT), {"deadline": 1.0}, 504),
    ((Act(status=429, retry_after=900), Act(status=429, retry_after=800)), {"deadline": 60.0}, 429),
    ((Act(status=529, retry_after=900), Act(status=429, retry_after=800)), {"deadline": 60.0}, 429),
    ((Act(status=400), Act(status=422)), {}, 400),
    ((Act(why="context"), Act(status=400)), {}, 400),
    ((Act(status=401), Act(status=401)), {}, 502),
    ((Act(why="missing"), Act(status=400)), {}, 502),
    ((Act(status=500), Act(status=400)), {}, 502),
])  # fmt: skip
def test_the_status_for_a_server_in_between(
    clock: Clock, world: World, acts: tuple[Act, Act], options: dict[str, Any], status: int
) -> None:
    """A call's error has the status that a server passes on; it is never one about the client's own key."""
    script(world, *acts)

    error = call(clock, world, chain=["a", "b"], retry={"attempts": 1}, **options)

    assert isinstance(error, CallError)
    assert error.http_status == status


def test_nothing_could_be_sent_is_503(clock: Clock, world: World) -> None:
    """A call none of whose models could be sent anything is a 503."""
    script(world, Act(status=401))

    async def scenario(router: Router) -> list[int]:
        return [(await ask(router, chain=["a"])).http_status for _ in range(2)]  # type: ignore[union-attr]

    assert play(clock, world, scenario) == [502, 503]


def test_the_errors_of_a_call(clock: Clock, world: World) -> None:
    """The errors of the attempts in order, the last one, and the shortest wait that a provider asked for."""
    script(world, Act(status=429, retry_after=900), Act(status=429, retry_after=800), Act(status=400))

    error = call(clock, world, deadline=60)

    assert isinstance(error, CallError)
    assert [type(each).__name__ for each in error.errors] == ["RateLimited", "RateLimited", "Rejected"]
    assert (error.last, error.retry_after) == (error.errors[-1], 800.0)
