"""Keeps the output items of an answer on the assistant's message, and gives them back in the next turn.

A reasoning model goes on where it was only if its own items come back as they were: reasoning with its encrypted
content, messages with their id and phase, calls with theirs. Chat Completions' message has no place for them, so they
stand in it under a name of our own, `responses_output`; `origin` beside it says where they came from. Every other wire
leaves both out.

They go back to the same host and account only: another one cannot read them, and takes an unknown id for an error. To
another model there they go without the reasoning, which no other model can read. If the caller has changed what the
message says, the caller's words count, and nothing kept is sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from asyncrouter._wire.origin import read_origin, same_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.responses.hosts import Target

KEPT: Final = "responses_output"
"""The field of an assistant's message that holds the items of the answer."""

_ID: Final = re.compile(r"[a-z]+_[A-Za-z0-9_-]*[A-Za-z0-9-]")
"""The form of an item's id that the API takes back: a prefix, letters, digits, dashes, and no underscore at the end."""

_PREFIXES: Final = {"reasoning": "rs_", "message": "msg_", "function_call": "fc_", "custom_tool_call": "ctc_"}
"""How the ids of the commonest items begin; the API refuses an id with another prefix."""

_CALLS: Final = frozenset({"function_call", "custom_tool_call"})


def kept_items(
    message: Message, text: str, calls: Sequence[Message], target: Target, *, stored: bool
) -> list[Message] | None:
    """The items of a message as this vendor has written them; `None` if it has not, or if they say something else.

    `text` and `calls` are what the message says now; the calls bring their ids with them.
    """
    output, origin = message.get(KEPT), read_origin(message)
    if not isinstance(output, list) or origin is None or origin[:2] != target.origin[:2]:
        return None
    items = [item for item in output if isinstance(item, dict)]
    found = [item for item in items if item.get("type") in _CALLS]
    if len(items) < len(output) or _text_of(items) != text:
        return None
    if [_core(item) for item in found] != [_core(call) for call in calls]:
        return None
    if not same_model(origin.model, target.origin.model):
        items = [item for item in items if item.get("type") != "reasoning"]
    ids = iter([call["call_id"] for call in calls])
    back = [_written(item, ids, target, stored=stored) for item in items]
    while back and (back[-1] is None or back[-1].get("type") == "reasoning"):  # with nothing behind it, it is refused
        back.pop()
    return [item for item in back if item is not None]


def _text_of(items: Sequence[Message]) -> str:
    """What the messages among the items say, texts before refusals, as a message says them."""
    parts = [part for item in items if item.get("type") == "message" for part in _parts(item)]
    return "".join(
        said for name in ("text", "refusal") for part in parts
        if isinstance(said := part.get(name), str) and (part.get("type") == "refusal") == (name == "refusal")
    )


def _parts(item: Message) -> list[Message]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _core(call: Message) -> tuple[object, ...]:
    """What a call asks for, without its ids."""
    return call.get("type"), call.get("name"), call.get("arguments") or call.get("input") or "{}"


def _written(item: Message, ids: Iterator[object], target: Target, *, stored: bool) -> Message | None:
    """An item as it goes back; `None` for reasoning that the provider could not find again."""
    kind = item.get("type")
    written = {name: value for name, value in item.items() if value is not None}
    told = written.get("id")
    if not _valid_id(told, kind):
        written.pop("id", None)
    if kind == "reasoning":
        return _reasoning(written, target, stored=stored)
    if kind == "message":
        return _message(written)
    if kind in _CALLS:
        written["call_id"] = next(ids)
    return written


def _reasoning(item: Message, target: Target, *, stored: bool) -> Message | None:
    """Its id, summary and blob: the thoughts themselves are refused, and an id alone is known where it is stored."""
    if not (item.get("encrypted_content") or (stored and "id" in item)):
        return None
    names = ("type", "id", "encrypted_content") if target.takes_reasoning_ids else ("type", "encrypted_content")
    kept = {name: item[name] for name in names if item.get(name)}
    written = {**kept, "summary": item.get("summary", [])}
    return None if target.lost is not None and target.lost.holds(written) else written


def _message(item: Message) -> Message:
    """The whole message, or, without an id, its text in the easy form that wants none."""
    if "id" not in item:
        phase = {"phase": item["phase"]} if "phase" in item else {}
        return {"type": "message", "role": "assistant", "content": _text_of([item]), **phase}
    parts = [
        {"type": "output_text", "text": part.get("text"), "annotations": part.get("annotations") or []}
        if part.get("type") == "output_text" else part
        for part in _parts(item)
    ]
    return {"role": "assistant", "status": "completed", **item, "content": parts}


def _valid_id(told: object, kind: object) -> bool:
    prefix = _PREFIXES.get(kind) if isinstance(kind, str) else None
    return isinstance(told, str) and _ID.fullmatch(told) is not None and told.startswith(prefix or "")
