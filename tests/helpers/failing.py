"""Calls through a simulated chain, and what they tried, in a form that tests can compare."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from asyncrouter import CallError, Refused, Reply, Retry, Router, StreamInterrupted
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from asyncrouter import Trace
    from asyncrouter.sim import Clock, World

T = TypeVar("T")

SEED = 20
MODES = ("chat", "buffered", "stream")
"""`chat()` over a streaming wire, `chat()` over one JSON body, `stream()`."""
ONCE = Retry(attempts=1)
"""One try a model."""
HEALTHY = Act(text="hi")
REJECTED = Act(status=400)
"""An act that fails at once, is not retried and not remembered."""
SILENT = Act(fault="hang", at="headers")
SPREAD: dict[str, object] = {
    "providers": {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in "xyz"},
    "models": {name: {"provider": provider, "id": name} for name, provider in zip("abc", "xyz", strict=True)},
}
"""Tables in which each model has a provider of its own, so that no key is shared."""
OTHER = {"other": {"wire": "openai", "base_url": "http://other.test/v1"}}
"""A second provider beside the world's own, with a key of its own."""


class Tried(NamedTuple):
    """One attempt of a trace: `error` is the name of its class, `sent` and `ended` are seconds since the call began."""

    model: str
    cause: str
    outcome: str
    error: str | None = None
    status: int | None = None
    sent: float | None = None
    ended: float | None = None


def tried(trace: Trace | None) -> list[Tried]:
    """The attempts of a trace, in order."""
    assert trace is not None
    return [
        Tried(
            attempt.model, attempt.cause, attempt.outcome or "running",
            None if attempt.error is None else type(attempt.error).__name__,
            attempt.status, attempt.sent, attempt.ended,
        )
        for attempt in trace.attempts
    ]  # fmt: skip


def models_sent(result: Any) -> list[str]:
    """The models that were sent a request, in order."""
    return [one.model for one in tried(result.trace) if one.sent is not None]


def pauses(*highest: float, seed: int = SEED) -> list[float]:
    """The numbers that the router's generator draws one after the other from U(0, highest)."""
    random = Random(seed)
    return [random.uniform(0.0, high) for high in highest]


def play(
    clock: Clock, world: World, scenario: Callable[[Router], Awaitable[T]], *, seed: int = SEED,
    listeners: tuple[Callable[[Any], None], ...] = (), **tables: object,
) -> T:  # fmt: skip
    """Run `scenario` with a router of this world, whose task "coding" is the models a, b and c."""
    tables.setdefault("tasks", {"coding": {"models": ["a", "b", "c"]}})

    async def main() -> T:
        options: dict[str, Any] = {"seed": seed, "wall": clock.wall, "listeners": listeners}
        async with Router(world.config(**tables), transport=world.transport(), **options) as router:
            result = await scenario(router)
            assert not world.open, f"left open while the router lives: {world.live}"
            return result

    return clock.run(main())


async def ask(
    router: Router, mode: str = "chat", prompt: str = "hello", **arguments: Any
) -> Reply | CallError | Refused:
    """One call and what it ended with: its reply, or the error it raised. Without models: the task "coding"."""
    if not {"task", "tier", "chain", "model"} & arguments.keys():
        arguments["task"] = "coding"
    try:
        if mode != "stream":
            return await router.chat(prompt, **arguments)
        async with router.stream(prompt, **arguments) as stream:
            async for _ in stream:
                pass
            return stream.reply
    except (CallError, Refused) as error:
        if isinstance(error, StreamInterrupted):
            raise
        return error


def call(
    clock: Clock, world: World, *, mode: str = "chat", tables: Mapping[str, object] | None = None, seed: int = SEED,
    **arguments: Any,
) -> Reply | CallError | Refused:  # fmt: skip
    """`ask` with a router of its own; in the mode "buffered" its wire does not stream."""
    given = dict(tables or {})
    if mode == "buffered":
        given["defaults"] = {**dict(given.get("defaults") or {}), "wire_stream": False}  # type: ignore[call-overload]
    return play(clock, world, lambda router: ask(router, mode, **arguments), seed=seed, **given)


def script(world: World, *acts: Act | tuple[Act, ...]) -> None:
    """Let the models a, b, c … play these acts, each one after the other."""
    for name, act in zip("abcdef", acts, strict=False):
        world.model(name, *(act if isinstance(act, tuple) else (act,)))


def asked(world: World, names: str = "abc") -> list[int]:
    """How many requests each of these models has seen."""
    return [len(world.asked(name)) for name in names]
