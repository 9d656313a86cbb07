"""What `embed()` takes, and what it refuses before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import Model, Router, Step
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

REFUSED_TEXTS = [
    ([], ValueError, "texts: expected at least one text, got none"),
    ("", ValueError, "texts[0]: expected text, got an empty one, which providers refuse"),
    (["a", ""], ValueError, "texts[1]: expected text, got an empty one, which providers refuse"),
    (None, TypeError, "texts: expected text or a list of texts, got NoneType"),
    (b"a", TypeError, "texts: expected text or a list of texts, got bytes"),
    ({"a": "b"}, TypeError, "texts: expected text or a list of texts, got dict"),
    (3, TypeError, "texts: expected text or a list of texts, got int"),
    (["a", None], TypeError, "texts[1]: expected text, got NoneType"),
    ([1, 2], TypeError, "texts[0]: expected text, got int"),
    ([{"role": "user", "content": "a"}], TypeError, "texts[0]: expected text, got dict"),
    (["a", []], ValueError, "texts[1]: expected text, or tokens (whole numbers), got []"),
    ([[1, -2]], ValueError, "texts[0]: expected text, or tokens (whole numbers), got [1, -2]"),
    ([[1, True]], ValueError, "texts[0]: expected text, or tokens (whole numbers), got [1, True]"),
    (["a", "b\ud800"], ValueError, "texts[1]: not valid Unicode, a lone surrogate at position 1"),
]


async def refused(world: World, texts: object, **arguments: object) -> str:
    """The message with which a call is refused; nothing is sent."""
    config = world.config(tasks={"two": {"models": ["e", "f"]}})
    async with Router(config, transport=world.transport()) as router:
        try:
            await router.embed(texts, **arguments)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            assert world.requests == 0
            return f"{type(error).__name__}: {error}"
    raise AssertionError("not refused")


@pytest.mark.parametrize(("texts", "kind", "message"), REFUSED_TEXTS)
def test_a_wrong_text_is_named(clock: Clock, world: World, texts: object, kind: type, message: str) -> None:
    """Each text that no provider would take is refused by its place, before anything is sent."""
    world.model("e")

    assert clock.run(refused(world, texts, model="e")) == f"{kind.__name__}: {message}"


@pytest.mark.parametrize(("arguments", "message"), [
    ({}, "ConfigError: model: embed() has to name a model: model=, or a task= or chain= of one"),
    ({"chain": ["e", "f"]}, "ConfigError: chain: embed() takes one model, and 'e' and 'f' are two: their vectors "
     "cannot be compared"),
    ({"chain": [Step("e", total=1.0), "sim-gemini:e"]}, "ConfigError: chain: embed() takes one model, and 'e' and "
     "'sim-gemini:e' are two: their vectors cannot be compared"),
    ({"task": "two"}, "ConfigError: chain: embed() takes one model, and 'e' and 'f' are two: their vectors cannot be "
     "compared"),
    ({"model": "sim-anthropic:e"}, "ConfigError: model: provider 'sim-anthropic' (anthropic) has no embeddings"),
    ({"model": ["e", "f"]}, "ConfigError: model: expected the name of one model (several are chain=[…]), got a list"),
    ({"model": "e", "hedge": 1.5}, "TypeError: hedge= cannot be used with embed(); params={'hedge': …} sends it to the "
     "provider"),
    ({"model": "e", "tier": "budget"}, "TypeError: tier= cannot be used with embed(); params={'tier': …} sends it to "
     "the provider"),
    ({"model": "e", "accept": bool}, "TypeError: accept= cannot be used with embed(); params={'accept': …} sends it to "
     "the provider"),
    ({"model": "e", "input": ["b"]}, "TypeError: input= is set by the router; give the texts as the first argument"),
    ({"model": "e", "params": {"input": "b"}}, "TypeError: input= is set by the router; give the texts as the first "
     "argument"),
    ({"model": "e", "deadline": -1.0}, "ConfigError: deadline: expected seconds above 0 (no limit is None, \"none\" in "
     "a file), got -1.0"),
    ({"model": "e", "priority": "low"}, 'ValueError: priority: expected "interactive" or "batch", got \'low\''),
    ({"model": "e", "tags": "a"}, "TypeError: tags: expected a mapping, got str"),
    ({"model": "e", "headers": {"X": "a\nb"}}, None),
    ({"model": "e", "api_key": "sk-1"}, None),
])
def test_a_wrong_argument_is_named(
    clock: Clock, world: World, arguments: dict[str, object], message: str | None
) -> None:
    """Two models, no model, and what belongs to chats are refused before anything is sent."""
    world.model("e")
    world.model("f")
    said = clock.run(refused(world, "a", **arguments))

    assert said == message or (message is None and "sk-1" not in said)


def test_the_model_is_a_keyword(clock: Clock, world: World) -> None:
    """A model as the second argument is a `TypeError` of `Router.embed`, whichever class defines it."""

    async def scenario() -> str:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(TypeError) as caught:
                await router.embed("a", "e")  # type: ignore[misc]
            return str(caught.value)

    assert clock.run(scenario()) == "Router.embed() takes 2 positional arguments but 3 were given"


def test_one_model_in_several_steps_is_one_model(clock: Clock, world: World) -> None:
    """A chain may ask the same model twice, under other clocks, and a task may have the one model."""
    world.model("e", Act(fault="hang"), Act())
    config = world.config(tasks={"vectors": {"models": ["e"]}})

    async def scenario() -> list[int]:
        async with Router(config, transport=world.transport()) as router:
            one = await router.embed("a", chain=[Step("e", total=1.0), "e"])
            two = await router.embed("a", task="vectors")
            three = await router.embed("a", model=Model(provider="sim", id="e"))
            return [one.dimensions, two.dimensions, three.dimensions]

    assert clock.run(scenario()) == [8, 8, 8]


def test_texts_may_come_from_anything_that_is_iterated(clock: Clock, world: World) -> None:
    """A text, a list, a tuple, a generator, or tokens: each is sent as a list."""
    world.model("e")

    async def scenario() -> list[object]:
        async with Router(world.config(), transport=world.transport()) as router:
            for texts in ("a", ["a"], ("a", "b"), (text for text in "ab"), [[1, 2], "a"]):
                await router.embed(texts, model="e")
        return [request.body["input"] for request in world.seen]

    assert clock.run(scenario()) == [["a"], ["a"], ["a", "b"], ["a", "b"], [[1, 2], "a"]]


def test_a_view_gives_embed_its_clocks_and_nothing_else(clock: Clock, world: World) -> None:
    """Deadline, tags and headers of `with_options` hold for `embed()`; its model and parameters are those of chats."""
    world.model("e", Act(fault="hang"))

    async def scenario() -> tuple[float, object, object]:
        async with Router(world.config(), transport=world.transport()) as router:
            view = router.with_options(
                model="chat", deadline=3.0, temperature=0.2, system="Be brief.", tags={"a": "b"}, headers={"X-A": "1"},
            )
            try:
                await view.embed("a", model="e")
            except TimeoutError as error:
                return clock.now, error.trace.tags, dict(world.seen[0].body)  # type: ignore[attr-defined]
        raise AssertionError

    assert clock.run(scenario()) == (3.0, {"a": "b"}, {"model": "e", "input": ["a"]})
    assert world.seen[0].headers["x-a"] == "1"


def test_a_credential_of_the_caller_goes_to_the_one_provider(clock: Clock, world: World) -> None:
    """`headers=` may bring a key of the caller's own, as for chats."""
    world.model("e")

    async def scenario() -> str | None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.embed("a", model="e", headers={"Authorization": "Bearer own"})
        return world.seen[0].key

    assert clock.run(scenario()) == "Bearer own"
