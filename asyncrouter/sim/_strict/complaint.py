"""A vendor's complaint about a request, the signatures it can verify, and what the files of rules share."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from asyncrouter.sim._request import Wire

Host = Literal["openai", "mistral", "groq", "cerebras", "deepseek"]
"""The hosts of Chat Completions whose rules are known."""
HOSTS: tuple[Host, ...] = get_args(Host)
"""Everything that `strict` can be beside a bool; a bool stands for "openai"."""


class Complaint(NamedTuple):
    """Why a vendor refuses a request: its words, its name for the error, the parameter it names, and the status."""

    message: str
    code: str | None = None
    param: str | None = None
    status: int = 400


def signature_of(wire: Wire, model: str, text: str) -> str:
    """The signature of a text by a model. The model can verify it, and nobody else can make it or use it."""
    return b64encode(sha256(f"{wire} {model} {text}".encode()).digest()).decode()


def objects(value: object) -> list[dict[str, object]]:
    """The objects in a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_in(value: Mapping[str, object], name: str) -> str:
    """The text of a field, "" where it is none."""
    found = value.get(name)
    return found if isinstance(found, str) else ""


def unknown(path: str, value: Mapping[str, object], known: Collection[str]) -> Iterator[str]:
    """The paths of the fields that are not known, and of those that are null without meaning."""
    return (f"{path}.{name}" if path else name for name in value if name not in known)
