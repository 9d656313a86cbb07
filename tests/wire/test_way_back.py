"""What a wire has read goes back to the same vendor as it came, and to no other one."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import Rejected
from asyncrouter._types import Call
from asyncrouter._wire.anthropic.wire import Anthropic
from asyncrouter._wire.gemini.wire import Gemini
from tests.helpers import anthropic_fixtures as claude
from tests.helpers import gemini_fixtures as google
from tests.helpers import openai_fixtures as openai

HI = {"role": "user", "content": "Hi"}
CLAUDE = "claude-x-1"
"""The model that the Anthropic fixtures say has answered."""
GEMINI = "gemini-3.1-flash"
"""The same of the Gemini fixtures."""


def messages(wire: Any, model: str, *given: object, **params: object) -> Any:
    """What is sent of a conversation."""
    call = Call([HI, *given], {}, {}, 0.0, math.inf)
    body = orjson.loads(wire.encode(call, Model(provider="p", id=model), params, None, stream=False, connect=None).body)
    return body["messages" if "messages" in body else "contents"][1:]


def said(decoder: Any) -> dict[str, Any]:
    """The assistant's message of an answer, through JSON and a pickle, as an application keeps it."""
    assert decoder.close() is None
    message = pickle.loads(pickle.dumps(decoder.reply)).raw["choices"][0]["message"]
    kept: dict[str, Any] = orjson.loads(orjson.dumps(message))
    return kept


@pytest.mark.parametrize("pieces", [["summary"], ["sum", "mary"]])
def test_a_streamed_compaction_goes_back_as_it_came(pieces: list[str]) -> None:
    """Its content comes in a delta, what else it has is whole."""
    deltas = [{"type": "compaction_delta", "content": piece, "encrypted_content": "QUE="} for piece in pieces]
    events = [*claude.block(0, "compaction", *deltas, content="" if len(pieces) > 1 else None),
              *claude.text_block(1, "Hi")]
    message = said(claude.stream(*claude.answer(*events)))
    block = {"type": "compaction", "content": "summary", "encrypted_content": "QUE="}

    assert message["content_blocks"] == [block, {"type": "text", "text": "Hi"}]
    assert messages(claude.WIRE, CLAUDE, message, HI)[0]["content"] == message["content_blocks"]


def events_of(blocks: list[dict[str, Any]], reason: str) -> list[object]:
    """The events of a message with these blocks."""
    events: list[object] = []
    for index, block in enumerate(blocks):
        rest = {name: value for name, value in block.items() if name != "type"}
        match block["type"]:
            case "thinking":
                events += claude.signed_thought(index, block["thinking"], signature=block["signature"])
            case "text":
                events += claude.text_block(index, block["text"])
            case "tool_use":
                piece = {"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}
                events += claude.block(index, "tool_use", piece, **{**rest, "input": {}})
            case kind:
                events += claude.block(index, kind, **rest)
    return claude.answer(*events, reason=reason)


THOUGHT, SECOND = ({"type": "thinking", "thinking": text, "signature": f"s{text}"} for text in "ab")
TEXT = {"type": "text", "text": "Let me see."}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
    {"type": "web_search_result", "url": "https://h", "title": "t", "encrypted_content": "e"}]}
