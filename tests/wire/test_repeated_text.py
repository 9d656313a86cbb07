"""A stream that sends its whole text, or all its thoughts, once more at the end: they stand in the answer once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers import gemini_fixtures as gemini
from tests.helpers.decoding import DONE, SSE
from tests.helpers.openai_fixtures import delta, stream

if TYPE_CHECKING:
    from asyncrouter._types import Chunk

TEXT = "Hello there, this is the whole answer."
PIECES = ["Hello there,", " this is", " the whole answer."]


def read(*deltas: dict[str, object], reader: bool) -> tuple[str, str, str, str]:
    """The text and the reasoning of the reply, and those that a reader of the stream has seen."""
    chunks: list[Chunk] | None = [] if reader else None
    decoder = stream(*deltas, DONE, chunks=chunks)
    assert decoder.close() is None
    reply = decoder.reply
    if chunks is None:
        return reply.text, reply.reasoning, reply.text, reply.reasoning
    return reply.text, reply.reasoning, "".join(one.text for one in chunks), "".join(one.reasoning for one in chunks)


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("pieces", [PIECES, [TEXT]])
@pytest.mark.parametrize("ends", [
    [delta("stop", content=TEXT)],
    [delta(content=TEXT), delta("stop")],
    [delta(content=TEXT), delta("stop", content=""), {"id": "c1", "choices": [], "usage": {"completion_tokens": 9}}],
    [delta("length", content=TEXT, role="assistant")],
])
def test_the_text_stands_once(reader: bool, pieces: list[str], ends: list[dict[str, object]]) -> None:
    """Whether the repetition comes with the finish reason or before it, and whether somebody reads along or not."""
    found = read(*[delta(content=piece) for piece in pieces], *ends, reader=reader)

    assert found == (TEXT, "", TEXT, "")


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("key", ["reasoning", "reasoning_content", "thinking"])
def test_thoughts_stand_once(reader: bool, key: str) -> None:
    """The same of reasoning, under any of its names."""
    thoughts = [delta(**{key: piece}) for piece in (*PIECES, TEXT)]  # type: ignore[arg-type]

    assert read(*thoughts, delta("stop", content="So."), reader=reader) == ("So.", TEXT, "So.", TEXT)


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("pieces", [
    ["ha", "ha"], ["-" * 40, "-" * 40], ["ab " * 12, "ab " * 12],
    [TEXT, TEXT, TEXT], [*PIECES, TEXT, " Really."], ["Row, ", "row, ", "row, "], ["No", "No"],
    ["Hello there. ", "Hello there, you."],
])
def test_what_the_model_says_twice_stands_twice(reader: bool, pieces: list[str]) -> None:
    """Short and monotonous pieces may well be said twice, and other ones are no repetition."""
    text = "".join(pieces)

    assert read(*[delta(content=piece) for piece in pieces], delta("stop"), reader=reader) == (text, "", text, "")


@pytest.mark.parametrize(("pieces", "text"), [(PIECES, TEXT), ([TEXT], TEXT + TEXT)])
@pytest.mark.parametrize("read_early", [False, True])
def test_on_gemini_a_text_of_several_pieces_stands_once(pieces: list[str], text: str, read_early: bool) -> None:
    """Google's pieces are long: a single one that comes twice is said twice, whenever the text is read."""
    decoder = gemini.WIRE.decoder(SSE, {})
    for number, piece in enumerate(pieces):
        assert not read_early or decoder.reply.text == "".join(pieces[:number])
        decoder.feed(gemini.sse(gemini.fragment({"text": piece})))
    assert not read_early or decoder.reply.text == "".join(pieces)
    decoder.feed(gemini.sse(gemini.fragment({"text": TEXT}, finish="STOP")))

    assert decoder.close() is None
    assert decoder.reply.text == text
