"""Streams that say their text again, at the end or in each piece: it stands in the answer once, and so do thoughts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from asyncrouter import BadReply
from tests.helpers import gemini_fixtures as gemini
from tests.helpers.decoding import DONE, SSE, decode
from tests.helpers.openai_fixtures import delta, stream

if TYPE_CHECKING:
    from asyncrouter._types import Chunk

TEXT = "Hello there, this is the whole answer."
THOUGHTS = "Let me think first."
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
@pytest.mark.parametrize("names", [("content", "reasoning_content"), ("reasoning_content", "content")])
def test_text_and_thoughts_in_one_repetition(reader: bool, names: tuple[str, str]) -> None:
    """The last chunk repeats both, in either order."""
    whole = {"content": TEXT, "reasoning_content": THOUGHTS}
    deltas = [delta(reasoning_content=THOUGHTS), *(delta(content=piece) for piece in PIECES)]
    last = delta("stop", **{name: whole[name] for name in names})  # type: ignore[arg-type]

    assert read(*deltas, last, reader=reader) == (TEXT, THOUGHTS, TEXT, THOUGHTS)


def grown(text: str, *lengths: int) -> list[str]:
    """Pieces of which each is all of the text so far."""
    return [text[:length] for length in lengths]


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("pieces", [
    grown(TEXT, 5, 11, 12, 30, 38), grown(TEXT, 1, 2, 3, 4, 5, 38), grown(TEXT, 5, 11, 38, 38),
    grown("Yes.", 1, 2, 3, 4), grown(TEXT * 9, 20, 40, 300, 342), grown("ha, haha, yes", 2, 4, 6, 13),
])
@pytest.mark.parametrize("ends", [[delta("stop")], [delta("stop", content="")], [DONE]])
def test_pieces_that_are_all_of_the_text_so_far(reader: bool, pieces: list[str], ends: list[dict[str, object]]) -> None:
    """Of cumulative pieces each brings only what is new in it, from the third one on at the latest."""
    found = read(*[delta(content=piece) for piece in pieces], *ends, reader=reader)

    assert found == (pieces[-1], "", pieces[-1], "")


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("place", ["delta", "message"])
def test_cumulative_thoughts_and_text(reader: bool, place: str) -> None:
    """Thoughts, then text, each of them cumulative; the host may call the pieces messages."""
    fields = [{"reasoning": piece} for piece in grown(THOUGHTS, 4, 8, 19)] + [
        {"reasoning": THOUGHTS, "content": piece} for piece in grown(TEXT, 5, 11, 38)
    ]
    chunks = [{"id": "c", "choices": [{"index": 0, place: each, "finish_reason": None}]} for each in fields]

    assert read(*chunks, delta("stop"), reader=reader) == (TEXT, THOUGHTS, TEXT, THOUGHTS)


@pytest.mark.parametrize("reader", [False, True])
def test_cumulative_pieces_of_the_second_choice(reader: bool) -> None:
    """Each choice is looked at by itself."""
    chunks = [delta(index=1, content=piece) for piece in grown(TEXT, 5, 11, 38)]
    decoder = stream(delta(content="One"), *chunks, delta("stop"), delta("stop", index=1), DONE, params={"n": 2})

    assert decoder.close() is None
    choices = decoder.reply.raw["choices"]
    assert isinstance(choices, list)
    assert [one["message"]["content"] for one in choices] == ["One", TEXT]


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("other", ["Good-bye", "Hello", TEXT.upper()])
def test_a_piece_that_contradicts_a_cumulative_text(reader: bool, other: str) -> None:
    """A text that is said otherwise than before, or shrinks, is no answer."""
    chunks: list[Chunk] | None = [] if reader else None
    pieces = [*grown(TEXT, 5, 11, 30), other]
    error = stream(*[delta(content=piece) for piece in pieces], delta("stop"), chunks=chunks).close()

    assert isinstance(error, BadReply)
    assert error.message == "malformed: a text that contradicts what came before it"


def test_the_end_of_two_pieces_decides() -> None:
    """The second of two such pieces is new text; without an end nobody knows what it would have become."""
    pieces = [delta(content="Hello"), delta(content="Hello there")]
    error = stream(*pieces, DONE).close()

    assert isinstance(error, BadReply)
    assert error.message == "truncated: the end of a text has not come"


def test_text_that_was_held_back_takes_the_end_back() -> None:
    """A finish reason before the last piece is no end, also where it cannot be known what the piece is."""
    error = stream(delta("stop", content="Hello"), delta(content="Hello there")).close()

    assert isinstance(error, BadReply)
    assert error.message == "truncated: neither a finish reason nor [DONE] has come"


def test_many_long_pieces_take_linear_time() -> None:
    """Pieces that begin like the first one are not joined each time to see whether one is all of them."""
    pieces = 40_000
    begun = time.process_time()
    decoder = stream(*[delta(content="a" + 40 * "x")] * pieces, delta("stop"))
    spent = time.process_time() - begun

    assert (len(decoder.reply.text), spent < 2.0) == (41 * pieces, True)


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("pieces", [
    ["ha", "ha"], ["-" * 40, "-" * 40], ["ab " * 12, "ab " * 12],
    [TEXT, TEXT, TEXT], [*PIECES, TEXT, " Really."], ["Row, ", "row, ", "row, "], ["No", "No"],
    ["Hello there. ", "Hello there, you."], ["ha", "haha"], ["I", "It is"], ["1", "10", "1"], ["No", "Non", "o"],
    ["ha", "haha", "hahaha", "hahahaha"], ["=", "==", "==="], ["a", "ab", "b", "abc"], ["x = ", "x = 1\n", "y = 2"],
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


def test_cumulative_fragments_of_googles() -> None:
    """A relay that sends all of the text in each fragment: thoughts and text stand once."""
    thoughts = [gemini.fragment({"text": piece, "thought": True}) for piece in grown(THOUGHTS, 4, 8, 19)]
    texts = [gemini.fragment({"text": piece}) for piece in grown(TEXT, 5, 11, 38)]
    decoder = decode(gemini.WIRE, SSE, gemini.sse(*thoughts, *texts, gemini.fragment(finish="STOP")))

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.reasoning) == (TEXT, THOUGHTS)
