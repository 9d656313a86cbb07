"""What sets the price of an answer, read on every wire: cache writes, their hour, and the service tier."""

from __future__ import annotations

import pytest

from asyncrouter import Usage
from asyncrouter._wire.anthropic.usage import read_counts
from asyncrouter._wire.gemini.usage import write_counts
from asyncrouter._wire.openai.usage import read_usage as read_chat
from asyncrouter._wire.responses.usage import read_usage as read_responses

CHAT = {"prompt_tokens": 100, "completion_tokens": 10}
RESPONSES = {"input_tokens": 100, "output_tokens": 10}


@pytest.mark.parametrize(
    ("usage", "tier", "read"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30}}, None, Usage(100, 10, 20, 0, 30)),
        # LiteLLM's proxy in front of Anthropic
        ({"prompt_tokens_details": {"cache_creation_tokens": 30,
                                    "cache_creation_token_details": {"ephemeral_1h_input_tokens": 25}}},
         None, Usage(100, 10, 0, 0, 30, 25)),
        ({"cache_creation_input_tokens": 30}, None, Usage(100, 10, 0, 0, 30)),
        # Alibaba
        ({"prompt_tokens_details": {"cached_tokens": 20, "cache_creation_input_tokens": 30,
                                    "cache_creation": {"ephemeral_5m_input_tokens": 30}}}, None,
         Usage(100, 10, 20, 0, 30)),
        ({}, "flex", Usage(100, 10, service_tier="flex")),
        ({}, "Priority", Usage(100, 10, service_tier="priority")),
        ({}, "default", Usage(100, 10)),
        ({}, "on_demand", Usage(100, 10)),
        ({}, 7, Usage(100, 10)),
        ({"cost": 0.5, "is_byok": True}, "flex", Usage(100, 10, service_tier="byok")),
        ({"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}}, None, Usage(100, 10)),
    ],
)
def test_chat_completions(usage: dict[str, object], tier: object, read: Usage) -> None:
    """OpenAI's and OpenRouter's fields, and what relays write."""
    assert read_chat({**CHAT, **usage}, tier) == read


@pytest.mark.parametrize(("caches", "read"), [
    ({}, Usage(100, 10)), ({"input_tokens_details": {"cached_tokens": 20}}, Usage(100, 10, 20)),
    ({"cache_read_input_tokens": 20}, Usage(120, 10, 20)),
    ({"cache_read_input_tokens": 20, "cache_creation_input_tokens": 30}, Usage(150, 10, 20, 0, 30)),
    ({"cache_read_input_tokens": 0, "cache_creation_input_tokens": 30}, Usage(130, 10, 0, 0, 30)),
])
def test_counts_of_other_apis_in_chat_completions(caches: dict[str, object], read: Usage) -> None:
    """Relays pass them on under their own names; Anthropic's input is without what its cache has."""
    assert read_chat({"input_tokens": 100, "output_tokens": 10, **caches}) == read


@pytest.mark.parametrize(
    ("usage", "tier", "read"),
    [
        ({"input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30}}, "default",
         Usage(100, 10, 20, 0, 30)),
        ({}, "ultrafast", Usage(100, 10, service_tier="ultrafast")),
        ({"cost": 0.5, "is_byok": True}, None, Usage(100, 10, service_tier="byok")),
    ],
)
def test_responses(usage: dict[str, object], tier: object, read: Usage) -> None:
    """The Responses API has the same under other names."""
    assert read_responses({**RESPONSES, **usage}, tier) == read


@pytest.mark.parametrize(
    ("counts", "read"),
    [
        ({"cache_creation_input_tokens": 30, "cache_read_input_tokens": 20}, Usage(150, 10, 20, 0, 30)),
        ({"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_5m_input_tokens": 5,
                                                                 "ephemeral_1h_input_tokens": 25}},
         Usage(130, 10, 0, 0, 30, 25)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 25}},
         Usage(130, 10, 0, 0, 30, 25)),
        ({"service_tier": "standard", "speed": "standard"}, Usage(100, 10)),
        ({"service_tier": "standard", "speed": "fast"}, Usage(100, 10, service_tier="fast")),
        ({"service_tier": "batch"}, Usage(100, 10, service_tier="batch")),
        ({"service_tier": "priority"}, Usage(100, 10, service_tier="committed")),
    ],
)
def test_anthropic(counts: dict[str, object], read: Usage) -> None:
    """Input counts all three kinds; "priority" is capacity bought in advance."""
    assert read_counts({"input_tokens": 100, "output_tokens": 10, **counts}) == read


@pytest.mark.parametrize(
    ("counts", "tier"),
    [
        ({}, None), ({"serviceTier": "standard"}, None), ({"serviceTier": "flex"}, "flex"),
        ({"serviceTier": "PRIORITY"}, "priority"), ({"trafficType": "ON_DEMAND"}, None),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex"), ({"trafficType": "TRAFFIC_TYPE_UNSPECIFIED"}, None),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
    ],
)
def test_gemini(counts: dict[str, object], tier: str | None) -> None:
    """The Gemini API says `serviceTier`, Vertex AI `trafficType`."""
    written = write_counts({"promptTokenCount": 100, "candidatesTokenCount": 10, **counts})

    assert read_chat(written) == Usage(100, 10, service_tier=tier)
