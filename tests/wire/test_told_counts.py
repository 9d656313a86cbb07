"""Counts that come more than once, or in the odd fields of one host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers import anthropic_fixtures, gemini_fixtures
from tests.helpers.openai_fixtures import delta, stream

if TYPE_CHECKING:
    from asyncrouter import Usage

FULL = {"prompt_tokens": 5, "completion_tokens": 3}


def both(usage: Usage | None) -> tuple[int, int] | None:
    """Tokens of input and of output."""
    return None if usage is None else (usage.input_tokens, usage.output_tokens)


@pytest.mark.parametrize(("first", "last"), [
    (FULL, {}), (FULL, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
    ({"prompt_tokens": 5, "completion_tokens": 0}, {"prompt_tokens": None, "completion_tokens": 3}),
    ({"prompt_tokens": 5}, {"completion_tokens": 3}), ({"prompt_tokens": 5, "completion_tokens": 1}, FULL), ({}, FULL),
])
def test_a_last_chunk_that_counts_nothing(first: dict[str, object], last: dict[str, object]) -> None:
    """What has been counted stands, and each count is the last one that says anything."""
    decoder = stream({**delta(content="Hi"), "usage": first}, {**delta("stop"), "usage": last})

    assert both(decoder.reply.usage) == (5, 3)


def test_the_same_of_a_choice() -> None:
    """Moonshot counts there, after an empty count beside the choices."""
    chunk = delta("stop")
    chunk["choices"][0]["usage"] = FULL  # type: ignore[index]

    assert both(stream({**delta(content="Hi"), "usage": {}}, chunk).reply.usage) == (5, 3)


@pytest.mark.parametrize(("begun", "end"), [
    ({"input_tokens": 5}, {"input_tokens": 0, "output_tokens": 3}), ({"input_tokens": 5}, {"output_tokens": 3}),
    ({"input_tokens": 0}, {"input_tokens": 5, "output_tokens": 3}),
])
def test_the_same_of_claude(begun: dict[str, object], end: dict[str, object]) -> None:
    """Compatible hosts count the input either at the beginning or at the end, and 0 at the other."""
    events = [anthropic_fixtures.message_start(**begun), *anthropic_fixtures.text_block(0, "Hi"),
              anthropic_fixtures.message_delta("end_turn", end), anthropic_fixtures.MESSAGE_STOP]

    assert both(anthropic_fixtures.stream(*events).reply.usage) == (5, 3)


def test_the_same_of_gemini() -> None:
    """A last fragment that counts the prompt alone."""
    fragments = [gemini_fixtures.fragment({"text": "Hi"}, usage={"promptTokenCount": 5, "candidatesTokenCount": 3}),
                 gemini_fixtures.fragment({"text": ""}, finish="STOP", usage={"promptTokenCount": 5})]

    assert both(gemini_fixtures.stream(*fragments).reply.usage) == (5, 3)


@pytest.mark.parametrize("name", ["cached_tokens", "prompt_cache_hit_tokens"])
def test_cached_tokens_beside_the_other_counts(name: str) -> None:
    """Moonshot and DeepSeek count them there."""
    usage = stream({**delta("stop", content="Hi"), "usage": {**FULL, name: 4}}).reply.usage

    assert usage is not None
    assert usage.cached_tokens == 4
