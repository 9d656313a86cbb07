"""What an answer costs, from the vendor's bytes to the reply: on each wire, one body, streamed, and `stream()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import Router, Usage
from tests.helpers.canned import Answer, CannedTransport
from tests.helpers.decoding import sse

if TYPE_CHECKING:
    from asyncrouter import Trace
    from asyncrouter.sim import Clock

Json = dict[str, object]
SSE, JSON = "text/event-stream", "application/json"
MODES = ("buffered", "chat", "stream")

CLAUDE: Json = {"input": 2.0, "output": 10.0, "cached_input": 0.2, "cache_write": 2.5, "cache_write_1h": 4.0}
GPT: Json = {
    "input": 2.0, "output": 10.0, "cached_input": 0.1, "cache_write": 2.5, "long_context_tokens": 272_000,
    "long_context": {"input": 4.0, "output": 15.0, "cached_input": 0.2, "cache_write": 5.0},
    "tiers": {"flex": {"input": 1.0, "output": 5.0}, "priority": {"input": 4.0, "output": 20.0}},
}
PLAIN: Json = {"input": 2.0, "output": 10.0}
M = 1_000_000


def chat_completion(usage: Json, tier: str | None, *, streamed: bool) -> Answer:
    extra: Json = {} if tier is None else {"service_tier": tier}
    if not streamed:
        choice: Json = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        return 200, JSON, orjson.dumps({"id": "c", "model": "m", "choices": [choice], "usage": usage, **extra})
    return 200, SSE, sse(
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "hi"}}], **extra},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **extra},
        {"id": "c", "choices": [], "usage": usage, **extra},
    ) + b"data: [DONE]\n\n"


def response(usage: Json, tier: str | None, *, streamed: bool) -> Answer:
    part: Json = {"type": "output_text", "text": "hi", "annotations": []}
    item: Json = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [part]}
    whole: Json = {"id": "r", "object": "response", "model": "m", "status": "completed", "output": [item],
                   "usage": usage, "service_tier": tier or "default"}
    if not streamed:
        return 200, JSON, orjson.dumps(whole)
    return 200, SSE, sse(
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hi"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    )


def message(usage: Json, tier: str | None, *, streamed: bool) -> Answer:
    counts: Json = {**usage, "service_tier": tier or "standard"}
    whole: Json = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                   "content": [{"type": "text", "text": "hi"}], "usage": counts}
    if not streamed:
        return 200, JSON, orjson.dumps(whole)
    begun: Json = {**whole, "content": [], "stop_reason": None, "usage": {**counts, "output_tokens": 1}}
    return 200, SSE, sse(
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
         "usage": {"output_tokens": usage["output_tokens"]}},
        {"type": "message_stop"},
    )


def generated(usage: Json, tier: str | None, *, streamed: bool) -> Answer:
    candidate: Json = {"content": {"role": "model", "parts": [{"text": "hi"}]}, "index": 0, "finishReason": "STOP"}
    counts: Json = usage if tier is None else {**usage, "serviceTier": tier}
    whole: Json = {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "m"}
    return (200, SSE, sse(whole)) if streamed else (200, JSON, orjson.dumps(whole))


ANSWERS = {"openai": chat_completion, "responses": response, "anthropic": message, "gemini": generated}


def chat(asked: int, answered: int, **details: object) -> Json:
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered, **details}


def asked_responses(asked: int, answered: int, **details: object) -> Json:
    return {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered, **details}


class Case:
    """An answer's wire, price, usage and tier; what it costs, and whether that is an estimate."""

    def __init__(
        self, wire: str, price: Json | None, usage: Json, usd: float | None, *, tier: str | None = None,
        estimated: bool = False, read: Usage | None = None,
    ) -> None:
        self.wire, self.price, self.usage, self.usd = wire, price, usage, usd
        self.tier, self.estimated, self.read = tier, estimated, read


