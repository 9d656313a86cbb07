"""Writes the content of a message: Chat Completions' parts become those of the Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._errors import Rejected
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.messages import list_at, text_at

if TYPE_CHECKING:
    from asyncrouter._types import Message

_OWN_PARTS: Final = frozenset({"input_text", "input_image", "input_file"})
"""Parts that are in the API's own form already; they go out as the caller wrote them."""

_SAID: Final = {"text": "text", "output_text": "text", "refusal": "refusal"}
"""The parts of an assistant's message that are text, and the field in which each has it."""

_CACHE_MARK: Final = "prompt_cache_breakpoint"
"""The field beside a part's content that means the same in both of OpenAI's APIs."""


def write_content(path: str, content: object) -> str | list[Message]:
    """What a user, a system message or a tool says: a text as it is, parts translated.

    Raises `ValueError` for a part that is malformed, `Rejected` for one that the API has no place for.
    """
    if isinstance(content, str):
        return content
    parts = list_at(f"{path}.content", content)
    return [_part(f"{path}.content[{index}]", part) for index, part in enumerate(parts)]


def said_text(path: str, message: Message) -> str:
    """What an assistant's message says, refusals included; parts that are no text are another vendor's and left out."""
    content, refusal = message.get("content"), message.get("refusal")
    texts = [content] if isinstance(content, str) else []
    if not isinstance(content, str):
        for part in list_at(f"{path}.content", content):
            if isinstance(part, dict):
                part = part.get(_SAID.get(str(part.get("type")), ""))
            if isinstance(part, str):
                texts.append(part)
    if isinstance(refusal, str):
        texts.append(refusal)
    return "".join(texts)


def _part(path: str, part: object) -> Message:
    if isinstance(part, str):
        return {"type": "input_text", "text": part}
    if not isinstance(part, dict):
        raise ValueError(f"{path}: expected a part with a type, got {part!r:.80}")
    kind = part.get("type")
    if isinstance(kind, str) and kind in _OWN_PARTS:
        return part
    if kind == "text" or kind == "refusal":
        written: Message = {"type": "input_text", "text": text_at(f"{path}.{kind}", part.get(kind), empty=True)}
    elif kind == "image_url":
        written = _image(path, part.get("image_url"))
    elif kind == "file":
        written = _file(path, object_in(part, "file"))
    else:
        raise Rejected(f"{path}: the Responses API has no place for a part of type {kind!r:.40}{_cure(kind)}")
    if _CACHE_MARK in part:
        written[_CACHE_MARK] = part[_CACHE_MARK]
    return written


def _cure(kind: object) -> str:
    return ', Chat Completions has (wire = "openai" on the provider)' if kind == "input_audio" else ""


def _image(path: str, image: object) -> Message:
    """A picture, whose address may stand alone or in an object beside its `detail`."""
    inner = image if isinstance(image, dict) else {"url": image}
    detail = inner.get("detail")
    url = text_at(f"{path}.image_url.url", inner.get("url"))
    return {"type": "input_image", "image_url": url, "detail": detail if isinstance(detail, str) else "auto"}


def _file(path: str, file: Message) -> Message:
    given = {name: file[name] for name in ("filename", "file_data", "file_id", "file_url") if file.get(name)}
    if given.keys() <= {"filename"}:
        raise ValueError(f"{path}.file: expected file_data, file_id or file_url")
    return {"type": "input_file", **given}
