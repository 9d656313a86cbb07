"""What the models of a family take and refuse: one table, each row with its source.

To add a rule, add a row. The first row that fits counts, so narrow rows stand above wide ones. Versions are compared by
number: a row without an upper end also holds for every version that is newer than the table, because a vendor's next
model is more like its newest one than like none. An id without a known family gets `NOTHING_KNOWN`, and nothing of the
request is changed on its account.

Four things are known about a model, the plainest first: what the user has configured (`drop`), what the provider has
refused before (a 400 that named a parameter), what the vendor lists as the model's capabilities, and this table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from asyncrouter._config.families import NEWEST, ModelFamily, family_of
from asyncrouter._events import MAX_NAMES

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

EFFORTS: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every reasoning effort of OpenAI's API, the least first."""

ChatTools = Literal["always", "without_effort", "effort_none", "never"]
"""When Chat Completions takes function tools for a model: always; unless an effort is given that is not "none"; only
with the effort "none" given; never."""


@dataclass(frozen=True, slots=True)
class FamilyRules:
    """What is known about the models of a family. The defaults are those of a model about which nothing is known."""

    efforts: tuple[Effort, ...] | None = None
    """The reasoning efforts it takes: none of them for a model that has no such parameter, `None` when not known."""
    default_effort: Effort = "none"
    """How much it reasons when no effort is given."""
    chat_tools: ChatTools = "always"
    responses_only: bool = False
    """Whether Chat Completions does not serve it at all."""

    @property
    def can_reason(self) -> bool:
        """Whether it is a reasoning model, whatever effort a request asks for."""
        return bool(self.efforts)

    def reasons(self, effort: object = None) -> bool:
        """Whether it reasons at this effort; `None` stands for no effort given. Sampling is refused while it does."""
        return self.can_reason and (self.default_effort if effort is None else effort) != "none"

    def chat_takes_tools(self, effort: object = None) -> bool:
        """Whether Chat Completions takes function tools at this effort; `None` stands for no effort given."""
        if self.responses_only or self.chat_tools == "never":
            return False
        if self.chat_tools == "without_effort":
            return effort in {None, "none"}
        return self.chat_tools == "always" or effort == "none"


NOTHING_KNOWN: Final = FamilyRules()
"""The rules of a model whose id names no family that is known here."""


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """The rules for the versions from `since` to `until`, both included, of one line of models.

    With `tags`, only for the models that have one of them in their id.
    """

    vendor: str
    name: str
    rules: FamilyRules
    source: str
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = NEWEST
    tags: frozenset[str] = field(default_factory=frozenset)

    def fits(self, family: ModelFamily) -> bool:
        """Whether these are the rules of this family."""
        return (
            (self.vendor, self.name) == (family.vendor, family.name)
            and self.since <= family.version <= self.until
            and (not self.tags or not self.tags.isdisjoint(family.tags))
        )


@lru_cache(MAX_NAMES)
def rules_of(model_id: str) -> FamilyRules:
    """The rules for a model, found by its id."""
    family = family_of(model_id)
    if family is None:
        return NOTHING_KNOWN
    return next((row.rules for row in ROWS if row.fits(family)), NOTHING_KNOWN)


def closest_effort(asked: object, known: tuple[Effort, ...] | None) -> object:
    """The effort to send instead of one that the model does not take: the next lower one, else the lowest there is.

    "none" is never chosen for somebody who asked for some reasoning. What cannot be judged stays as it is.
    """
    if not known or asked in known or asked not in EFFORTS:
        return asked
    wanted = EFFORTS.index(asked)
    lower = [effort for effort in known if effort != "none" and EFFORTS.index(effort) < wanted]
    return lower[-1] if lower else next((effort for effort in known if effort != "none"), asked)


_NONE_TO_HIGH: Final[tuple[Effort, ...]] = ("none", "low", "medium", "high")
_NONE_TO_XHIGH: Final[tuple[Effort, ...]] = (*_NONE_TO_HIGH, "xhigh")
_LOW_TO_HIGH: Final[tuple[Effort, ...]] = ("low", "medium", "high")
_LOW_TO_XHIGH: Final[tuple[Effort, ...]] = (*_LOW_TO_HIGH, "xhigh")
_LOW_TO_MAX: Final[tuple[Effort, ...]] = (*_LOW_TO_XHIGH, "max")

_NO_EFFORT: Final = FamilyRules(efforts=())
_GPT_5_6: Final = FamilyRules(("none", *_LOW_TO_MAX), "medium", "effort_none")
_GPT_6_1: Final = FamilyRules(_LOW_TO_MAX, "medium", "never")

