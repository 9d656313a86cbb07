"""What every decoder promises about its end: it is closed once, and nothing changes afterwards."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter._errors import BadReply
from tests.helpers import anthropic_fixtures, gemini_fixtures, openai_fixtures
from tests.helpers.decoding import DONE, JSON, SSE, decode, sse, state
from tests.helpers.openai_fixtures import completion, delta

if TYPE_CHECKING:
    from asyncrouter._wire.api import Decoder

STREAMS = {
    "openai": (openai_fixtures.WIRE, sse(delta(content="Hel"), delta("stop", content="lo!"), DONE)),
    "anthropic": (anthropic_fixtures.WIRE, anthropic_fixtures.STREAMS["text"]),
    "gemini": (gemini_fixtures.WIRE, gemini_fixtures.sse(*gemini_fixtures.TEXT)),
}
BODIES = {
    "openai": (openai_fixtures.WIRE, completion(content="Hello!")),
    "anthropic": (anthropic_fixtures.WIRE, anthropic_fixtures.BODIES[0]),
    "gemini": (gemini_fixtures.WIRE, gemini_fixtures.fragment({"text": "Hello!"}, finish="STOP")),
}
CASES = [(wire, SSE, data) for wire, data in STREAMS.values()] + [
    (wire, JSON, orjson.dumps(document)) for wire, document in BODIES.values()
]
IDS = [f"{name} stream" for name in STREAMS] + [f"{name} body" for name in BODIES]


def fed(case: tuple, data: bytes) -> Decoder:
    """A decoder of the case's wire and content type that was fed `data` and is still open."""
    wire, headers, _ = case
    decoder = wire.decoder(headers, {})
    decoder.feed(data)
    return decoder


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_closing_again_changes_nothing(case: tuple) -> None:
    """The engine may close a decoder at the end of the bytes and again at the end of the attempt."""
    decoder = fed(case, case[2])
    assert decoder.close() is None
    before = state(decoder)

    assert decoder.close() is None
    assert state(decoder) == before


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_an_answer_that_was_cut_has_one_error(case: tuple) -> None:
    """Every call of `close()` returns the same object, so what the engine adds to it stays."""
    decoder = fed(case, case[2][: len(case[2]) // 2])
    error = decoder.close()

    assert type(error) is BadReply
    assert decoder.close() is error


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_bytes_after_closing_are_ignored(case: tuple) -> None:
    """Half of an answer stays half of one, even if the other half is fed later."""
    half = len(case[2]) // 2
    decoder = fed(case, case[2][:half])
    error = decoder.close()
    before = state(decoder)
    chunks = []
    decoder.feed(case[2][half:], chunks)

    assert decoder.close() is error
    assert (state(decoder), chunks) == (before, [])


@pytest.mark.parametrize("case", CASES[:3], ids=IDS[:3])
def test_the_reply_of_a_stream_can_be_read_before_it_is_closed(case: tuple) -> None:
    """It says what has come so far, and is the same object every time."""
    data = case[2]
    decoder = fed(case, b"")
    reply, texts = decoder.reply, []
    for at in range(0, len(data), 10):
        decoder.feed(data[at : at + 10])
        assert decoder.reply is reply
        texts.append(reply.text)

    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert len(set(texts)) > 2


@pytest.mark.parametrize("case", CASES[3:], ids=IDS[3:])
def test_a_body_is_read_when_it_is_closed(case: tuple) -> None:
    """Until then the reply is empty and has no content, although all bytes are there."""
    decoder = fed(case, case[2])

    assert (decoder.reply.text, decoder.content) == ("", 0)
    assert decoder.close() is None
    assert (decoder.reply.text, decoder.content) == ("Hello!", 1)


@pytest.mark.parametrize("start", [b"", b"d", b"da", b"\n", b": x", b"["])
@pytest.mark.parametrize("late", [b"{}", b'data: {"choices":[]}\n\n', b"data: [DONE]\n\n", b"[]"])
def test_bytes_after_close_change_nothing_before_the_kind_of_body_is_known(start: bytes, late: bytes) -> None:
    """What comes after `close()` is ignored, also where the first bytes have not said yet what the body is."""
    for headers in (JSON, SSE):
        decoder = decode(openai_fixtures.WIRE, headers, start)
        decoder.close()
        before = state(decoder)

        decoder.feed(late)

        assert state(decoder) == before
