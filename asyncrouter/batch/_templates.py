"""Prompt templates: `"Translate: {text}"` with the columns of a table, or the fields of a JSON object. Pure."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping


def template_columns(template: str) -> list[str]:
    """The names of the columns in a prompt template. Raises `BatchError` for what is no template."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise BatchError(f"prompt template: {error}; a brace that is one is written twice") from None
    # `str.format` can reach into an object ("{text.__class__}", "{0[1]}"); the name of a column cannot.
    if wrong := [field for field in fields if not field or any(sign in field for sign in ".[")]:
        raise BatchError(f"prompt template: expected the name of a column in braces, got {{{wrong[0]}}}")
    return fields


def filled(template: str, values: Mapping[str, object]) -> str:
    """The prompt: text and numbers as they are, nothing for what is missing, lists and objects as JSON.

    Raises `KeyError` for a name that the values do not have, `ValueError` for a format that does not suit one.
    """
    return template.format_map(_Shown(values))


class _Shown(dict[str, object]):
    """Values as they stand in a prompt."""

    def __getitem__(self, name: str) -> object:
        value = super().__getitem__(name)
        if value is None:
            return ""
        return json_bytes(value).decode() if isinstance(value, dict | list) else value
