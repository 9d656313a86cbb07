"""A gateway asks its upstream again in the middle of an answer, and sends the new one after the half old one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import BadReply
from asyncrouter._config.catalog import Provider
from asyncrouter._wire.registry import wire_for
from tests.helpers.decoding import DONE, SSE, decode, sse
from tests.helpers.openai_fixtures import stream

if TYPE_CHECKING:
    from asyncrouter import AttemptError
    from asyncrouter._types import Chunk

END = {"id": "b", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def chunk(identifier: str, **delta: object) -> dict[str, object]:
    """A chunk of Chat Completions under this id."""
    return {"id": identifier, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def fault_of(wire: str, *documents: dict[str, Any]) -> AttemptError | None:
    """The error of a stream of these events."""
    made = wire_for(Provider(name="p", base_url="http://127.0.0.1/v1", wire=wire), lambda: 0.0)  # type: ignore[arg-type]
    return decode(made, SSE, sse(*documents)).close()


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("half", [
    [{"content": "Hello "}, {"content": "wor"}],
    [{"reasoning": "Let me "}, {"reasoning": "think"}],
    [{"content": "I"}, {"tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{"}}]}],
])
@pytest.mark.parametrize("begins", [
    [{"role": "assistant", "content": ""}], [{"role": "assistant", "content": "Hello"}],
])
def test_two_answers_are_no_answer(
    reader: bool, half: list[dict[str, object]], begins: list[dict[str, object]]
) -> None:
    """Half an answer, and a whole one under another id: they are never joined, however the second one begins."""
    chunks: list[Chunk] | None = [] if reader else None
    first = [chunk("a", role="assistant", content=""), *(chunk("a", **delta) for delta in half)]
    second = [*(chunk("b", **delta) for delta in begins), chunk("b", content=" world")]
    error = stream(*first, *second, END, DONE, chunks=chunks).close()

    assert isinstance(error, BadReply)
    assert error.message == "malformed: a second answer, under another id, after half of the first"
    assert "world" not in "".join(one.text for one in chunks or ())


@pytest.mark.parametrize("documents", [
    # an id for each chunk, which says its role each time
    [chunk(str(number), role="assistant", content=text) for number, text in enumerate(["Hello", " w", "or", "ld"])],
    # another one from the second chunk on, or only in the last ones
    [chunk("", role="assistant", content=""), *(chunk("b", content=text) for text in ("Hello", " world"))],
    [chunk("a", role="assistant", content=""), *(chunk(name, content=text) for name, text in (
        ("a", "Hello"), ("a", " wor"), ("b", "ld"),
    ))],
    # no id but in the first chunk
    [chunk("a", role="assistant", content="Hello"), chunk("", role="assistant", content=" wor"),
     chunk("", role="assistant", content="ld")],
])
def test_other_ids_say_nothing(documents: list[dict[str, object]]) -> None:
    """Hosts that give each chunk an id, or the last one another, send one answer."""
    decoder = stream(*documents, END, DONE)

    assert (decoder.close(), decoder.reply.text) == (None, "Hello world")


def test_a_message_after_the_end_of_another_one_goes_on() -> None:
    """Agents that stream several messages, each with an end, are read as before."""
    ended = {"id": "a", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    first = [chunk("a", role="assistant", content="One"), chunk("a", content=" two"), ended]
    decoder = stream(*first, chunk("b", role="assistant", content=" three"), chunk("b", content=" four"), END, DONE)

    assert (decoder.close(), decoder.reply.text) == (None, "One two three four")


@pytest.mark.parametrize("index", [0, 1])
def test_a_second_message_of_anthropics(index: int) -> None:
    """A message that begins in the middle of another one is no part of it, wherever its blocks are numbered."""

    def begin(identifier: str) -> dict[str, object]:
        message = {"id": identifier, "type": "message", "role": "assistant", "model": "m", "content": []}
        return {"type": "message_start", "message": message}

    def block(at: int, *texts: str) -> list[dict[str, object]]:
        start = {"type": "content_block_start", "index": at, "content_block": {"type": "text", "text": ""}}
        return [start, *(
            {"type": "content_block_delta", "index": at, "delta": {"type": "text_delta", "text": text}}
            for text in texts
        )]

    error = fault_of(
        "anthropic", begin("a"), *block(0, "Hello ", "wor"), begin("b"), *block(index, "Hello ", "world"),
        {"type": "content_block_stop", "index": index},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )

    assert isinstance(error, BadReply)
    assert error.message == "something was lost on the way: the end of a first message, before a second one"


@pytest.mark.parametrize(("ids", "is_one"), [
    (["a", "a", "b", "b"], False), (["a", "b", "c", "d"], True), (["a", "a", "a", "a"], True),
    (["", "", "b", "b"], True),
])
def test_a_second_response_of_googles(ids: list[str], is_one: bool) -> None:
    """All fragments of an answer have one `responseId`, where a gateway does not make one up for each."""
    fragments = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0,
                         **({"finishReason": "STOP"} if text == "ld" else {})}],
         **({"responseId": identifier} if identifier else {})}
        for identifier, text in zip(ids, ["Hel", "lo ", "wor", "ld"], strict=True)
    ]

    assert (fault_of("gemini", *fragments) is None) == is_one
