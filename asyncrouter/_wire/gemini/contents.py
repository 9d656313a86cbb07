"""A conversation in the words of Google's generateContent: contents of parts (ai.google.dev, "Generating content")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import Rejected
from asyncrouter._wire.failure.error_body import part as part_of
from asyncrouter._wire.messages import Media, Other, Text, ToolResult, ToolUse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.messages import Part, Turn

_UNSIGNED = "skip_thought_signature_validator"
"""What Google's page "Thought signatures" gives for a call that another model made: Gemini 3 turns down one without."""

_SUFFIXES: Mapping[str, str] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "mp3": "audio/mpeg",
    "wav": "audio/wav", "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm",
}


def write_contents(turns: Sequence[Turn], *, signed: bool) -> list[Message]:
    """The turns as contents; `signed` says that the model wants the signature of its thoughts on every step's call."""
    contents: list[Message] = []
    known: set[str] = set()  # ids that came from Google: a model that gave none does not take any
    for turn in turns:
        parts = [written for part in turn.parts if (written := _part(part, known)) is not None]
        if turn.role == "assistant" and signed:
            _sign(parts)
        # Results are a content of their own: they must be as many as the calls.
        results = [part for part in parts if "functionResponse" in part]
        rest = [part for part in parts if "functionResponse" not in part]
        role = "model" if turn.role == "assistant" else "user"
        contents += ({"role": role, "parts": parts} for parts in (results, rest) if parts)
    return contents


def _sign(parts: list[Message]) -> None:
    calls = [part for part in parts if "functionCall" in part]
    if calls and not any("thoughtSignature" in call for call in calls):
        calls[0]["thoughtSignature"] = _UNSIGNED


def _part(part: Part, known: set[str]) -> Message | None:
    """A part in Google's words; `None` for what only another vendor could read."""
    match part:
        case Text():
            return {"text": part.text, **_signature(part.rest)}
        case Media():
            return _media(part)
        case ToolUse():
            call: Message = {"name": part.name, "args": part.arguments}
            if part.id and _google(part.rest).get("function_call_id") == part.id:
                known.add(part.id)
                call["id"] = part.id
            return {"functionCall": call, **_signature(part.rest)}
        case ToolResult():
            return _result(part, known)
        case Other(place, {"type": str(kind)}):
            if place.endswith(".thinking_blocks"):  # another vendor's signed thoughts
                return None
            raise Rejected(f"{place}: generateContent takes no part of type {kind!r:.40}")
        case Other():
            return {**part.part}


def _google(rest: Message) -> Message:
    """What Google keeps beside a tool call or a message in Chat Completions (its page "OpenAI compatibility")."""
    return part_of(part_of(rest, "extra_content"), "google")


def _signature(rest: Message) -> Message:
    signature = _google(rest).get("thought_signature")
    return {"thoughtSignature": signature} if isinstance(signature, str) else {}


def _media(media: Media) -> Message:
    if not media.url:
        return {"inlineData": {"mimeType": media.media_type, "data": media.data}}
    data: Message = {"fileUri": media.url}
    suffix = media.url.partition("?")[0].rpartition(".")[2].lower()
    if media_type := media.media_type or _SUFFIXES.get(suffix):
        data["mimeType"] = media_type
    return {"fileData": data}


def _result(result: ToolResult, known: set[str]) -> Message:
    """A result, matched by its function's name: not every model here knows ids."""
    if not result.name:
        raise ValueError(f'{result.place}.tool_call_id: no earlier call is {result.id!r:.80}; it needs a "name"')
    said = "".join(part.text for part in result.parts if isinstance(part, Text))
    key = "error" if result.rest.get("is_error") is True else "output"
    response: Message = {"name": result.name, "response": _object(said, key)}
    if result.id in known:
        response["id"] = result.id
    media = [_media(part) for part in result.parts if isinstance(part, Media)]
    if media:
        response["parts"] = media
    return {"functionResponse": response}


def _object(said: str, key: str) -> Message:
    """The API takes an object only: a JSON object as it is, anything else under `key`."""
    if said.lstrip().startswith("{"):
        try:
            found: object = orjson.loads(said)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    return {key: said}