_PYDANTIC_AI: Final = "pydantic-ai-slim 2.68, OpenAI profiles"
_LITELLM_34569: Final = "BerriAI/litellm PR 34569"
_SDK: Final = "openai 3.57, types.shared.ResponsesModel"
_RESPONSES_ONLY_TAGS: Final = frozenset({"codex", "cyber", "law", "rosalind", "daybreak", "research"})

ROWS: Final = (
    # OpenAI. Models that only the Responses API serves:
    FamilyRow("openai", "gpt", FamilyRules(("high",), "high", "never", responses_only=True), _PYDANTIC_AI,
              (5, 0), (5, 0), frozenset({"pro"})),
    FamilyRow("openai", "gpt", FamilyRules(("medium", "high", "xhigh"), "medium", "never", responses_only=True),
              _PYDANTIC_AI, (5, 1), NEWEST, frozenset({"pro"})),
    FamilyRow("openai", "gpt", FamilyRules(_LOW_TO_HIGH, "medium", "never", responses_only=True), _SDK,
              (5, 0), (5, 0), _RESPONSES_ONLY_TAGS),
    FamilyRow("openai", "gpt", FamilyRules(_LOW_TO_XHIGH, "medium", "never", responses_only=True), _SDK,
              (5, 1), NEWEST, _RESPONSES_ONLY_TAGS),
    FamilyRow("openai", "o", FamilyRules(_LOW_TO_HIGH, "medium", "never", responses_only=True), _SDK,
              tags=frozenset({"pro", "research"})),
    FamilyRow("openai", "codex", FamilyRules(_LOW_TO_HIGH, "medium", "never", responses_only=True), _SDK),
    FamilyRow("openai", "computer-use", FamilyRules((), "none", "never", responses_only=True), _SDK),
    # Models that do not reason, or always as much:
    FamilyRow("openai", "gpt", _NO_EFFORT, _PYDANTIC_AI, (5, 0), (5, 0), frozenset({"chat"})),
    FamilyRow("openai", "gpt", FamilyRules(("medium",), "medium"), _PYDANTIC_AI, (5, 1), NEWEST, frozenset({"chat"})),
    FamilyRow("openai", "gpt", _NO_EFFORT, _PYDANTIC_AI, until=(4, 9)),
    # The others, by version:
    FamilyRow("openai", "o", FamilyRules(_LOW_TO_HIGH, "medium"), _PYDANTIC_AI),
    FamilyRow("openai", "gpt", FamilyRules(("minimal", *_LOW_TO_HIGH), "medium"), _PYDANTIC_AI, (5, 0), (5, 0)),
    FamilyRow("openai", "gpt", FamilyRules(_NONE_TO_XHIGH, "none", "without_effort"), _LITELLM_34569, (5, 2), (5, 2)),
    FamilyRow("openai", "gpt", FamilyRules(_NONE_TO_HIGH), _PYDANTIC_AI, (5, 1), (5, 3)),
    FamilyRow("openai", "gpt", FamilyRules(_NONE_TO_XHIGH, "none", "without_effort"), _LITELLM_34569, (5, 4), (5, 4)),
    FamilyRow("openai", "gpt", FamilyRules(_NONE_TO_XHIGH, "medium", "effort_none"), _LITELLM_34569, (5, 5), (5, 5)),
    FamilyRow("openai", "gpt", _GPT_6_1, _LITELLM_34569, (6, 0), (6, 0), frozenset({"astra"})),
    FamilyRow("openai", "gpt", _GPT_5_6, _LITELLM_34569, (5, 6), (6, 0)),
    FamilyRow("openai", "gpt", _GPT_5_6, "livekit/agents PR 7169", (6, 1), (6, 1), frozenset({"terra"})),
    FamilyRow("openai", "gpt", _GPT_6_1, "bolna-ai/bolna PR 1019", (6, 1)),
    # xAI. Efforts by version; Grok 4.20 is older than 4.3.
    FamilyRow("xai", "grok", _NO_EFFORT, _PYDANTIC_AI, (4, 20), (4, 20)),
    FamilyRow("xai", "grok", _NO_EFFORT, _PYDANTIC_AI, tags=frozenset({"build", "code"})),
    FamilyRow("xai", "grok", FamilyRules(_NONE_TO_HIGH, "low"), _PYDANTIC_AI, (4, 3), (4, 4)),
    FamilyRow("xai", "grok", FamilyRules(_LOW_TO_HIGH, "low"), _PYDANTIC_AI, (4, 5), (4, 6)),
    FamilyRow("xai", "grok", FamilyRules(_LOW_TO_XHIGH, "low"), _PYDANTIC_AI, (4, 7)),
)
"""All rows; the first that fits a family counts."""
