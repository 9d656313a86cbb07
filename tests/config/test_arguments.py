"""The arguments of calls: bad ones are errors before anything is sent, good ones arrive and are never changed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from asyncrouter import Reply, Router, Step
from asyncrouter.sim import Act, Clock, World

MESSAGES = [{"role": "user", "content": "x"}]


def refused(
    clock: Clock, world: World, kind: type[Exception], prompt: object, **asking: object
) -> list[str]:
    """The messages of the errors that `chat()` and `stream()` raise, with nothing sent and nothing left in flight."""
    world.model("a")
    asking = {"model": "a", **asking}
    said = []

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(kind) as caught:
                await router.chat(prompt, **asking)  # type: ignore[arg-type]
            with pytest.raises(kind) as streamed:
                async with router.stream(prompt, **asking):  # type: ignore[arg-type]
                    pass
            assert type(caught.value) is type(streamed.value)
            said.extend([str(caught.value), str(streamed.value)])
            assert "0 calls in flight" in repr(router)

    clock.run(scenario())
    assert not world.seen
    return said


def sent(clock: Clock, world: World, **asking: object) -> dict[str, object]:
    """The body that arrives for these arguments, without what the router writes into every body."""
    world.model("a")

    async def scenario() -> None:
        tasks = {"warm": {"models": ["a"], "params": {"temperature": 0.9, "top_p": 0.8, "seed": 1}}}
        models = {"strict": {"provider": "sim", "id": "a", "drop": ["temperature", "seed"]}}
        config = world.config(tasks=tasks, models=models, defaults={"wire_stream": True})
        async with Router(config, transport=world.transport()) as router:
            await router.chat("x", **asking)  # type: ignore[arg-type]

    clock.run(scenario())
    [seen] = world.seen
    fixed = {"model": "a", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    assert {name: seen.body[name] for name in fixed} == fixed
    return {name: value for name, value in seen.body.items() if name not in fixed}


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "kind", "words"),
    [
        (None, TypeError, "prompt: expected text or a list of messages, got NoneType"),
        (b"x", TypeError, "prompt: expected text or a list of messages, got bytes"),
        (7, TypeError, "prompt: expected text or a list of messages, got int"),
        ({"role": "user", "content": "x"}, TypeError, "prompt: expected text or a list of messages, got dict"),
        (iter(MESSAGES), TypeError, "prompt: expected text or a list of messages, got list_iterator"),
        ([], ValueError, "prompt: expected at least one message, got none"),
        (["x"], TypeError, "messages[0]: expected a dict with a role, got str"),
        ([*MESSAGES, None], TypeError, "messages[1]: expected a dict with a role, got NoneType"),
        ([{}], ValueError, 'messages[0]: expected a "role" that is text, got None'),
        ([*MESSAGES, {"role": 7}], ValueError, 'messages[1]: expected a "role" that is text, got 7'),
    ],
)
def test_messages_are_a_list_of_role_dicts(
    clock: Clock, world: World, prompt: object, kind: type[Exception], words: str
) -> None:
    """Anything else is an error that names it and its place."""
    assert refused(clock, world, kind, prompt) == [words, words]


def test_text_is_one_user_message(clock: Clock, world: World) -> None:
    """Text, also if it is empty, is one message of the user; a list or tuple of messages is sent as it is."""
    world.model("a")
    prompts: list[object] = ["x", "", MESSAGES, tuple(MESSAGES), [{"role": "user", "content": [{"type": "text"}]}]]

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            for prompt in prompts:
                await router.chat(prompt, model="a")  # type: ignore[arg-type]

    clock.run(scenario())
    assert [seen.body["messages"] for seen in world.seen] == [
        MESSAGES, [{"role": "user", "content": ""}], MESSAGES, MESSAGES, prompts[-1],
    ]


# ── what JSON cannot hold ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Point:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "top: JSON has no nan; give a finite number"),
        (float("inf"), "top: JSON has no inf; give a finite number"),
        ({"deep": [1, {"er": float("nan")}]}, "top.deep[1].er: JSON has no nan; give a finite number"),
        (2**64, "top: an integer of 65 bits; at most 64 can be written"),
        (-(2**63) - 1, "top: an integer of 64 bits; at most 64 can be written"),
        ("a\ud800b", "top: not valid Unicode, a lone surrogate at position 1"),
        ({"\ud800": 1}, "top: the key: not valid Unicode, a lone surrogate at position 0"),
        ({1: 2}, "top: a key must be a str, got 1 (int)"),
        (b"x", "top: bytes cannot be written as JSON"),
        ({1, 2}, "top: set cannot be written as JSON"),
        (Point(), "top: Point cannot be written as JSON"),
        (Point, "top: the class Point cannot be written as JSON"),
        (datetime(2026, 1, 1, tzinfo=UTC), "top: datetime cannot be written as JSON"),
    ],
)
def test_a_parameter_that_json_cannot_hold(clock: Clock, world: World, value: object, words: str) -> None:
    """It is a `TypeError` or `ValueError` that names it and its place, as a keyword and in `params`."""
    either = (TypeError, ValueError)

    assert refused(clock, world, either, "x", top=value) == [words, words]  # type: ignore[arg-type]
    assert refused(clock, world, either, "x", params={"top": value}) == [words, words]  # type: ignore[arg-type]


def test_messages_that_json_cannot_hold(clock: Clock, world: World) -> None:
    """A value in a message that JSON cannot hold is an error that names its place."""
    surrogate = "messages[0].content: not valid Unicode, a lone surrogate at position 0"
    nan = "messages[0].content[0].n: JSON has no nan; give a finite number"
    messages = [{"role": "user", "content": [{"n": float("nan")}]}]

    assert refused(clock, world, ValueError, "\udfff") == [surrogate, surrogate]
    assert refused(clock, world, ValueError, messages) == [nan, nan]


def test_a_parameter_that_contains_itself(clock: Clock, world: World) -> None:
    """A list that contains itself is an error."""
    loop: list[object] = []
    loop.append(loop)

    [message, _] = refused(clock, world, (TypeError, ValueError), "x", top=loop)  # type: ignore[arg-type]

    assert message == "top: nested deeper than 254 levels"


def test_a_parameter_that_is_none_is_not_given(clock: Clock, world: World) -> None:
    """It is left out; within a parameter `None` is null, and the largest integers of JSON fit."""
    asking = {"b": 2**64 - 1, "c": -(2**63), "d": [None, {"e": None}]}

    assert sent(clock, world, model="a", a=None, temperature=None, **asking) == asking


# ── names that mean something else ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("timeout", "deadline= (the whole call), or connect=, first_token=, idle= and total= (each attempt)"),
        ("stream", "router.stream(…)"),
        ("stream_options", "nothing: usage is always asked for"),
        ("extra_headers", "headers="),
    ],
)
def test_names_of_other_libraries(clock: Clock, world: World, name: str, instead: str) -> None:
    """A name that other libraries use for an argument is a `TypeError` that says what to use."""
    words = f"{name}= is not a parameter here; use {instead}"

    assert refused(clock, world, TypeError, "x", **{name: None}) == [words, words]


@pytest.mark.parametrize(("name", "meant"), [("dealine", "deadline"), ("taks", "task"), ("acept", "accept")])
def test_a_typo_in_a_name_of_the_router(clock: Clock, world: World, name: str, meant: str) -> None:
    """A name that is one letter away from an argument of the router is a `TypeError` with the name that was meant."""
    words = f"{name}=: did you mean {meant}=? (params={{{name!r}: …}} sends it to the provider)"

    assert refused(clock, world, TypeError, "x", **{name: None}) == [words, words]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("model", "model= or chain="),
        ("messages", "prompt, the first argument"),
        ("stream", "router.stream(…)"),
        ("stream_options", "nothing: usage is always asked for"),
    ],
)
def test_a_parameter_cannot_replace_what_the_wire_writes(
    clock: Clock, world: World, name: str, instead: str
) -> None:
    """A field of the body that the router writes is a `TypeError` in `params`."""
    words = f"params: {name!r} is set by the router; use {instead}"

    assert refused(clock, world, TypeError, "x", params={"temperature": 0.1, name: None}) == [words, words]


def test_priority_is_one_of_two_words(clock: Clock, world: World) -> None:
    """Any other priority is a `ValueError`; the two are not sent to the provider."""
    words = "priority: expected \"interactive\" or \"batch\", got 'urgent'"
    assert refused(clock, world, ValueError, "x", priority="urgent") == [words, words]
    assert sent(clock, world, model="a", priority="batch") == {}


def test_accept_is_a_function(clock: Clock, world: World) -> None:
    """An `accept` that cannot be called is a `TypeError` before anything is sent."""
    world.model("a")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(TypeError, match="accept: expected a function of a reply, got str"):
                await router.chat("x", model="a", accept="yes")  # type: ignore[arg-type]

    clock.run(scenario())
    assert not world.seen


@pytest.mark.parametrize(
    ("headers", "kind", "words"),
    [
        ([("X-A", "b")], TypeError, "headers: expected a mapping, got list"),
        ({"X-A": 7}, TypeError, "headers['X-A']: expected text"),
        ({7: "b"}, TypeError, "headers[7]: expected text"),
        ({"X-A": "b\r\nX-B: c"}, ValueError, "headers['X-A']: expected one line"),
        ({"X-A": "b\n"}, ValueError, "headers['X-A']: expected one line"),
        ({"": "b"}, ValueError, "headers['']: expected a header's name"),
        ({"X:A": "b"}, ValueError, "headers['X:A']: expected a header's name"),
        ({"X A": "b"}, ValueError, "headers['X A']: expected a header's name"),
        ({"X-\u00e4": "b"}, ValueError, "headers['X-ä']: expected a header's name"),
        ({"X-A\n": "b"}, ValueError, "headers['X-A\\n']: expected a header's name"),
        ({"X-A": "\ud800"}, ValueError, "headers['X-A']: expected Latin-1 text without control characters"),
        ({"X-A": "日"}, ValueError, "headers['X-A']: expected Latin-1 text without control characters"),
        ({"X-A": "a\0b"}, ValueError, "headers['X-A']: expected Latin-1 text without control characters"),
        *(({name: "x"}, ValueError, f"headers[{name!r}]: expected a header that the transport does not write itself")
          for name in ("Transfer-Encoding", "content-length", "Connection", "Content-Encoding", "Expect", "TE")),
    ],
)
def test_headers_are_text(
    clock: Clock, world: World, headers: object, kind: type[Exception], words: str
) -> None:
    """A header that cannot be sent, or would be two, is an error with its name and without its value."""
    assert refused(clock, world, kind, "x", headers=headers) == [words, words]


def test_params_is_a_mapping(clock: Clock, world: World) -> None:
    """Any other value for `params` is a `TypeError`."""
    words = "params: expected a mapping, got list"

    assert refused(clock, world, TypeError, "x", params=[("temperature", 1)]) == [words, words]


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_any_parameter_passes_through(clock: Clock, world: World) -> None:
    """A parameter whose name means nothing to the router arrives as it was given."""
    given = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "temperature": 0.2, "provider": {"order": ["x"]},
    }

    assert sent(clock, world, model="a", **given) == given


def test_params_pass_names_that_mean_something_here(clock: Clock, world: World) -> None:
    """`params` sends parameters whose names the router uses for its own arguments."""
    params = {"task": "t", "deadline": 5, "headers": {"a": "b"}}

    assert sent(clock, world, model="a", params=params) == params


def test_the_router_s_own_arguments_are_not_sent(clock: Clock, world: World) -> None:
    """None of them is in the body."""
    body = sent(
        clock, world, chain=["a"], deadline=9, hedge=2.0, retry={"attempts": 1}, accept=bool, priority="batch",
        tags={"k": "v"}, params={}, headers={"X-A": "b"},
    )

    assert body == {}


def test_which_parameter_takes_precedence(clock: Clock, world: World) -> None:
    """From the weakest to the strongest: the task's, those of `params`, keywords, the step's own."""
    assert sent(clock, world, task="warm") == {"temperature": 0.9, "top_p": 0.8, "seed": 1}
    world.seen.clear()
    assert sent(
        clock, world, task="warm", chain=[Step(model="a", params={"seed": 4})],
        params={"temperature": 0.5, "top_p": 0.2}, temperature=0.1, seed=3,
    ) == {"temperature": 0.1, "top_p": 0.2, "seed": 4}


def test_what_a_model_does_not_take_is_dropped(clock: Clock, world: World) -> None:
    """Parameters in the model's `drop` are not sent to it, wherever they come from."""
    body = sent(clock, world, task="warm", chain=[Step(model="strict", params={"seed": 4})], temperature=0.1)

    assert body == {"top_p": 0.8}


