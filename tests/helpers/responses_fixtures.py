"""Answers of the Responses API in the shapes of its reference (openai 3.57, `types.responses`), and wires to read them.

A stream is built from the response it ends with: every item is announced, grows by deltas and is given whole, as the
API does it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import orjson

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._types import Call
from asyncrouter._wire.responses.wire import Responses

if TYPE_CHECKING:
    from collections.abc import Sequence

OPENAI = Provider(name="openai", base_url="https://api.openai.com/v1", wire="responses")
LOOSE = Provider(name="local", base_url="http://127.0.0.1:8080/v1", wire="responses")
WIRE = Responses(OPENAI, wall=lambda: 1_700_000_000.0)
LOOSE_WIRE = Responses(LOOSE, wall=lambda: 1_700_000_000.0)
SOL = Model(provider="openai", id="gpt-6-sol")

USAGE = {
    "input_tokens": 30, "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 4},
    "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 8}, "total_tokens": 50,
}

Item = dict[str, object]


def message(*texts: str, number: int = 1, **fields: object) -> Item:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []} for text in texts]
    return {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": content,
            **fields}


def refusal(text: str) -> Item:
    return message(content=[{"type": "refusal", "refusal": text}])


def reasoning(*summary: str, number: int = 1, **fields: object) -> Item:
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": f"rs_{number}", "summary": parts, "encrypted_content": f"gAAAA{number}",
            **fields}


def call(name: str, arguments: str, number: int = 1, **fields: object) -> Item:
    return {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name,
            "arguments": arguments, "status": "completed", **fields}


def response(*items: Item, status: str = "completed", **fields: object) -> Item:
    return {
        "id": "resp_1", "object": "response", "created_at": 1_800_000_000, "status": status, "model": "gpt-6-sol",
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "output": list(items),
        "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "service_tier": "default", "usage": USAGE, **fields,
    }


def incomplete(reason: str, *items: Item, **fields: object) -> Item:
    return response(*items, status="incomplete", incomplete_details={"reason": reason}, **fields)


def body(document: object) -> bytes:
    return orjson.dumps(document)


def events(*documents: Item) -> bytes:
    """Server-sent events that are named by their type, as the API sends them; one without a type has no name."""
    return b"".join(
        (b"event: %b\n" % str(event["type"]).encode() if "type" in event else b"")
        + b"data: %b\n\n" % orjson.dumps(event) for event in documents
    )


def events_of(document: Item, size: int = 4) -> list[Item]:
    """The events of a stream that ends with this response; texts come in pieces of `size` characters."""
    begun = {**document, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    told: list[Item] = [{"type": "response.created", "response": begun},
                        {"type": "response.in_progress", "response": begun}]
    output = document["output"]
    assert isinstance(output, list)
    for index, item in enumerate(output):
        told += _item_events(item, index, size)
    told.append({"type": f"response.{document['status']}", "response": document})
    return [{**event, "sequence_number": number} for number, event in enumerate(told)]


def stream_of(document: Item, size: int = 4) -> bytes:
    return events(*events_of(document, size))


def without(documents: Sequence[Item], *names: str) -> list[Item]:
    """The events of a loose server, which leaves these fields out."""
    return [{name: value for name, value in event.items() if name not in names} for event in copy.deepcopy(documents)]


def request(
    messages: Sequence[Item], params: Item | None = None, model: Model = SOL, wire: Responses = WIRE, *,
    stream: bool = False,
) -> Item:
    """The body of the request for these messages."""
    asked = Call(messages, {}, {}, 0.0, float("inf"))
    written: Item = orjson.loads(wire.encode(asked, model, params or {}, "k", stream=stream, connect=None).body)
    return written


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _item_events(item: Item, index: int, size: int) -> list[Item]:
    where = {"item_id": item["id"], "output_index": index}
    begun = {**item, "status": "in_progress"}
    told: list[Item] = []
    if item["type"] == "message":
        begun["content"] = []
        for number, part in enumerate(item["content"]):  # type: ignore[arg-type, var-annotated]
            told += _part_events(part, {**where, "content_index": number}, size)
    elif item["type"] == "reasoning":
        begun |= {"summary": [], "encrypted_content": "gAA"}
        for number, part in enumerate(item["summary"]):  # type: ignore[arg-type, var-annotated]
            at = {**where, "summary_index": number}
            told.append({"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}})
            told += [{"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
                     for piece in _pieces(part["text"], size)]
            told.append({"type": "response.reasoning_summary_text.done", **at, "text": part["text"]})
            told.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
    elif item["type"] == "function_call":
        begun["arguments"] = ""
        arguments = str(item["arguments"])
        told += [{"type": "response.function_call_arguments.delta", **where, "delta": piece}
                 for piece in _pieces(arguments, size)]
        told.append({"type": "response.function_call_arguments.done", **where, "name": item["name"],
                     "arguments": arguments})
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun}, *told,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _part_events(part: Item, where: Item, size: int) -> list[Item]:
    name, kind = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    extra: Item = {} if name == "refusal" else {"logprobs": []}
    return [
        {"type": "response.content_part.added", **where, "part": {**part, kind: ""}},
        *({"type": f"response.{name}.delta", **where, "delta": piece, **extra}
          for piece in _pieces(str(part[kind]), size)),
        {"type": f"response.{name}.done", **where, kind: part[kind], **extra},
        {"type": "response.content_part.done", **where, "part": part},
    ]


ANSWERS: dict[str, Item] = {
    "text": response(message("Hello there, é🙂!")),
    "reasoned": response(
        reasoning("**Plan**\nFirst.", "**Check**\nThen."), message("Forty-two.", phase="final_answer")),
    "silent reasoning": response(reasoning(), message("Forty-two.")),
    "refused": response(refusal("I cannot help with that.")),
    "call": response(reasoning(), call("get_weather", '{"city":"Paris"}')),
    "two calls": response(call("get_weather", '{"city":"Paris"}', 1), call("get_weather", '{"city":"Rome"}', 2)),
    "said and called": response(message("Let me look.", phase="commentary"), call("now", "{}")),
    "two messages": response(message("One. ", number=1, phase="commentary"), message("Two.", number=2)),
    "two parts": response(message("One. ", "Two.")),
    "length": incomplete("max_output_tokens", message("Half a", status="incomplete")),
    "cut call": incomplete("max_output_tokens", call("f", '{"a": "b', status="incomplete")),
    "filtered": incomplete("content_filter", message("Half a", status="incomplete")),
    "steered": incomplete("steered", message("Half a", status="incomplete")),
}
"""Answers that are whole."""
