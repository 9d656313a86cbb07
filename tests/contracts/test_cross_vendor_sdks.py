"""Contract: each vendor's SDK types accept every turn of a conversation that began at another vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming as AnthropicParams
from google.genai import types as google
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as ChatParams
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming as ResponsesParams
from pydantic import TypeAdapter

from tests.cross_vendor.test_pairs import pairs
from tests.helpers.cross_vendor import converse
from tests.helpers.validated import read_iterators

if TYPE_CHECKING:
    from asyncrouter.sim import Clock

TYPES = {wire: TypeAdapter(params) for wire, params in [
    ("openai", ChatParams), ("responses", ResponsesParams), ("anthropic", AnthropicParams)]}


@pytest.mark.parametrize(("first", "second", "feature"), pairs())
def test_each_turn_is_accepted_by_its_vendors_types(clock: Clock, first: str, second: str, feature: str) -> None:
    """The types know every field of every turn: what comes out of their validation is what went in."""
    for request in converse(clock, first, second, feature, stream=False):
        body: dict[str, Any] = {**request.body}
        if request.wire != "gemini":
            assert read_iterators(TYPES[request.wire].validate_python(body)) == body
            continue
        for content in body.pop("contents"):
            google.Content.model_validate(content)
        google.GenerateContentConfig.model_validate({**body.pop("generationConfig", {}), **body})
