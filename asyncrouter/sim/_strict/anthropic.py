"""What Anthropic's Messages API refuses.

Sources: platform.claude.com, "Messages", "Extended thinking"; anthropic 2.14.0, types; threads as named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asyncrouter.sim._strict.complaint import Complaint, objects, signature_of, text_in, unknown
from asyncrouter.sim._strict.families import takes_forced_tools, takes_prefill, takes_sampling, takes_thinking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MIN_BUDGET = 1024
"""The least `thinking.budget_tokens`."""
MAX_USER_ID = 256
"""Characters that `metadata.user_id` may have."""
_PARAMETERS = {
    "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "tools",
    "tool_choice", "thinking", "metadata", "service_tier", "output_config", "output_format", "container",
    "context_management", "mcp_servers", "cache_control", "inference_geo", "speed", "fallbacks",
}
"""The parameters of the Messages API."""
_BLOCK_FIELDS = {
    "text": {"type", "text", "cache_control", "citations"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "cache_control", "title", "context", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
}
"""The fields of each type of block."""
_ASSISTANTS = {"thinking", "redacted_thinking", "tool_use"}
"""The types of blocks that only an assistant's message may have."""
_USERS = {"image", "document", "tool_result"}
"""The types of blocks that only a user's message may have."""
_ID = re.compile(r"[a-zA-Z0-9_-]+")
"""The form of a tool call's id (bifrost#5097)."""


def complaints(body: Mapping[str, object], model: str) -> Iterator[Complaint]:
    """Everything that the API refuses in a request, the first complaint being what it says."""
    for name in unknown("", body, _PARAMETERS):
        yield Complaint(f"{name}: Extra inputs are not permitted", None, name)
    if not isinstance(body.get("max_tokens"), int):
        yield Complaint("max_tokens: Field required")
    system = body.get("system")
    if system == "" or any(not text_in(block, "text") for block in objects(system)):
        yield Complaint("system: text content blocks must be non-empty")
    messages = objects(body.get("messages"))
    if not messages or messages[0].get("role") != "user":
        yield Complaint('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        yield from _of_message(index, message, model, last=index == len(messages) - 1)
    yield from _of_pairs(messages)
    yield from _of_parameters(body, messages, model)


def _blocks(message: Mapping[str, object]) -> list[dict[str, object]]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)


def _of_message(index: int, message: Mapping[str, object], model: str, *, last: bool) -> Iterator[Complaint]:
    path, role, blocks = f"messages.{index}", text_in(message, "role"), _blocks(message)
    if role not in ("user", "assistant"):
        yield Complaint(f"{path}.role: Input should be 'user' or 'assistant'")
    for name in unknown(path, message, {"role", "content"}):
        yield Complaint(f"{name}: Extra inputs are not permitted")
    if not blocks and not (last and role == "assistant"):
        yield Complaint("messages: all messages must have non-empty content except for the optional final assistant "
                        "message")
    for place, block in enumerate(blocks):
        yield from _of_block(f"{path}.content.{place}", role, block, model)
    if last and role == "assistant" and blocks and text_in(blocks[-1], "text").endswith((" ", "\n", "\t")):
        yield Complaint("messages: final assistant content cannot end with trailing whitespace")