def test_no_step_inherits_anothers_parameters(clock: Clock, world: World) -> None:
    """A step's own parameters are not sent to the models after it."""
    world.model("a", Act(status=400))
    world.model("b")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", chain=[Step(model="a", params={"top_k": 1, "seed": 2}), "b"], seed=1)

    clock.run(scenario())
    assert [(seen.body.get("top_k"), seen.body["seed"]) for seen in world.seen] == [(1, 2), (None, 1)]


def test_headers_go_with_every_attempt(clock: Clock, world: World) -> None:
    """The caller's headers are in each request, and replace the provider's of the same name in any case."""
    world.model("a", Act(status=400))
    world.model("b")
    providers = {"sim": {"headers": {"X-Title": "ours", "X-Kept": "yes"}}}

    async def scenario() -> None:
        async with Router(world.config(providers=providers), transport=world.transport()) as router:
            await router.chat("x", chain=["a", "b"], headers={"x-title": "theirs", "X-Trace": "1"})
            await router.chat("x", chain=["b"])

    clock.run(scenario())
    names = ("x-title", "x-kept", "x-trace")
    assert [tuple(seen.headers.get(name) for name in names) for seen in world.seen] == [
        ("theirs", "yes", "1"), ("theirs", "yes", "1"), ("ours", "yes", None),
    ]


