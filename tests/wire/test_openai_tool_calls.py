"""Tool calls of the OpenAI wire, however a host numbers and cuts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.decoding import DONE
from tests.helpers.openai_fixtures import body, completion, delta, stream

if TYPE_CHECKING:
    from asyncrouter._types import Chunk

CALL = {"id": "x", "function": {"name": "f", "arguments": "{}"}}


def test_parallel_tool_calls_are_joined_by_index() -> None:
    """The arguments of two calls may come interleaved."""
    chunks: list[Chunk] = []
    deltas = [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x"'}}, {"index": 1, "function": {"arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
    ]
    decoder = stream(*(delta(tool_calls=calls) for calls in deltas), delta("tool_calls"), DONE, chunks=chunks)
    expected = (
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    )

    assert (decoder.close(), decoder.reply.finish_reason) == (None, "tool_calls")
    assert decoder.reply.tool_calls == expected
    assert decoder.reply.raw["choices"][0]["message"]["tool_calls"] == list(expected)
    assert [chunk.tool_calls for chunk in chunks] == [tuple(calls) for calls in deltas]


@pytest.mark.parametrize(
    "deltas",
    [
        # no index: by id; what has no id continues the last call
        [{"id": "a", "function": {"name": "f", "arguments": "1"}}, {"id": "b", "function": {"name": "g"}},
         {"function": {"arguments": "3"}}, {"id": "a", "function": {"arguments": "2"}}],
        # neither index nor id but names
        [{"function": {"name": "f", "arguments": "12"}}, {"function": {"name": "g", "arguments": "3"}}],
        # index 0 for all
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "12"}},
         {"index": 0, "id": "b", "function": {"name": "g", "arguments": "3"}}],
        # the beginning repeated with every piece
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}},
         {"index": 0, "id": "a", "function": {"name": "f", "arguments": "2"}},
         {"index": 1, "function": {"name": "g", "arguments": "3"}}],
        # the index alone
        [{"index": 0, "function": {"name": "f", "arguments": "12"}},
         {"index": 1, "function": {"name": "g", "arguments": "3"}}],
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_tool_calls_without_proper_numbers(deltas: list[dict[str, object]], together: bool) -> None:
    """A host may number its calls badly, in one chunk or in several: the same two calls come out."""
    groups = [deltas] if together else [[one] for one in deltas]
    calls = stream(*(delta(tool_calls=group) for group in groups), delta("tool_calls"), DONE).reply.tool_calls

    assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == [("f", "12"), ("g", "3")]


@pytest.mark.parametrize("beginning", [
    {}, {"type": "function"}, {"id": "a"}, {"id": "a", "type": "function"},
])
@pytest.mark.parametrize("pieces", [
    ["re", "read", "read_file"], ["read", "read", "read_file", "read_file"], ["read", "_file"], ["read_file"],
])
def test_a_name_that_grows_stands_once(beginning: dict[str, object], pieces: list[str]) -> None:
    """Each delta may bring the next piece of the name, or all of it so far; a reader of the stream gets each once."""
    is_cumulative = pieces[-1] == "read_file"
    deltas = [
        {"index": 0, **(beginning if is_cumulative or not at else {}), "function": {"name": piece, "arguments": ""}}
        for at, piece in enumerate(pieces)
    ]
    deltas += [
        {"index": 0, "function": {"arguments": '{"path"'}}, {"index": 0, "function": {"arguments": ':"x"}'}},
        {"index": 1, "id": "b", "function": {"name": "read", "arguments": "{}"}},
    ]
    chunks: list[Chunk] = []
    decoder = stream(*(delta(tool_calls=[one]) for one in deltas), delta("tool_calls"), DONE, chunks=chunks)
    seen = [call for chunk in chunks for call in chunk.tool_calls]

    assert decoder.close() is None
    assert [call["function"] for call in decoder.reply.tool_calls] == [
        {"name": "read_file", "arguments": '{"path":"x"}'}, {"name": "read", "arguments": "{}"},
    ]
    assert "".join(call["function"].get("name", "") for call in seen if call["index"] == 0) == "read_file"


def test_arguments_in_a_body_may_be_an_object() -> None:
    """Ollama sends an object; a reader always finds text."""
    call = {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}
    reply = body(completion("tool_calls", tool_calls=[call])).reply

    assert reply.tool_calls[0]["function"]["arguments"] == '{"x":1}'


def test_arguments_in_a_stream_may_be_an_object() -> None:
    """The reply and the chunk have text."""
    chunks: list[Chunk] = []
    call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}
    decoder = stream(delta(tool_calls=[call]), delta("stop"), DONE, chunks=chunks)

    assert decoder.reply.tool_calls[0]["function"]["arguments"] == '{"a":1}'
    assert chunks[0].tool_calls[0]["function"]["arguments"] == '{"a":1}'


def test_tool_arguments_cut_by_length_are_a_reply() -> None:
    """The finish reason says that they are cut, and the caller decides."""
    decoder = stream(delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": '{"x'}}]), delta("length"))

    assert (decoder.close(), decoder.reply.finish_reason) == (None, "length")


def test_a_tool_call_without_a_name_fails_the_answer() -> None:
    """Nobody could carry it out."""
    error = stream(delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]), delta("tool_calls"), DONE).close()

    assert error.message == "a tool call without a tool's name"


def test_arguments_nested_too_deep_fail_the_answer() -> None:
    """They can be read, but not written as the text that a tool call has."""
    deep = b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":%b}}]}}]}'
    decoder = stream(deep % (b'{"a":' * 300 + b"1" + b"}" * 300), delta("stop"), DONE)

    assert decoder.close().message == "malformed: a tool call"


def test_two_calls_of_a_body_with_one_id_are_two() -> None:
    """In a body each entry of the list is a call."""
    assert len(body(completion("tool_calls", tool_calls=[CALL, CALL])).reply.tool_calls) == 2


def test_a_custom_tool_call_is_joined() -> None:
    """The input of OpenAI's custom tools is text, in one piece or in several."""
    call = {"id": "x", "type": "custom", "custom": {"name": "python", "input": "print(1)"}}
    first = {"index": 0, "id": "x", "type": "custom", "custom": {"name": "python", "input": "print"}}
    pieces = [first, {"index": 0, "custom": {"input": "(1)"}}]
    decoder = stream(*(delta(tool_calls=[piece]) for piece in pieces), delta("tool_calls"), DONE)

    assert (decoder.close(), decoder.content) == (None, 2)
    buffered = body(completion("tool_calls", tool_calls=[call]))
    assert decoder.reply.tool_calls == buffered.reply.tool_calls == (call,)