def _of_block(path: str, role: str, block: Mapping[str, object], model: str) -> Iterator[Complaint]:
    kind = text_in(block, "type")
    known = _BLOCK_FIELDS.get(kind)
    if known is None or (kind in _ASSISTANTS and role != "assistant") or (kind in _USERS and role != "user"):
        yield Complaint(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
        return
    for name in unknown(f"{path}.{kind}", block, known):
        yield Complaint(f"{name}: Extra inputs are not permitted")
    if kind == "text" and not text_in(block, "text"):
        yield Complaint("messages: text content blocks must be non-empty")
    elif kind == "text" and not text_in(block, "text").strip():
        yield Complaint("messages: text content blocks must contain non-whitespace text")
    elif kind == "thinking" and block.get("signature") != signature_of("anthropic", model, text_in(block, "thinking")):
        yield Complaint(f"{path}: Invalid `signature` in `thinking` block")
    elif kind == "redacted_thinking":
        yield Complaint(f"{path}: Invalid `data` in `redacted_thinking` block")
    elif kind == "tool_use" and not _ID.fullmatch(text_in(block, "id")):
        yield Complaint(f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    elif kind == "tool_use" and not isinstance(block.get("input"), dict):
        yield Complaint(f"{path}.tool_use.input: Input should be a valid dictionary")


def _of_pairs(messages: list[dict[str, object]]) -> Iterator[Complaint]:
    """Every call is answered in the next message, before anything else there; consecutive roles are one message."""
    turns: list[tuple[object, list[dict[str, object]]]] = []
    for message in messages:
        if turns and turns[-1][0] == message.get("role"):
            turns[-1][1].extend(_blocks(message))
        else:
            turns.append((message.get("role"), _blocks(message)))
    asked: list[str] = []
    for index, (_, blocks) in enumerate(turns):
        kinds = [block.get("type") for block in blocks]
        answered = [text_in(block, "tool_use_id") for block in blocks if block.get("type") == "tool_result"]
        if missing := [call_id for call_id in asked if call_id not in answered]:
            yield Complaint(f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                            f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding "
                            "`tool_result` block in the next message.")
        if orphans := [call_id for call_id in answered if call_id not in asked]:
            yield Complaint(f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                            f"{', '.join(orphans)}. Each `tool_result` block must have a corresponding `tool_use` "
                            "block in the previous message.")
        if answered and "tool_result" in kinds[len(answered):]:
            yield Complaint(f"messages.{index}: `tool_result` blocks must come first")
        asked = [text_in(block, "id") for block in blocks if block.get("type") == "tool_use"]
    if asked:
        yield Complaint(f"messages.{len(turns) - 1}: `tool_use` ids were found without `tool_result` blocks "
                        f"immediately after: {', '.join(asked)}.")


def _of_parameters(
    body: Mapping[str, object], messages: list[dict[str, object]], model: str
) -> Iterator[Complaint]:
    if not takes_sampling(model):
        for name in ("temperature", "top_p", "top_k"):
            if name in body:
                yield Complaint(f"`{name}` is not supported on this model", None, name)
    if messages and messages[-1].get("role") == "assistant" and not takes_prefill(model):
        yield Complaint("This model does not support assistant message prefill. The conversation must end with a user "
                        "message.")
    thinking, choice = body.get("thinking"), body.get("tool_choice")
    kind = text_in(thinking, "type") if isinstance(thinking, dict) else ""
    if kind and not takes_thinking(model, kind):
        yield Complaint(f'"thinking.type.{kind}" is not supported for this model', None, "thinking")
    if kind == "enabled" and isinstance(thinking, dict):
        budget, limit = thinking.get("budget_tokens"), body.get("max_tokens")
        if not isinstance(budget, int) or budget < MIN_BUDGET:
            yield Complaint(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_BUDGET}")
        elif isinstance(limit, int) and budget >= limit:
            yield Complaint("`max_tokens` must be greater than `thinking.budget_tokens`")
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        if not takes_forced_tools(model):
            yield Complaint("tool_choice: forced tool use is not supported on this model", None, "tool_choice")
        elif kind == "enabled":
            yield Complaint("Thinking may not be enabled when tool_choice forces tool use.", None, "tool_choice")
    stops, metadata = body.get("stop_sequences"), body.get("metadata")
    if isinstance(stops, list) and any(not str(stop).strip() for stop in stops):
        yield Complaint("stop_sequences: each stop sequence must contain non-whitespace", None, "stop_sequences")
    user = text_in(metadata, "user_id") if isinstance(metadata, dict) else ""
    if len(user) > MAX_USER_ID or "@" in user:
        yield Complaint("metadata.user_id: must be at most 256 characters and no personal data", None, "metadata")
