"""What OpenAI's Responses API refuses.

Sources: openai 3.57, types of Responses; threads as named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asyncrouter.sim._strict.chat import MAX_ID
from asyncrouter.sim._strict.complaint import Complaint, objects, signature_of, text_in, unknown
from asyncrouter.sim._strict.families import reasons_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MIN_OUTPUT_TOKENS = 16
"""The least `max_output_tokens` that is taken (pi#6265)."""
_PARAMETERS = {
    "model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "temperature", "top_p",
    "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "max_tool_calls", "reasoning", "text", "include",
    "metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_options", "safety_identifier", "user",
    "truncation", "background", "previous_response_id", "conversation", "context_management", "prompt",
}
"""The parameters of the Responses API."""
_ITEM_FIELDS = {
    "message": {"type", "role", "content", "id", "status", "phase"},
    "reasoning": {"type", "id", "summary", "encrypted_content", "status"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
    "function_call_output": {"type", "id", "call_id", "output", "status"},
    "image_generation_call": {"type", "id", "result", "status"},
}
"""The fields of each type of item."""
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc"}
"""How the id of each type of item begins (pi#1022)."""
_ID = re.compile(r"[A-Za-z0-9_-]*[A-Za-z0-9-]")
"""The characters of an id (opencode#25065)."""
_PART_FIELDS = {
    "input_text": {"type", "text"}, "input_image": {"type", "image_url", "detail", "file_id"},
    "input_file": {"type", "filename", "file_data", "file_id", "file_url"},
    "output_text": {"type", "text", "annotations", "logprobs"}, "refusal": {"type", "refusal"},
}
"""The fields of each type of part."""
_SAID = ("output_text", "refusal")
"""The types of parts that an assistant's message has (rust-genai PR 119)."""


def complaints(body: Mapping[str, object], model: str) -> Iterator[Complaint]:
    """Everything that the API refuses in a request, the first complaint being what it says."""
    for name in unknown("", body, _PARAMETERS):
        yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    items = objects(body.get("input"))
    for index, item in enumerate(items):
        yield from _of_item(f"input[{index}]", item, model)
    yield from _of_pairs(items)
    for index, tool in enumerate(objects(body.get("tools"))):
        if tool.get("type") == "function" and not text_in(tool, "name"):
            yield Complaint(f"Missing required parameter: 'tools[{index}].name'.", "missing_required_parameter")
    limit, reasoning = body.get("max_output_tokens"), body.get("reasoning")
    if isinstance(limit, int) and limit < MIN_OUTPUT_TOKENS:
        yield Complaint("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
                        f"{MIN_OUTPUT_TOKENS}, but got {limit} instead.", "integer_below_min_value",
                        "max_output_tokens")
    if reasons_at(model, reasoning.get("effort") if isinstance(reasoning, dict) else None):
        for name in ("temperature", "top_p", "top_logprobs"):
            if name in body:
                yield Complaint(f"Unsupported parameter: '{name}' is not supported with this model.",
                                "unsupported_parameter", name)


def _of_item(path: str, item: Mapping[str, object], model: str) -> Iterator[Complaint]:
    kind = text_in(item, "type") or "message"
    known = _ITEM_FIELDS.get(kind)
    if known is None:
        yield Complaint(f"Invalid value: '{kind}'. Supported values are: {', '.join(_ITEM_FIELDS)}.", "invalid_value")
        return
    for name in unknown(path, item, known):
        yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)
    id, prefix = item.get("id"), _PREFIXES.get(kind, "")  # noqa: A001  # as the field
    if "id" in item and not (isinstance(id, str) and _ID.fullmatch(id) and id.startswith(prefix)):
        yield Complaint(f"Invalid '{path}.id': '{id}'. Expected an ID that begins with '{prefix}'.", "invalid_value")
    if kind == "message":
        yield from _of_message(path, item)
    elif kind == "reasoning":
        yield from _of_reasoning(path, item, model)
    elif kind.startswith("function_call"):
        if not 0 < len(text_in(item, "call_id")) <= MAX_ID:
            yield Complaint(f"Invalid '{path}.call_id': expected 1 to {MAX_ID} characters.", "invalid_value")
        if kind == "function_call" and not isinstance(item.get("arguments"), str):
            yield Complaint(f"Invalid type for '{path}.arguments': expected a string.", "invalid_type")


def _of_message(path: str, item: Mapping[str, object]) -> Iterator[Complaint]:
    role = text_in(item, "role")
    if role not in ("user", "assistant", "system", "developer"):
        yield Complaint(f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and "
                        "'user'.", "invalid_value")
    if not isinstance(item.get("content"), str | list):
        yield Complaint(f"Invalid type for '{path}.content': expected a string or an array.", "invalid_type")
    for index, part in enumerate(objects(item.get("content"))):
        kind, where = text_in(part, "type"), f"{path}.content[{index}]"
        if kind not in _PART_FIELDS or (kind in _SAID) != (role == "assistant"):
            allowed = "'output_text' and 'refusal'" if role == "assistant" else "'input_text', 'input_image'"
            yield Complaint(f"Invalid value: '{kind}'. Supported values are: {allowed}.", "invalid_value", where)
            continue
        for name in unknown(where, part, _PART_FIELDS[kind]):
            yield Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)


def _of_reasoning(path: str, item: Mapping[str, object], model: str) -> Iterator[Complaint]:
    """A reasoning item is known by its encrypted content alone: nothing is stored."""
    blob = text_in(item, "encrypted_content")
    if not blob:
        yield Complaint(f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to "
                        "false.", None, "input", 404)
        return
    summary = "".join(text_in(part, "text") for part in objects(item.get("summary")))
    if blob != signature_of("responses", model, summary):
        yield Complaint(f"The encrypted content {blob[:8]}... could not be verified. ({path})",
                        "invalid_encrypted_content")


def _of_pairs(items: list[dict[str, object]]) -> Iterator[Complaint]:
    calls = [text_in(item, "call_id") for item in items if item.get("type") == "function_call"]
    outputs = [text_in(item, "call_id") for item in items if item.get("type") == "function_call_output"]
    for call_id in calls:
        if call_id not in outputs:
            yield Complaint(f"No tool output found for function call {call_id}.", None, "input")
        if calls.count(call_id) > 1:
            yield Complaint(f"Duplicate item found with call_id {call_id}.", None, "input")
    for call_id in outputs:
        if call_id not in calls:
            yield Complaint(f"No tool call found for function call output with call_id {call_id}.", None, "input")
