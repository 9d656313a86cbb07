"""Reads a model's id into its family: whose model it is, which line of models, which version.

Ids come dated (`claude-haiku-4-5-20251001`), aliased (`~anthropic/claude-opus-latest`), with names of resellers and
regions around them (`us.anthropic.claude-opus-4-6-v1:0`, `databricks-gpt-6-1-sol`), fine-tuned
(`ft:gpt-4.1-mini:org::x`) and with routing words behind them (`openai/gpt-6-sol:nitro`). What holds for a model holds
for all its ids, so rules are written by family and compared by number: a version that is newer than our list is taken
for the newest one on it. An id in which no family is found (an Azure deployment may have any name) gets no rule at all.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

from asyncrouter._events import MAX_NAMES

NEWEST: Final = (99, 0)
"""The version of an id that names none, such as `claude-opus-latest`: the rules of the newest version hold for it."""


_EDITIONS: Final = frozenset({"exp", "experimental", "latest", "preview"})
"""Words of an id that name an edition of a model; numbers do so, too (`gemini-2.0-flash-001`)."""


class ModelFamily(NamedTuple):
    """What an id says about a model: `openai/gpt-6.1-sol` is ("openai", "gpt", (6, 1), ("sol",))."""

    vendor: str
    """Who made the model, whoever serves it: "openai", "anthropic", "google", "xai", "deepseek", "mistral", "qwen"."""
    name: str
    """The line of models: "gpt", "o", "opus", "gemini" …"""
    version: tuple[int, int]
    """Major and minor number, `NEWEST` where the id has none."""
    tags: tuple[str, ...]
    """The words that follow the version, in order: "mini", "codex", "latest" …"""


    @property
    def kind(self) -> tuple[str, ...]:
        """The words that make another model of it, without those that only name an edition or a date."""
        return tuple(tag for tag in self.tags if tag not in _EDITIONS and not tag.isdigit())


@lru_cache(MAX_NAMES)
def family_of(model_id: str) -> ModelFamily | None:
    """The family of a model, `None` if the id names none that is known here."""
    plain = _without_surroundings(model_id.lower())
    for vendor, name, pattern in _PATTERNS:
        if (found := _compiled(pattern).search(plain)) is not None:
            groups = found.groupdict()
            version = _version(groups.get("major"), groups.get("minor"))
            tags = _words(groups.get("letter"), groups.get("tags"), plain[found.end() :])
            return ModelFamily(vendor, name or groups["name"], version, tags)
    return None


_GEO: Final = r"(?:(?:us|eu|apac|jp|au|ca|in|global|us-gov)\.)?"
"""The regions that Bedrock puts before an id."""

_SURROUNDINGS: Final = (
    (r"^~?(?:ft:)?", ""),  # OpenRouter's aliases; OpenAI's fine-tuned models
    (r"^.*/", ""),  # a vendor's name, or a path of resources
    (rf"^{_GEO}(?:[a-z]+\.)?", ""),  # Bedrock
    (r"@.*", ""),  # Vertex
    (r"(?<!deepseek)-v\d+(?::\d+)?$", ""),  # Bedrock
    (r":.*", ""),  # OpenRouter's variants; the rest of a fine-tuned model's name
    (r"-20\d\d-?\d\d-?\d\d.*", ""),
    (r"gpt-35(?!\d)", "gpt-3.5"),  # Azure, whose names have no dots
    (r"(?<=\d)p(?=\d)", "."),  # Fireworks, likewise
)
"""What is taken away or rewritten before the family is looked for, in this order."""


@cache
def _compiled(text: str) -> re.Pattern[str]:
    """A pattern in which MAJOR, MINOR and TAGS stand for the groups of these names. Most programs need few of them."""
    for name, group in (("MAJOR", r"\d{1,2}"), ("MINOR", r"\d{1,2}"), ("TAGS", r"(?:-[a-z]+)*")):
        text = text.replace(name, f"(?P<{name.lower()}>{group})")
    return re.compile(text)


_PATTERNS: Final = (
    ("openai", "gpt-oss", r"gpt-ossTAGS"),
    ("openai", "gpt", r"(?<![a-z])gpt-MAJOR(?:[.-](?P<minor>\d))?(?!\d)(?P<letter>o)?TAGS"),
    ("openai", "gpt", r"(?<![a-z])gpt(?P<tags>-rosalind(?:-[a-z]+)*|(?:-(?!image|live)[a-z]+)*-latest)"),
    ("openai", "codex", r"^codexTAGS"),
    ("openai", "computer-use", r"^computer-useTAGS"),
    ("openai", "o", r"^oMAJOR(?![a-z0-9.])TAGS"),
    ("anthropic", "", r"claude-(?P<name>[a-z]+)-MAJOR(?:[.-]MINOR)?(?!\d)TAGS"),
    ("anthropic", "", r"claude-MAJOR(?:[.-]MINOR)?-(?P<name>[a-z]+)TAGS"),
    ("anthropic", "", r"claude-(?P<name>opus|sonnet|haiku|fable|mythos)TAGS"),
    ("google", "gemini", r"gemini-MAJOR(?:[.-]MINOR)?(?!\d)TAGS"),
    ("google", "gemini", r"gemini(?P<tags>(?:-[a-z]+)*-latest)"),
    ("google", "gemma", r"gemma-?MAJORTAGS"),
    ("xai", "grok", r"grok-MAJOR(?:[.-]MINOR)?(?!\d)TAGS"),
    ("xai", "grok", r"grokTAGS"),
    ("deepseek", "deepseek-r", r"deepseek-rMAJOR(?!\d)TAGS"),
    ("deepseek", "deepseek", r"deepseek-(?:[a-z]+-)?v?MAJOR(?:[.-]MINOR)?(?!\d)TAGS"),
    ("deepseek", "deepseek", r"deepseekTAGS"),
    ("qwen", "qwen", r"qwen-?MAJOR(?:\.MINOR)?(?!\d)TAGS"),
    ("mistral", "", r"(?P<name>(?:mi|mini|magi|code|dev)stral|[mp]ixtral)TAGS(?:-MAJOR(?!\d))?"),
)
"""Vendor, name ("" where the id's own word is the name) and the pattern of its ids; the first that is found counts."""


def _without_surroundings(model_id: str) -> str:
    for pattern, replacement in _SURROUNDINGS:
        model_id = re.sub(pattern, replacement, model_id)
    return model_id


def _version(major: str | None, minor: str | None) -> tuple[int, int]:
    return NEWEST if major is None else (int(major), int(minor or 0))


def _words(*texts: str | None) -> tuple[str, ...]:
    return tuple(word for text in texts if text for word in text.split("-") if word)
