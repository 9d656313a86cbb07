"""The shapes that people have met in the wild: the bytes that an act writes, and what a router makes of them."""

from itertools import product

import pytest

from asyncrouter import BadReply, OutOfCredit, RateLimited, Reply, Unauthorized
from asyncrouter.sim import ODDITIES, WIRES, Act, Clock, World
from tests.helpers.simulated import events
from tests.sim.test_wires import ALLOWED, MODES, ask, first_error, sent

TOOLS = [{"name": name, "arguments": {"at": at}, "id": f"call_{at}"} for name, at in (("look", "sky"), ("see", "sea"))]
MET = ODDITIES[len(ALLOWED) :]


def read(answer: object) -> object:
    """What a caller gets to see of an answer."""
    if not isinstance(answer, Reply):
        return repr(answer)
    calls = [call["function"] for call in answer.tool_calls]
    return answer.reasoning, answer.text, calls, answer.finish_reason, answer.usage


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("oddity", MET)
def test_a_shape_changes_nothing(world: World, clock: Clock, oddity: str, wire: str, mode: str) -> None:
    """Each shape, whole and cut into pieces, leaves the answer what it is without it."""
    text = "Zwö 😀 eyes."
    plain = read(ask(clock, world, Act(reasoning="hm so", text=text, tool_calls=TOOLS), wire, mode))

    for sse in ((oddity,), (oddity, "cuts")):
        act = Act(reasoning="hm so", text=text, tool_calls=TOOLS, sse=sse)  # type: ignore[arg-type]
        assert read(ask(clock, world, act, wire, mode)) == plain


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
@pytest.mark.parametrize("oddity", ["no_ids", "empty_ids"])
def test_calls_without_ids_get_some(world: World, clock: Clock, oddity: str, wire: str, mode: str) -> None:
    """Every tool call of an answer has an id of its own, also where the host sent none."""
    answer = ask(clock, world, Act(tool_calls=TOOLS, sse=(oddity,)), wire, mode)  # type: ignore[arg-type]
    assert isinstance(answer, Reply)
    ids = [call["id"] for call in answer.tool_calls]

    assert len(set(ids)) == len(ids) == 2
    assert all(ids)


@pytest.mark.parametrize("mode", MODES)
def test_calls_at_index_zero_without_ids_are_never_one(world: World, clock: Clock, mode: str) -> None:
    """Two calls that nothing tells apart but their names are two calls, or no answer; never one call of both."""
    answer = ask(clock, world, Act(tool_calls=TOOLS, sse=("calls_at_zero", "no_ids")), "openai", mode)

    if isinstance(answer, Reply) and answer.text != "hi":
        assert [call["function"]["name"] for call in answer.tool_calls] == ["look", "see"]


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, ("chat", "buffered"))])
@pytest.mark.parametrize(
    "act",
    [
        Act(text="one two", fault="interrupted", at=1),
        Act(text="one two", fault="interrupted", at="end"),
        Act(text="one two", fault="thoughts_only"),
        Act(text="one two", fault="thoughts_only", finish_reason="length"),
        Act(text="one two", fault="bad_arguments"),
        Act(fault="bad_arguments", tool_calls=TOOLS),
    ],
    ids=["interrupted", "interrupted at its end", "thoughts", "thoughts and the limit", "arguments", "two arguments"],
)
def test_what_is_no_answer_goes_to_the_next_model(
    world: World, clock: Clock, act: Act, wire: str, mode: str
) -> None:
    """An interruption, thoughts alone and calls that cannot be read are a `BadReply`, and the next model answers."""
    answer = ask(clock, world, act, wire, mode)

    assert isinstance(answer, Reply)
    assert (type(first_error(answer)), answer.text) == (BadReply, "hi")


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_a_word_that_nobody_knows_is_a_reply(world: World, clock: Clock, wire: str, mode: str) -> None:
    """A finish reason that nobody knows is an answer whose finish reason is "other"."""
    answer = ask(clock, world, Act(text="one two", finish_reason="sunset"), wire, mode)

    assert isinstance(answer, Reply)
    assert (answer.text, answer.finish_reason) == ("one two", "other")


@pytest.mark.parametrize(("wire", "mode"), [*product(WIRES, MODES)])
def test_a_picture_is_an_answer(world: World, clock: Clock, wire: str, mode: str) -> None:
    """A picture without a word is an answer on each wire that has pictures; Anthropic's models draw none."""
    answer = ask(clock, world, Act(text="", pictures=1), wire, mode)

    assert isinstance(answer, Reply)
    assert (answer.text == "hi") == (wire == "anthropic")


@pytest.mark.parametrize("style", ["minimax", "zhipu"])
@pytest.mark.parametrize("mode", ["chat", "buffered"])
@pytest.mark.parametrize(
    ("why", "error"),
    [("credit", OutOfCredit), ("rate_limit", RateLimited), ("key", Unauthorized)],
)
def test_numbers_of_minimax_and_zhipu(
    world: World, clock: Clock, style: str, mode: str, why: str, error: type[Exception]
) -> None:
    """A number in a 200 is the error that it means at its host, with the host's words."""
    act = Act(style=style, why=why, fault="error", message="That is it")  # type: ignore[arg-type]
    caught = first_error(ask(clock, world, act, "openai", mode))

    assert type(caught) is error
    assert "That is it" in str(caught)


def test_shapes_are_written(world: World, clock: Clock) -> None:
    """Each shape of Chat Completions changes the bytes as it says."""
    def last(oddity: str, count: int = 1) -> dict[str, object]:
        act = Act(text="hi 😀", tool_calls=TOOLS, sse=(oddity,), style="openrouter")  # type: ignore[arg-type]
        return events(sent(world, clock, act, "openai"))[-count]

    def calls(oddity: str) -> list[dict[str, object]]:
        found = events(sent(world, clock, Act(tool_calls=TOOLS, sse=(oddity,)), "openai"))  # type: ignore[arg-type]
        return [call for event in found for call in event["choices"][0]["delta"].get("tool_calls", [])]

    assert last("whole_message", 2)["choices"][0]["message"]["content"] == "hi 😀"  # type: ignore[index]
    assert last("usage_in_choice")["choices"][0]["usage"]["completion_tokens"] == 6  # type: ignore[index]
    assert (last("blank_envelope", 2)["id"], last("blank_envelope", 2)["model"]) == ("", "")
    assert [call["index"] for call in calls("calls_at_zero")] == [0, 0, 0, 0]
    assert calls("repeated_names")[1] == {"index": 0, "function": {"name": "look", "arguments": '{"at":"sky"}'}}
    assert [call.get("id") for call in calls("empty_ids")] == ["", None, "", None]
    assert [call.get("id") for call in calls("no_ids")] == [None] * 4
    assert calls("placeholder_call")[-1]["function"] == {"name": "", "arguments": ""}
    assert b'\\ud83d"}' in sent(world, clock, Act(text="😀", sse=("surrogates",)), "openai")


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
def test_an_early_end_comes_before_words_and_a_cut(world: World, clock: Clock, wire: str) -> None:
    """The finish reason comes before the last words, which the connection does not outlive."""
    answer = ask(clock, world, Act(text="one two", fault="early_end", at=1), wire)

    assert isinstance(answer, Reply)
    assert answer.text == "hi"


