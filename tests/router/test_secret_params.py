"""A credential among the parameters for a provider, such as a key of one's own at a relay: sent, and shown nowhere."""

from __future__ import annotations

import pickle
import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import AllModelsFailed, Chain, Config, Event, Provider, Router, Step
from asyncrouter._config.secret_names import secret_texts, without_secrets
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

SECRET = "hunter22-of-the-relay"
PLACES: list[dict[str, Any]] = [
    {"provider": {"api_key": SECRET}},
    {"provider": {"byok": [{"apiKey": SECRET}]}},
    {"provider": {"credentials": [SECRET]}},
    {"extra": {"headers": {"Authorization": f"Bearer {SECRET}"}}},
    {"tools": [{"type": "mcp", "server_url": "https://x.test", "authorization": SECRET}]},
    {"plugins": [{"id": "web", "key": SECRET}]},
    {"metadata": {"access_token": SECRET}},
]


@pytest.mark.parametrize("params", PLACES)
@pytest.mark.parametrize("how", ["params", "keywords", "by provider", "of a step", "of a task", "stream", "embed"])
def test_a_provider_that_quotes_it_is_masked(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, params: dict[str, Any], how: str
) -> None:
    """It is in no message, trace, event, log line, pickle or frame of ours, wherever it stood and however it came."""
    world.model("a", Act(status=400, message=f"not a valid key: {SECRET}"))
    events: list[Event] = []
    task = {"models": ["a"], **({"params": params} if how == "of a task" else {})}

    async def scenario() -> AllModelsFailed:
        router = Router(world.config(tasks={"t": task}), transport=world.transport(), listeners=[events.append])
        async with router:
            with pytest.raises(AllModelsFailed) as caught:
                match how:
                    case "keywords":
                        await router.chat("x", model="a", **params)
                    case "by provider":
                        await router.chat("x", model="a", params={"sim": params})
                    case "of a step":
                        await router.chat("x", chain=[Step("a", params=params)])
                    case "of a task":
                        await router.chat("x", task="t")
                    case "stream":
                        async with router.stream("x", model="a", params=params):
                            pass
                    case "embed":
                        await router.embed(["x"], model="a", params=params)
                    case _:
                        await router.chat("x", model="a", params=params)
            return caught.value

    error = clock.run(scenario())
    shown = [str(error), repr(error), str(error.trace), repr(error.trace), repr(error.errors), repr(events)]
    shown += [caplog.text, pickle.dumps(error).decode("latin-1"), *frames_of(error)]
    assert SECRET in str(world.seen[0].body)
    assert "not a valid key: ***" in str(error)
    assert [text for text in shown if SECRET in text] == []


def frames_of(error: BaseException) -> list[str]:
    """The local variables of our frames in a traceback, as error trackers print them."""
    stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    ours = [frame for frame in stack if re.search(r"[\\/]asyncrouter[\\/]_", frame.filename)]
    return [str(frame.locals) for frame in ours]


@pytest.mark.parametrize("params", PLACES)
def test_a_configuration_does_not_show_it(params: dict[str, Any]) -> None:
    """The `repr` of a step, a chain and a configuration has *** in its place."""
    step = Step("a", params=params)
    chain = Chain([step], params=params)
    config = Config(default_provider="p", providers={"p": Provider(base_url="http://h.test")}, tasks={"t": chain})

    assert [repr(one).count(SECRET) for one in (step, chain, config)] == [0, 0, 0]
    assert "***" in repr(step)
    assert step.params == params


def test_what_is_no_credential_is_shown() -> None:
    """Schemas with a property of such a name, short words and ordinary parameters are left as they are."""
    schema = {"properties": {"token": {"type": "string", "description": "a word"}}, "required": ["token"]}
    tools = [{"function": {"name": "f", "parameters": schema}}]
    params = {"temperature": 0.2, "tools": tools, "prompt_cache_key": SECRET}

    assert without_secrets(params) == params
    assert secret_texts(params) == []
    assert secret_texts({"provider": {"key": "short"}}) == []


def test_parameters_that_contain_themselves_come_to_an_end() -> None:
    """Each container is looked through once, and what is shown of one within itself is "…"."""
    loop: dict[str, Any] = {"api_key": [SECRET], "n": 1}
    loop["again"] = [loop]

    assert secret_texts(loop) == [SECRET]
    assert without_secrets(loop) == {"api_key": ["***"], "n": 1, "again": ["…"]}
