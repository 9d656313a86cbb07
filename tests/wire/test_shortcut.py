"""The shortcut for plain completions gives exactly what the builder gives."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter._types import Reply
from asyncrouter._wire.openai.shortcut import write_plain
from tests.helpers.captured import read, rows
from tests.helpers.decoding import JSON, decode
from tests.helpers.openai_fixtures import WIRE

USAGE = {"prompt_tokens": 12, "completion_tokens": 9, "cost": 0.25}
BODIES = [row["capture"] for row in rows("/v1/chat/completions") if row["content-type"] == "application/json"]
ODDITIES = [
    None, True, False, 0, 1, 1.5, "", "error", "LENGTH", "tool_calls", [], ["x"], [{"text": "x"}], {},
    {"error": "busy"}, {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}, {"content": "Hi"},
]
KEYS = {
    "document": ("choices", "model", "usage", "error", "x_groq", "detail", "object", "message"),
    "choice": ("index", "message", "delta", "finish_reason", "native_finish_reason", "logprobs", "error", "text"),
    "message": ("role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls", "function_call", "audio"),
}

PLACES = [(where, key) for where, keys in KEYS.items() for key in keys]


def completion() -> dict[str, dict[str, object]]:
    """A plain completion, as its three objects."""
    message: dict[str, object] = {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []}
    choice: dict[str, object] = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    document: dict[str, object] = {"id": "1", "model": "served", "choices": [choice], "usage": dict(USAGE)}
    return {"document": document, "choice": choice, "message": message}


def changed(changes: list[tuple[tuple[str, str], object]]) -> bytes:
    """A plain completion's body with some of its fields changed."""
    objects = completion()
    for (where, key), value in changes:
        objects[where][key] = value
    return orjson.dumps(objects["document"])


def outcome(body: bytes) -> tuple[object, ...]:
    """Everything that a decoder says about a body."""
    decoder = decode(WIRE, JSON, body)
    error = decoder.close()
    verdict = None if error is None else (type(error), error.message, error.code, error.status)
    return verdict, decoder.content, decoder.cost_usd, decoder.reply, decoder.reply.raw, decoder.final()


def both_ways(body: bytes) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """The outcome of a body with the shortcut, and with the builder alone."""
    with pytest.MonkeyPatch.context() as patch:
        shortcut = outcome(body)
        patch.setattr(WIRE, "_shortcut", None)
        return shortcut, outcome(body)


@pytest.mark.parametrize("name", BODIES)
def test_captures_come_out_the_same_both_ways(name: str) -> None:
    """A recorded JSON body gives the same reply, or the same error."""
    shortcut, builder = both_ways(read(name)[2])

    assert shortcut == builder


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_an_oddity_comes_out_the_same_both_ways(place: tuple[str, str]) -> None:
    """Whatever value a field has, both ways agree."""
    for value in ODDITIES:
        shortcut, builder = both_ways(changed([(place, value)]))

        assert shortcut == builder


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODDITIES)), min_size=2, max_size=5))
def test_oddities_come_out_the_same_both_ways(changes: list[tuple[tuple[str, str], object]]) -> None:
    """Both ways agree on several odd values at once."""
    shortcut, builder = both_ways(changed(changes))

    assert shortcut == builder


def test_the_most_common_completion_takes_the_shortcut() -> None:
    """Otherwise it would be there for nothing."""
    reply = Reply()

    assert write_plain(completion()["document"], reply)
    assert (reply.text, reply.finish_reason, reply.served_model) == ("Hello", "stop", "served")


def test_the_shortcut_leaves_other_replies_alone() -> None:
    """A completion with reasoning is left to the builder, and nothing of it has been written."""
    objects, reply = completion(), Reply()
    objects["message"]["reasoning"] = "Let me think."

    assert not write_plain(objects["document"], reply)
    assert reply == Reply()
