"""Keeps the output items of an answer on the assistant's message, and gives them back in the next turn.

A reasoning model goes on where it was only if its own items come back as they were: reasoning with its encrypted
content, messages with their id and phase, calls with theirs. Chat Completions' message has no place for them, so they
stand in it under a name of our own, `responses_output`, with the host and the model they came from. Every other wire
leaves that name out.

They go back to the same host and account only: another one cannot read them, and takes an unknown id for an error. To
another model there they go without the reasoning, which no other model can read. If the caller has changed what the
message says, the caller's words count, and nothing kept is sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._config.families import NEWEST, family_of
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter._types import Message

KEPT: Final = "responses_output"
"""The field of an assistant's message that holds the items and where they came from."""

_ID: Final = re.compile(r"[a-z]+_[A-Za-z0-9_-]*[A-Za-z0-9-]")
"""The form of an item's id that the API takes back: a prefix, letters, digits, dashes, and no underscore at the end."""

_PREFIXES: Final = {"reasoning": "rs_", "message": "msg_", "function_call": "fc_", "custom_tool_call": "ctc_"}
"""How the ids of the commonest items begin; the API refuses an id with another prefix."""

_CALLS: Final = frozenset({"function_call", "custom_tool_call"})


class Origin(NamedTuple):
    """Where a conversation goes, or where an answer came from."""

    host: str
    provider: str = ""
    """The provider's name in the configuration: another one at the same host has another account."""
    model: str = ""
    takes_reasoning_ids: bool = True
    """Whether reasoning items go back with their id; xAI takes them without."""
    restarts_call_ids: bool = False
    """Whether the ids of tool calls begin anew in every answer."""


def keep(origin: Origin, items: Sequence[Message]) -> Message:
    """The value of `KEPT` for an answer of these items."""
    return {"host": origin.host, "provider": origin.provider, "model": origin.model, "output": list(items)}


def kept_items(
    message: Message, text: str, calls: Sequence[Message], origin: Origin, *, stored: bool
) -> list[Message] | None:
    """The items of a message as this vendor has written them; `None` if it has not, or if they say something else.

    `text` and `calls` are what the message says now; the calls bring their ids with them.
    """
    kept = object_in(message, KEPT)
    output = kept.get("output")
    if not isinstance(output, list) or (kept.get("host"), kept.get("provider")) != (origin.host, origin.provider):
        return None
    items = [item for item in output if isinstance(item, dict)]
    found = [item for item in items if item.get("type") in _CALLS]
    if len(items) < len(output) or _text_of(items) != text:
        return None
    if [_core(item) for item in found] != [_core(call) for call in calls]:
        return None
    if not _same_model(kept.get("model"), origin.model):
        items = [item for item in items if item.get("type") != "reasoning"]
    ids = iter([call["call_id"] for call in calls])
    back = [_written(item, ids, origin, stored=stored) for item in items]
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


def _same_model(one: object, other: str) -> bool:
    """Whether two names mean one model: letter for letter, dated or not. What cannot be read may be the same."""
    if not isinstance(one, str) or not one or one == other:
        return True
    family, wanted = family_of(one), family_of(other)
    if family is None or wanted is None or NEWEST in {family.version, wanted.version}:
        return True
    return family == wanted


def _written(item: Message, ids: Iterator[object], origin: Origin, *, stored: bool) -> Message | None:
    """An item as it goes back; `None` for reasoning that the provider could not find again."""
    kind = item.get("type")
    written = {name: value for name, value in item.items() if value is not None}
    told = written.get("id")
    if not _valid_id(told, kind):
        written.pop("id", None)
    if kind == "reasoning":
        return _reasoning(written, origin, stored=stored)
    if kind == "message":
        return _message(written)
    if kind in _CALLS:
        written["call_id"] = next(ids)
    return written


def _reasoning(item: Message, origin: Origin, *, stored: bool) -> Message | None:
    """Its id, summary and blob: the thoughts themselves are refused, and an id alone is known where it is stored."""
    if not (item.get("encrypted_content") or (stored and "id" in item)):
        return None
    names = ("type", "id", "encrypted_content") if origin.takes_reasoning_ids else ("type", "encrypted_content")
    kept = {name: item[name] for name in names if item.get(name)}
    return {**kept, "summary": item.get("summary", [])}


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
