"""Translates a conversation into the `contents` of Google's generateContent (ai.google.dev, "Generating content")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import orjson

from asyncrouter._errors import Rejected
from asyncrouter._wire.conversation import Media, Other, Text, Thought, ToolResult, ToolUse
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.gemini.parts import SIGNATURE
from asyncrouter._wire.lost_thoughts import NO_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import ChatMessage, Part

Signed = Literal["nothing", "calls", "pictures"]
"""Where a model wants signatures: nowhere; on the first call of each of its messages; there, and on what it has drawn
and said (models that draw: "Image part is missing a thought_signature", 400)."""

_MEDIA_TYPES: Mapping[str, str] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "mp3": "audio/mpeg",
    "wav": "audio/wav", "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm",
}
"""The media type of a file at an address, by its suffix: the API wants it and does not ask the server there."""


def write_contents(messages: Sequence[ChatMessage], signed: Signed) -> list[Message]:
    """The messages as contents; `signed` is where the model wants signatures."""
    contents: list[Message] = []
    google_ids: set[str] = set()  # ids of calls that came from Google: a model that gave none does not take any
    for message in messages:
        parts = [written for part in message.parts if (written := _part(part, google_ids)) is not None]
        if message.role == "assistant":
            _sign(parts, signed)
        # Results are a content of their own: they must be as many as the calls.
        results = [part for part in parts if "functionResponse" in part]
        rest = [part for part in parts if "functionResponse" not in part]
        role = "model" if message.role == "assistant" else "user"
        contents += ({"role": role, "parts": parts} for parts in (results, rest) if parts)
    return contents


def _sign(parts: list[Message], signed: Signed) -> None:
    """Put signatures where the model wants them and there are none."""
    if signed == "nothing":
        return
    calls = [part for part in parts if "functionCall" in part]
    if calls and not any(SIGNATURE in call for call in calls):
        calls[0][SIGNATURE] = NO_SIGNATURE
    if signed == "pictures" and parts and not any(SIGNATURE in part for part in parts):
        for part in [parts[0], *(part for part in parts if "inlineData" in part)]:
            part[SIGNATURE] = NO_SIGNATURE


def _part(part: Part, google_ids: set[str]) -> Message | None:
    """A part in Google's format; `None` for what only another vendor can read."""
    match part:
        case Text():
            return {"text": part.text, **_signature(part.rest)}
        case Media():
            return {**_media(part), **_signature(part.rest)}
        case Thought():
            return None
        case ToolUse():
            call: Message = {"name": part.name, "args": part.arguments}
            if part.id and _google(part.rest).get("function_call_id") == part.id:
                google_ids.add(part.id)
                call["id"] = part.id
            return {"functionCall": call, **_signature(part.rest)}
        case ToolResult():
            return _result(part, google_ids)
        case Other(path, {"type": "image_url" | "input_audio" | "file" as kind}):
            raise Rejected(f"{path}: generateContent takes no {kind} like this one")
        case Other(path, {"type": str(kind)}):
            raise Rejected(f"{path}: generateContent takes no part of type {kind!r:.40}")
        case Other():
            return {**part.part}


def _google(rest: Message) -> Message:
    """Google's own fields beside a tool call or a message in Chat Completions (its page "OpenAI compatibility")."""
    return object_in(object_in(rest, "extra_content"), "google")


def _signature(rest: Message) -> Message:
    signature = _google(rest).get("thought_signature")
    return {SIGNATURE: signature} if isinstance(signature, str) else {}


def _media(media: Media) -> Message:
    if not media.url:
        return {"inlineData": {"mimeType": media.media_type, "data": media.data}}
    data: Message = {"fileUri": media.url}
    suffix = media.url.partition("?")[0].rpartition(".")[2].lower()
    if media_type := media.media_type or _MEDIA_TYPES.get(suffix):
        data["mimeType"] = media_type
    return {"fileData": data}


def _result(result: ToolResult, google_ids: set[str]) -> Message:
    """A tool result. It is matched to its call by the function's name, for not every model here knows ids."""
    if not result.name:
        raise ValueError(f'{result.path}.tool_call_id: no earlier call is {result.id!r:.80}; it needs a "name"')
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    key = "error" if result.rest.get("is_error") is True else "output"
    response: Message = {"name": result.name, "response": _json_object(text, key)}
    if result.id in google_ids:
        response["id"] = result.id
    media = [_media(part) for part in result.parts if isinstance(part, Media)]
    if media:
        response["parts"] = media
    return {"functionResponse": response}


def _json_object(text: str, key: str) -> Message:
    """The text of a result as the object the API wants: a JSON object as it is, anything else under `key`."""
    if text.lstrip().startswith("{"):
        try:
            found: object = orjson.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    return {key: text}