def test_the_callers_objects_are_never_changed(clock: Clock, world: World) -> None:
    """Messages, parameters, headers, tags, chains and steps are the same after a call with retry, hedge and accept."""
    world.model("a", Act(status=500), Act(status=400))
    world.model("b", Act(text="no"))
    world.model("c", Act(text="yes", first_token=2.0))
    messages = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    step = Step(model="b", params={"seed": 4})
    given: dict[str, object] = {
        "chain": ["a", step, {"model": "c", "params": {"top_k": 1}}],
        "params": {"stop": ["\n"], "nested": {"a": [1]}},
        "headers": {"X-A": "b"},
        "tags": {"k": "v"},
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "retry": {"attempts": 2},
        "hedge": {"after": 1.0},
    }
    given_before, messages_before = copy.deepcopy(given), copy.deepcopy(messages)

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            await router.chat(messages, accept=lambda reply: reply.text == "yes", **given)  # type: ignore[arg-type]
            async with router.stream(messages, **given) as stream:  # type: ignore[arg-type]
                async for _ in stream:
                    pass

    clock.run(scenario())
    assert given == given_before
    assert messages == messages_before


def test_any_mapping_will_do(clock: Clock, world: World) -> None:
    """Parameters, headers and tags may be any mapping, not only a dict."""
    world.model("a")

    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat(
                "x", model="a", params=MappingProxyType({"seed": 1}), headers=MappingProxyType({"X-A": "b"}),
                tags=MappingProxyType({"k": "v"}),
            )

    assert clock.run(scenario()).trace.tags == {"k": "v"}
    assert (world.seen[0].body["seed"], world.seen[0].headers["x-a"]) == (1, "b")
