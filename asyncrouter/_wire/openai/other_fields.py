"""Keeps the fields of a message that are neither its text nor its tool calls: pictures, sound, what a host adds."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncrouter._types import Message

_MEDIA: Final = frozenset({"image", "images", "audio", "audios", "video", "videos"})
"""Fields that hold pictures or sound: an answer, also without a word."""

_NO_MEDIA: Final = frozenset({"id", "type", "index", "expires_at", "format", "mime_type"})
"""Fields beside a picture or sound which do not yet bring any of it."""

_LABELS: Final = frozenset({
    "role", "name", "id", "type", "object", "model", "status", "phase", "channel", "format", "language", "recipient",
    "author", "provider", "mime_type", "detail", "url", "signature", "thought_signature", "encrypted_content",
})
"""Fields whose text comes whole: a host that repeats it does not mean its next piece."""

_SOUND: Final = "data"
"""The field that holds sound as base64."""

_MERGED_LEVELS: Final = 2
"""Levels of objects that are merged; deeper ones come whole."""


class OtherFields:
    """The fields so far. Lists grow, objects are merged, texts are joined; of anything else the last value counts."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: Message = {}

    def __repr__(self) -> str:
        return f"<OtherFields {', '.join(self._fields)}>"

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def add(self, key: str, value: object) -> None:
        """Add the next piece of a field."""
        _add(self._fields, key, value)

    def replace(self, fields: Message) -> None:
        """Put these fields, which come whole, in the place of what has come."""
        self._fields |= fields

    def joined(self) -> Message:
        """The fields as a message of an unstreamed answer has them."""
        return {key: _joined(key, value) for key, value in self._fields.items()}


class _Pieces(list[str]):
    """The pieces of a text."""


def has_media(key: str, value: object) -> bool:
    """Whether a field brings a picture or sound."""
    if key == "parts":  # Google's, and those of a content that is a list
        return isinstance(value, list) and any(_is_media_part(part) for part in value)
    if key not in _MEDIA:
        return False
    if isinstance(value, dict):
        return any(inner and name not in _NO_MEDIA for name, inner in value.items())
    return isinstance(value, str | list) and bool(value)


def _is_media_part(part: object) -> bool:
    if not isinstance(part, dict) or part.get("thought"):
        return False
    kind = part.get("type")
    known = isinstance(kind, str) and any(word in kind for word in ("image", "audio", "video"))
    return known or bool(part.get("inlineData") or part.get("fileData"))


def _add(fields: Message, key: str, value: object, depth: int = 0) -> None:
    held = fields.get(key)
    if isinstance(value, str) and key not in _LABELS and not key.endswith(("_id", "_signature")):
        if isinstance(held, _Pieces):
            held.append(value)
        else:
            fields[key] = _Pieces([value])
    elif isinstance(value, list):
        if type(held) is list:
            held.extend(value)
        else:
            fields[key] = list(value)
    elif isinstance(value, dict) and depth < _MERGED_LEVELS:
        inner = held if isinstance(held, dict) else {}
        fields[key] = inner
        for name, piece in value.items():
            if piece is not None or name not in inner:
                _add(inner, name, piece, depth + 1)
    else:
        fields[key] = value


def _joined(key: str, value: object, depth: int = 0) -> object:
    if isinstance(value, _Pieces):
        return _joined_sound(value) if key == _SOUND else "".join(value)
    if isinstance(value, dict) and depth <= _MERGED_LEVELS:
        return {name: _joined(name, inner, depth + 1) for name, inner in value.items()}
    return value


def _joined_sound(pieces: list[str]) -> str:
    """Pieces of base64 in one: what pads a piece may stand only at the end."""
    if not any(piece.endswith("=") for piece in pieces[:-1]):
        return "".join(pieces)
    try:
        return b64encode(b"".join(map(b64decode, pieces))).decode()
    except ValueError:
        return "".join(pieces)