CASES = {
    "a key of one's own at OpenRouter": Case(
        "openai", PLAIN, chat(100, 50, cost=0, is_byok=True, cost_details={"upstream_inference_cost": 0.036}), 0.036),
    "a key of one's own, by the Responses API": Case(
        "responses", PLAIN,
        asked_responses(100, 50, cost=0, is_byok=True, cost_details={"upstream_inference_cost": 0.036}), 0.036),
    "a key of one's own whose cost is not told": Case(
        "openai", PLAIN, chat(M, M, cost=0, is_byok=True), 12.0, estimated=True),
    "a told cost on OpenRouter's own key": Case("openai", PLAIN, chat(100, 50, cost=0.5, is_byok=False), 0.5),
    "Claude writes for five minutes and an hour": Case(
        "anthropic", CLAUDE,
        {"input_tokens": 100_000, "output_tokens": 10_000, "cache_read_input_tokens": 200_000,
         "cache_creation_input_tokens": 400_000,
         "cache_creation": {"ephemeral_5m_input_tokens": 100_000, "ephemeral_1h_input_tokens": 300_000}},
        0.2 + 0.04 + 0.25 + 1.2 + 0.1, read=Usage(700_000, 10_000, 200_000, 0, 400_000, 300_000)),
    "Claude writes, and no price of that is known": Case(
        "anthropic", PLAIN,
        {"input_tokens": 100_000, "output_tokens": 0, "cache_creation_input_tokens": 100_000,
         "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100_000}},
        0.2 + 0.4, estimated=True),
    "GPT-6.1 writes": Case(
        "responses", GPT,
        asked_responses(250_000, 20_000, input_tokens_details={"cached_tokens": 100_000, "cache_write_tokens": 50_000}),
        0.2 + 0.01 + 0.125 + 0.2, read=Usage(250_000, 20_000, 100_000, 0, 50_000)),
    "GPT-6.1 writes, by Chat Completions": Case(
        "openai", GPT,
        chat(250_000, 20_000, prompt_tokens_details={"cached_tokens": 100_000, "cache_write_tokens": 50_000}),
        0.2 + 0.01 + 0.125 + 0.2),
    "a long prompt": Case(
        "responses", GPT,
        asked_responses(300_000, 20_000, input_tokens_details={"cached_tokens": 100_000}), 0.8 + 0.02 + 0.3),
    "a long prompt, by Chat Completions": Case("openai", GPT, chat(272_001, 0), 272_001 * 4.0 / M),
    "a prompt at the step": Case("openai", GPT, chat(272_000, 0), 0.544),
    "a long prompt to Gemini": Case(
        "gemini", GPT, {"promptTokenCount": 300_000, "candidatesTokenCount": 10_000, "thoughtsTokenCount": 10_000,
                        "totalTokenCount": 320_000}, 1.2 + 0.3),
    "a long prompt to Claude, cache included": Case(
        "anthropic", GPT, {"input_tokens": 100_000, "output_tokens": 0, "cache_read_input_tokens": 200_000}, 0.44),
    "flex": Case("responses", GPT, asked_responses(100_000, 10_000), 0.15, tier="flex"),
    "priority": Case("openai", GPT, chat(100_000, 10_000), 0.6, tier="priority"),
    "priority by its new name": Case("responses", GPT, asked_responses(100_000, 10_000), 0.6, tier="fast"),
    "flex at Gemini": Case(
        "gemini", GPT, {"promptTokenCount": 100_000, "candidatesTokenCount": 10_000}, 0.15, tier="flex"),
    "Claude on capacity that was bought": Case(
        "anthropic", PLAIN, {"input_tokens": 100_000, "output_tokens": 0}, 0.2, tier="priority", estimated=True),
    "a dear tier whose price is not known": Case(
        "openai", PLAIN, chat(100_000, 10_000), 0.75, tier="priority", estimated=True),
    "a cheap tier whose price is not known": Case(
        "openai", PLAIN, chat(100_000, 10_000), 0.3, tier="flex", estimated=True),
    "xAI's reasoning, which only the total shows": Case(
        "openai", PLAIN, {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 8000,
                          "completion_tokens_details": {"reasoning_tokens": 6000}}, 0.072,
        read=Usage(1000, 7000, 0, 6000)),
    "the same by the Responses API": Case(
        "responses", PLAIN, {"input_tokens": 1000, "output_tokens": 1000, "total_tokens": 8000}, 0.072),
    "Perplexity's fee for a request": Case(
        "openai", PLAIN, chat(100, 50, cost={"request_cost": 0.005, "total_cost": 0.0057}), 0.0057),
    "xAI's ticks": Case("openai", PLAIN, chat(198, 90, cost_in_usd_ticks=2_709_000), 0.0002709),
    "xAI's ticks by the Responses API": Case(
        "responses", PLAIN, asked_responses(198, 90, cost_in_usd_ticks=94_000_000), 0.0094),
    "a cost without counts": Case("openai", PLAIN, {"cost": 0.5}, 0.5),
    "counts of nothing": Case("openai", PLAIN, chat(0, 0), 4e-6, estimated=True),
    "counts of nothing by the Responses API": Case(
        "responses", PLAIN, asked_responses(0, 0), 4e-6, estimated=True),
    "counts of nothing at Claude's": Case(
        "anthropic", PLAIN, {"input_tokens": 0, "output_tokens": 0}, 4e-6, estimated=True),
    "counts of nothing at Gemini's": Case(
        "gemini", PLAIN, {"promptTokenCount": 0, "candidatesTokenCount": 0}, 4e-6, estimated=True),
    "no price": Case("openai", None, chat(100, 50), None),
}


def bill(clock: Clock, case: Case, mode: str) -> tuple[Usage | None, float | None, Trace]:
    """The usage and the cost of the reply, and its trace."""
    table: Json = {"provider": "p", "id": "m"}
    tables: Json = {
        "providers": {"p": {"wire": case.wire, "base_url": "http://p.test/v1"}},
        "models": {"m": table if case.price is None else {**table, "usd_per_mtok": case.price}},
        "defaults": {"wire_stream": mode != "buffered"},
    }
    answer = ANSWERS[case.wire](case.usage, case.tier, streamed=mode != "buffered")

    async def scenario() -> tuple[Usage | None, float | None, Trace]:
        async with Router(tables, transport=CannedTransport(lambda _: answer, 40)) as router:
            if mode != "stream":
                reply = await router.chat("hello", model="m")
                return reply.usage, reply.cost_usd, reply.trace
            async with router.stream("hello", model="m") as stream:
                async for _ in stream:
                    pass
                return stream.reply.usage, stream.reply.cost_usd, stream.trace

    return clock.run(scenario())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_what_an_answer_costs(clock: Clock, name: str, mode: str) -> None:
    """The reply, the trace and the attempt have the cost of what the provider has counted, at the tier it served."""
    case = CASES[name]

    usage, usd, trace = bill(clock, case, mode)

    assert usd == (None if case.usd is None else pytest.approx(case.usd))
    assert (trace.cost_usd, trace.attempts[0].cost_usd, trace.cost_estimated) == (usd, usd, case.estimated)
    assert case.read is None or usage == case.read