REDACTED = {"type": "redacted_thinking", "data": "d"}
TURNS: dict[str, list[dict[str, Any]]] = {
    "in the usual order": [THOUGHT, REDACTED, TEXT, USE],
    "thoughts between": [THOUGHT, TEXT, SECOND, USE],
    "text after a call": [TEXT, USE, {"type": "text", "text": "So."}],
    "two texts": [THOUGHT, TEXT, {"type": "text", "text": "More."}],
    "a search": [THOUGHT, SEARCH, FOUND, SECOND, TEXT, USE],
    "called by code": [SEARCH, {**USE, "caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}}],
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("blocks", TURNS.values(), ids=TURNS)
def test_claudes_blocks_go_back_in_their_order(blocks: list[dict[str, Any]], streamed: bool) -> None:
    """A call's id is the same on both sides, and what stood between thoughts still does."""
    reason = "tool_use"
    decoder = claude.stream(*events_of(blocks, reason)) if streamed else claude.body(claude.message(blocks, reason))
    results = [{"role": "tool", "tool_call_id": block["id"], "content": "1"}
               for block in blocks if block["type"] == "tool_use"]
    answer, *rest = messages(claude.WIRE, CLAUDE, said(decoder), *results)

    assert answer == {"role": "assistant", "content": blocks}
    assert [block["tool_use_id"] for message in rest for block in message["content"]] == [
        block["id"] for block in blocks if block["type"] == "tool_use"]


def test_blank_texts_between_blocks_stay_out() -> None:
    """Claude says them, and refuses them when they come back."""
    blocks = [THOUGHT, {"type": "text", "text": "\n\n"}, SECOND, USE]
    answer = messages(claude.WIRE, CLAUDE, said(claude.body(claude.message(blocks, "tool_use"))),
                      {"role": "tool", "tool_call_id": "toolu_1", "content": "1"})[0]

    assert answer["content"] == [THOUGHT, SECOND, USE]


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-4-5"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_paused_turn_goes_on(model: str, streamed: bool) -> None:
    """The message goes back as the last one, to models that take no other message of the assistant's there, too."""
    blocks = [THOUGHT, TEXT, SEARCH]
    start = claude.message_start()
    start["message"]["model"] = model  # type: ignore[index]
    decoder = claude.stream(start, *events_of(blocks, "pause_turn")[1:]) if streamed else claude.body(
        claude.message(blocks, "pause_turn", model=model))

    assert messages(claude.WIRE, model, said(decoder)) == [{"role": "assistant", "content": blocks}]


@pytest.mark.parametrize("edit", [
    {"content": "Other words."}, {"tool_calls": []}, {"content": None},
    {"tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"x":2}'}}]},
])
def test_the_callers_words_count(edit: dict[str, object]) -> None:
    """If the message says something else by now, no kept block goes out in its place; thoughts still stand first."""
    message = {**said(claude.body(claude.message([THOUGHT, TEXT, SECOND, USE], "tool_use"))), **edit}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in message["tool_calls"]]
    content = messages(claude.WIRE, CLAUDE, message, *results)[0]["content"]
    text = [block["text"] for block in content if block["type"] == "text"]
    calls = [block["input"] for block in content if block["type"] == "tool_use"]

    assert content[:2] == [THOUGHT, SECOND]
    assert text == ([message["content"]] if message["content"] else [])
    assert calls == [orjson.loads(call["function"]["arguments"]) for call in message["tool_calls"]]


def test_thoughts_are_bound_to_their_model() -> None:
    """Another Claude gets the other blocks; one at another address of Anthropic's is the same model."""
    start = claude.message([THOUGHT, SEARCH, FOUND, TEXT], model="claude-opus-4-6")
    message = said(claude.body(start))
    elsewhere = Anthropic(Provider(name="vertex", base_url="https://vertex.test/v1", wire="anthropic"))
    other = Anthropic(Provider(name="minimax", base_url="https://api.minimax.test/anthropic", wire="anthropic"))

    def content(wire: Anthropic, model: str) -> object:
        return messages(wire, model, message, HI)[0]["content"]

    assert content(claude.WIRE, "claude-opus-4-6-20260205") == [THOUGHT, SEARCH, FOUND, TEXT]
    assert content(elsewhere, "claude-opus-4-6@20260205") == [THOUGHT, SEARCH, FOUND, TEXT]
    assert content(claude.WIRE, "claude-opus-5") == [SEARCH, FOUND, TEXT]
    assert content(other, "MiniMax-M3") == "Let me see."


@pytest.mark.parametrize("block", [
    {"type": "thinking", "thinking": "hm"}, {"type": "thinking", "thinking": "hm", "signature": ""},
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "redacted_thinking"},
])
def test_thoughts_without_a_signature_are_nobodys(block: dict[str, object]) -> None:
    """Mistral's have none: Anthropic would refuse them."""
    for field in ("content", "thinking_blocks"):
        message = {"role": "assistant", "content": "So.", field: [block, TEXT] if field == "content" else [block]}
        content = messages(claude.WIRE, CLAUDE, message, HI)[0]["content"]
        assert content == ("Let me see." if field == "content" else "So.")


def test_litellms_thoughts_in_pieces() -> None:
    """They are one signed block each, streamed or not, and go to LiteLLM and to Anthropic as that."""
    pieces = [
        [{"type": "thinking", "thinking": "Step 1. ", "signature": ""}],
        [{"type": "thinking", "thinking": "Step 2.", "signature": None}],
        [{"type": "thinking", "thinking": "", "signature": "sig"}], [REDACTED],
        [{"type": "thinking", "thinking": "B", "signature": "sig2"}],
    ]
    whole = [{"type": "thinking", "thinking": "Step 1. Step 2.", "signature": "sig"}, REDACTED,
             {"type": "thinking", "thinking": "B", "signature": "sig2"}]
    streamed = said(openai.stream(*(openai.delta(thinking_blocks=piece) for piece in pieces),
                                  openai.delta("stop", content="Hi"), b"[DONE]"))
    buffered = said(openai.body(openai.completion(content="Hi", thinking_blocks=whole)))

    assert streamed["thinking_blocks"] == buffered["thinking_blocks"] == whole
    assert messages(openai.WIRE, "claude", streamed, HI)[0]["thinking_blocks"] == whole
    assert messages(claude.WIRE, "claude-opus-5", streamed, HI)[0]["content"] == [
        *whole, {"type": "text", "text": "Hi"}]


PICTURE = {"inlineData": {"mimeType": "image/png", "data": "AAEC"}, "thoughtSignature": "Sp"}
CALLED = {"functionCall": {"id": "g1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "Sc"}
PARTS: dict[str, list[dict[str, Any]]] = {
    "a picture": [PICTURE],
    "text and picture": [{"text": "Here:"}, PICTURE],
    "text, then a signed text": [{"text": "Here:", "thoughtSignature": "St"}],
    "pictures between texts": [{"text": "One:"}, PICTURE, {"text": "Two:"}, {**PICTURE, "thoughtSignature": "S2"}],
    "two signed texts": [{"text": "a", "thoughtSignature": "S1"}, {"text": "b", "thoughtSignature": "S2"}],
    "a call before text": [CALLED, {"text": "Wait."}],
    "a signature after a call": [CALLED, {"text": "", "thoughtSignature": "Se"}],
    "code that ran": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"codeExecutionResult": {
        "outcome": "OUTCOME_OK", "output": "1"}}, {"text": "One."}],
    "a signed thought": [{"text": "hm", "thought": True, "thoughtSignature": "S"}, {"text": "So."}],
    "calls": [{"text": "Wait."}, CALLED, {"functionCall": {"id": "g2", "name": "g", "args": {}}}],
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_googles_parts_go_back_as_they_came(parts: list[dict[str, Any]], streamed: bool) -> None:
    """With their signatures, in their order; thoughts that are not signed stay out."""
    came = copy.deepcopy(parts)
    if "thought" not in parts[0]:
        came.insert(0, {"text": "Hm.", "thought": True})
    if streamed:
        decoder = google.stream(*(google.fragment(part) for part in came), google.fragment(finish="STOP"))
    else:
        decoder = google.body(google.fragment(*came, finish="STOP"))
    message = said(decoder)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in message.get("tool_calls", ())]
    answer, *rest = messages(google.WIRE, GEMINI, message, *results)

    assert answer == {"role": "model", "parts": parts}
    assert [part["functionResponse"]["id"] for content in rest for part in content["parts"]] == [
        part["functionCall"]["id"] for part in parts if "functionCall" in part]


def test_a_text_in_pieces_is_one_part() -> None:
    """Pieces are joined up to a signature; the signature of an empty piece is that of the text before it."""
    decoder = google.stream(google.fragment({"text": "a"}), google.fragment({"text": "b"}),
                            google.fragment({"text": "", "thoughtSignature": "S"}),
                            google.fragment({"text": "c"}, finish="STOP"))

    assert messages(google.WIRE, GEMINI, said(decoder))[0]["parts"] == [
        {"text": "ab", "thoughtSignature": "S"}, {"text": "c"}]


def test_signatures_are_bound_to_model_and_account() -> None:
    """Elsewhere the parts go without them, with the word that Google has for calls of another model."""
    message = said(google.body(google.fragment({"text": "Wait."}, PICTURE, CALLED, finish="STOP")))
    result = {"role": "tool", "tool_call_id": "g1", "content": "1"}
    account = Gemini(Provider(name="mine", base_url=google.PROVIDER.base_url, wire="gemini"))
    dummy = "skip_thought_signature_validator"
    call = {"functionCall": {"name": "f", "args": {"x": 1}}}
    plain = [{"text": "Wait."}, {"inlineData": PICTURE["inlineData"]}, call]

    assert messages(google.WIRE, "gemini-3.1-flash-001", message, result)[0]["parts"][2] == CALLED
    for wire, model in ((google.WIRE, "gemini-3.8-flash"), (google.WIRE, "gemini-3.1-pro"), (account, GEMINI)):
        assert messages(wire, model, message, result)[0]["parts"] == [
            *plain[:2], {**plain[2], "thoughtSignature": dummy}]
    assert messages(google.WIRE, "gemini-2.5-flash", message, result)[0]["parts"] == plain


def test_a_model_that_draws_wants_signatures_on_pictures() -> None:
    """What another model has drawn and said gets the word for it, on the first part and on each picture."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}
    message = {"role": "assistant", "content": "Here:", "images": [picture]}
    signed = {"thoughtSignature": "skip_thought_signature_validator"}
    inline = {"inlineData": PICTURE["inlineData"]}

    assert messages(google.WIRE, "gemini-3-pro-image-preview", message, HI)[0]["parts"] == [
        {"text": "Here:", **signed}, {**inline, **signed}]
    assert messages(google.WIRE, "gemini-2.5-flash-image", message, HI)[0]["parts"] == [{"text": "Here:"}, inline]


def test_openrouters_details_go_back() -> None:
    """They stay whole, in order, and are OpenRouter's own."""
    details = [{"type": "reasoning.text", "text": "a", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]
    message = said(openai.body(openai.completion(content="Hi", reasoning="a", reasoning_details=details)))

    assert messages(openai.WIRE, "anthropic/claude-opus-5", message, HI)[0]["reasoning_details"] == details


def test_the_reply_and_its_message_are_not_changed() -> None:
    """A message can go into several conversations."""
    message = said(claude.body(claude.message([THOUGHT, TEXT, SECOND, USE], "tool_use")))
    before = copy.deepcopy(message)
    result = {"role": "tool", "tool_call_id": "toolu_1", "content": "1"}
    for wire, model in ((claude.WIRE, CLAUDE), (google.WIRE, GEMINI), (openai.WIRE, "m")):
        messages(wire, model, message, result)

    assert message == before


def test_prefill_is_not_a_paused_turn() -> None:
    """An ordinary message of the assistant's at the end is still refused where it is refused."""
    with pytest.raises(Rejected):
        messages(claude.WIRE, "claude-opus-5-5", said(claude.body(claude.message([THOUGHT, TEXT], "end_turn"))))
