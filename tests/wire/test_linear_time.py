"""Joining pieces takes time in proportion to their length, not to the square of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter._config.catalog import Provider
from asyncrouter._wire.anthropic.wire import Anthropic
from asyncrouter._wire.openai.wire import OpenAI

if TYPE_CHECKING:
    from collections.abc import Callable

Events = list[dict[str, object]]
OPENAI = OpenAI(Provider(base_url="https://a.test/v1"), wall=lambda: 0.0)
ANTHROPIC = Anthropic(Provider(base_url="https://a.test/v1", wire="anthropic"), wall=lambda: 0.0)


def calls(*deltas: dict[str, object]) -> Events:
    return [{"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]} for delta in deltas]


def calls_by_id(count: int) -> Events:
    return calls(*({"id": f"c{number}", "function": {"name": "f"}} for number in range(count)))


def a_name(count: int) -> Events:
    return calls({"index": 0, "function": {"name": "n" * 300}}) * count


def an_input(count: int) -> Events:
    return calls({"index": 0, "type": "custom", "custom": {"name": "f", "input": "i" * 500}}) * count


def citations(count: int) -> Events:
    cited = {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return [{"type": "message_start", "message": {"type": "message", "content": []}}, block, *[cited] * count]


def seconds(wire: OpenAI | Anthropic, events: Events) -> float:
    """CPU seconds to decode these events, the least of two tries: a slow moment of the machine is not the code's."""
    written = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    spent = []
    for _ in range(2):
        decoder = wire.decoder({"content-type": "text/event-stream"}, {})
        began = time.process_time()
        decoder.feed(written)
        spent.append(time.process_time() - began)
    return min(spent)


@pytest.mark.parametrize(
    ("wire", "events"),
    [(OPENAI, calls_by_id), (OPENAI, a_name), (OPENAI, an_input), (ANTHROPIC, citations)],
)
def test_the_time_is_linear_in_the_pieces(wire: OpenAI | Anthropic, events: Callable[[int], Events]) -> None:
    """Eight times the pieces take about eight times as long; with quadratic work it would be fifty."""
    assert seconds(wire, events(16_000)) < 20 * seconds(wire, events(2_000))
