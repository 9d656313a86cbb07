"""By whose rules a schema for the answer is written on Chat Completions: the model's maker's, else the host's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.families import family_of
from asyncrouter._wire.answer_format import ANTHROPIC, ANY, GOOGLE, IN_PROMPT, JSON_MODE, OPENAI
from asyncrouter._wire.families import rules_of

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Model
    from asyncrouter._wire.answer_format import Rules
    from asyncrouter._wire.openai.quirks import Quirks

_FIRST_WITH_SCHEMAS = (4, 1)
"""The version of GPT since which every model takes schemas; of 4.0 only GPT-4o does."""


def format_rules(model: Model, quirks: Quirks | None) -> Rules:
    """The rules for this model at the host with these quirks."""
    if quirks is not None and not quirks.schemas:
        return JSON_MODE
    family = family_of(model.id)
    match None if family is None else (family.vendor, family.name):
        case ("openai", "gpt") if family is not None and family.version < _FIRST_WITH_SCHEMAS:
            return OPENAI if "o" in family.tags else IN_PROMPT
        case ("openai", _):
            return OPENAI
        case ("anthropic", _):
            return IN_PROMPT if rules_of(model.id).schemas == "none" else ANTHROPIC
        case ("google", "gemini"):
            return GOOGLE
    return ANY if quirks is None else quirks.format_rules
