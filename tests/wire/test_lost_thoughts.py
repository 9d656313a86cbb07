"""Thoughts of earlier answers that a provider refuses to take back: the model is asked once more, without them."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._types import Call
from asyncrouter._wire.registry import wire_for

if TYPE_CHECKING:
    from asyncrouter._config.catalog import WireName
    from asyncrouter._wire.api import Wire

HI = {"role": "user", "content": "Hi"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "QUE="}
CALL: dict[str, Any] = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "t1", "content": "1"}
CLAUDE = {"role": "assistant", "content": "a", "thinking_blocks": [THOUGHT], "tool_calls": [CALL]}
REDACTED = {**CLAUDE, "thinking_blocks": [{"type": "redacted_thinking", "data": "QUI="}]}
DETAILS = [{"type": "reasoning.text", "text": "hm", "signature": "QUE=", "format": "anthropic-claude-v1"}]
OPENROUTER = {"role": "assistant", "content": "a", "reasoning_details": DETAILS}
SIGNED = {"google": {"thought_signature": "QUE="}}
GOOGLE = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "extra_content": SIGNED}]}
DUMMY = "skip_thought_signature_validator"
WARNING = "thoughts of earlier answers are refused there and left out from now on"
INVALID = "messages.1.content.0: Invalid `signature` in `thinking` block"
BOUND = f"{INVALID}. The block is bound to a different conversation."
CHANGED = (
    "messages.3.content.8: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."
)


def wire_of(name: WireName) -> Wire:
    return wire_for(Provider(name="p", base_url="https://host.test/v1", wire=name), lambda: 0.0)


def adapted(wire: Wire, model: str, messages: list[Any], message: str) -> tuple[str | None, Any, Any]:
    """The warning after this error, and the bodies before and after it."""
    call, of = Call([HI, *messages], {}, {}, 0.0, math.inf), Model(provider="p", id=model)
    request = wire.encode(call, of, {}, None, stream=False, connect=None)
    error = wire.failure(400, {}, orjson.dumps({"error": {"type": "invalid_request_error", "message": message}}))
    warning = wire.adapt(of, request, error)
    again = wire.encode(call, of, {}, None, stream=False, connect=None)
    return warning, orjson.loads(request.body), orjson.loads(again.body)


@pytest.mark.parametrize("message", [INVALID, BOUND, CHANGED, INVALID.replace("`", "")])
@pytest.mark.parametrize("said", [CLAUDE, REDACTED], ids=["thinking", "redacted"])
def test_anthropic_is_asked_again_without_the_thoughts(message: str, said: dict[str, Any]) -> None:
    """Once: when the same comes back, nothing is left to leave out. The caller's messages stay as they are."""
    wire, messages = wire_of("anthropic"), [copy.deepcopy(said), RESULT]
    warning, before, after = adapted(wire, "claude-opus-5-5", messages, message)

    assert [block["type"] for block in before["messages"][1]["content"]] == [
        said["thinking_blocks"][0]["type"], "text", "tool_use"]
    assert [block["type"] for block in after["messages"][1]["content"]] == ["text", "tool_use"]
    assert (warning, messages) == (WARNING, [said, RESULT])
    assert adapted(wire, "claude-opus-5-5", messages, message)[0] is None


def test_a_budget_without_its_thought_is_given_up() -> None:
    """Claude refuses to go on with a budget from a call that no thought stands before."""
    wire = wire_of("anthropic")
    call = Call([HI, CLAUDE, RESULT], {}, {}, 0.0, math.inf)
    of, params = Model(provider="p", id="claude-haiku-4-5"), {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    adapted(wire, of.id, [CLAUDE, RESULT], INVALID)
    body = orjson.loads(wire.encode(call, of, params, None, stream=False, connect=None).body)

    assert "thinking" not in body


@pytest.mark.parametrize("message", [
    "Corrupted thought signature.", "Invalid thought signature.",
    "Unable to submit request because Thought signature is not valid.. Learn more: …",
])
def test_google_is_asked_again_with_the_word_for_no_signature(message: str) -> None:
    """Gemini 3 wants one on a call: the one that Google has for calls of other models."""
    warning, before, after = adapted(wire_of("gemini"), "gemini-3-pro", [GOOGLE, RESULT], message)

    assert before["contents"][1]["parts"][0]["thoughtSignature"] == "QUE="
    assert (warning, after["contents"][1]["parts"][0]["thoughtSignature"]) == (WARNING, DUMMY)


@pytest.mark.parametrize(("said", "field"), [(OPENROUTER, "reasoning_details"), (CLAUDE, "thinking_blocks")])
def test_a_host_of_chat_completions_is_asked_again(said: dict[str, Any], field: str) -> None:
    """OpenRouter and LiteLLM pass on what Anthropic says."""
    wire = wire_of("openai")
    warning, before, after = adapted(wire, "anthropic/claude-opus-5.5", [said, RESULT], INVALID)

    assert (warning, len(before["messages"][1][field]), after["messages"][1][field]) == (WARNING, 1, [])


@pytest.mark.parametrize("message", ["prompt is too long", "tool_use ids must be unique", "signature"])
def test_other_words_leave_the_thoughts(message: str) -> None:
    """They were not refused."""
    warning, before, after = adapted(wire_of("anthropic"), "claude-opus-5-5", [CLAUDE, RESULT], message)

    assert (warning, before) == (None, after)
