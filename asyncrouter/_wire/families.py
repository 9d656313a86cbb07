"""What the models of a family take and refuse: one table, each row with its source.

To add a rule, add a row. The first row that fits counts, so narrow rows stand above wide ones. Versions are compared by
number: a row without an upper end also holds for every version that is newer than the table, because a vendor's next
model is more like its newest one than like none. An id without a known family gets `NOTHING_KNOWN`, and nothing of the
request is changed on its account.

Four things are known about a model, the plainest first: what the user has configured (`drop`), what the provider has
refused before (a 400 that named a parameter), what the vendor lists as the model's capabilities, and this table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal

from asyncrouter._config.families import NEWEST, ModelFamily, family_of
from asyncrouter._events import MAX_NAMES

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
When = Literal["always", "unless_reasoning", "never"]

EFFORTS: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every reasoning effort of OpenAI's API, the least first."""

ChatTools = Literal["always", "without_effort", "effort_none", "never"]
"""When Chat Completions takes function tools for a model: always; unless an effort is given that is not "none"; only
with the effort "none" given; never."""


SAMPLING: Final = frozenset({
    "temperature", "top_p", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "logit_bias",
})
"""The parameters of sampling that OpenAI's models refuse while they reason (pydantic-ai-slim 2.68)."""

IdForm = Literal["openai", "anthropic", "mistral"]
"""The ids of tool calls that a model takes: up to 64 characters; letters, digits, `_` and `-`; nine letters or digits.
"""


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
    refused: frozenset[str] = frozenset()
    """Parameters that it always refuses, by their names in Chat Completions; `top_k` is no name of OpenAI's."""
    refused_reasoning: frozenset[str] = SAMPLING
    """Parameters that it refuses while it reasons."""
    forced_tools: When = "always"
    """When a `tool_choice` may demand a call, of any tool or of a certain one."""
    tool_ids: IdForm = "openai"
    bridges_results: bool = False
    """Whether it wants a message of the assistant's between a tool's result and the user's next message."""

    thinking: tuple[Literal["enabled", "adaptive"], ...] | None = None
    """Anthropic: the kinds of `thinking` it can be asked for, the best one first; `None` when not known."""
    off: Literal["absent", "disabled", "between_tools", "never"] = "disabled"
    """Anthropic: what turns thinking off: leaving `thinking` out, one of its types, or nothing."""
    hides_thoughts: bool = False
    """Anthropic: whether thoughts come empty unless their summary is asked for."""
    prefill: bool = True
    """Anthropic: whether it goes on with a message of the assistant's that stands last."""
    schemas: Literal["any", "limited", "none"] = "any"
    """Anthropic: the JSON schemas it takes, for its answer and for strict tools."""
    one_sampling: bool = False
    """Anthropic: whether it takes only one of `temperature` and `top_p`."""
    budget: tuple[int, int] | None = None
    """Google: the least and the most tokens of thinking, for models that take a budget and no level."""

    @property
    def can_rest(self) -> bool:
        """Whether it can be asked not to reason."""
        return self.efforts is not None and "none" in self.efforts

    @property
    def can_reason(self) -> bool:
        """Whether it is a reasoning model, whatever effort a request asks for."""
        return bool(self.efforts)

    def reasons(self, effort: object = None) -> bool:
        """Whether it reasons at this effort; `None` stands for no effort given. Sampling is refused while it does."""
        return self.can_reason and (self.default_effort if effort is None else effort) != "none"

    def refuses(self, effort: object = None) -> frozenset[str]:
        """The parameters that it refuses at this effort; `None` stands for no effort given."""
        return self.refused | self.refused_reasoning if self.reasons(effort) else self.refused

    def chat_takes_tools(self, effort: object = None) -> bool:
        """Whether Chat Completions takes function tools at this effort; `None` stands for no effort given."""
        if self.responses_only or self.chat_tools == "never":
            return False
        if self.chat_tools == "without_effort":
            return effort is None or effort == "none"
        return self.chat_tools == "always" or effort == "none"


NOTHING_KNOWN: Final = FamilyRules()
"""The rules of a model whose id names no family that is known here."""


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """The rules for the versions from `since` to `until`, both included, of one line of models.

    The name "" stands for all lines of the vendor. With `tags`, only for the models that have one of them in their id.
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
            self.vendor == family.vendor and self.name in {"", family.name}
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

_OFF_OR_LOW_TO_MAX: Final[tuple[Effort, ...]] = ("none", *_LOW_TO_MAX)
_MINIMAL_TO_HIGH: Final[tuple[Effort, ...]] = ("minimal", *_LOW_TO_HIGH)

_NO_EFFORT: Final = FamilyRules(efforts=())
_GPT_5_6: Final = FamilyRules(("none", *_LOW_TO_MAX), "medium", "effort_none")
_GPT_6_1: Final = FamilyRules(_LOW_TO_MAX, "medium", "never")

_PYDANTIC_AI: Final = "pydantic-ai-slim 2.68, OpenAI profiles"
_LITELLM_34569: Final = "BerriAI/litellm PR 34569"
_SDK: Final = "openai 3.57, types.shared.ResponsesModel"
_CLAUDE: Final = "platform.claude.com, pages on thinking, effort and structured outputs; pydantic-ai-slim 2.68"
_INSPECT_5176: Final = "UKGovernmentBEIS/inspect_ai PR 5176"
_GEMINI: Final = "ai.google.dev, \"Thinking\"; pydantic-ai-slim 2.68, Google profiles"
_XAI: Final = "docs.x.ai, \"Reasoning\""
_DEEPSEEK: Final = "api-docs.deepseek.com, \"Thinking mode\"; pydantic-ai-slim 2.68"
_MISTRAL: Final = "HKUDS/nanobot PR 1293 (ids); NousResearch/hermes-agent#20154 (order of roles)"
_RESPONSES_ONLY_TAGS: Final = frozenset({"codex", "cyber", "law", "rosalind", "daybreak", "research"})


def _claude(efforts: tuple[Effort, ...], off: Literal["absent", "disabled", "between_tools", "never"],
            forced_tools: When = "never") -> FamilyRules:
    """The rules of Claude since 4.7: adaptive thinking that is hidden, no sampling, no prefill."""
    return FamilyRules(
        efforts, "high", refused=frozenset({"temperature", "top_p", "top_k"}), forced_tools=forced_tools,
        tool_ids="anthropic", thinking=("adaptive",), off=off, hides_thoughts=True, prefill=False, schemas="limited",
    )


def _gemini(efforts: tuple[Effort, ...], budget: tuple[int, int] | None = None) -> FamilyRules:
    return FamilyRules(efforts, "medium", refused_reasoning=frozenset(), budget=budget)


_CLAUDE_4_5: Final = FamilyRules(
    refused_reasoning=frozenset({"temperature", "top_p", "top_k"}), forced_tools="unless_reasoning",
    tool_ids="anthropic", thinking=("enabled",), off="absent", one_sampling=True, schemas="limited",
)
_PENALTIES: Final = frozenset({"presence_penalty", "frequency_penalty"})
_GROK_4: Final = FamilyRules((), refused=_PENALTIES, refused_reasoning=frozenset())

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
    FamilyRow("openai", "gpt-oss", FamilyRules(_LOW_TO_HIGH, "medium", refused_reasoning=frozenset(),
                                               forced_tools="never"), _PYDANTIC_AI),
    # Anthropic. What thinks whenever it likes, and takes no forced tools:
    FamilyRow("anthropic", "fable", _claude(_LOW_TO_MAX, "never", forced_tools="always"), _CLAUDE, (5, 0), (5, 0)),
    FamilyRow("anthropic", "fable", _claude(_LOW_TO_MAX, "never"), _INSPECT_5176),
    FamilyRow("anthropic", "mythos", _claude(_LOW_TO_MAX, "never", forced_tools="always"), _CLAUDE, (5, 0), (5, 0)),
    FamilyRow("anthropic", "mythos", _claude(_LOW_TO_MAX, "never"), _INSPECT_5176),
    FamilyRow("anthropic", "opus", _claude(_LOW_TO_MAX, "never"), _INSPECT_5176, (5, 5)),
    FamilyRow("anthropic", "sonnet", _claude(_OFF_OR_LOW_TO_MAX, "between_tools"), _INSPECT_5176, (5, 5)),
    # What thinks unless it is told not to:
    FamilyRow("anthropic", "", _claude(_OFF_OR_LOW_TO_MAX, "disabled", forced_tools="always"), _CLAUDE, (5, 0)),
    # What thinks when it is told to:
    FamilyRow("anthropic", "", replace(
        _claude(_OFF_OR_LOW_TO_MAX, "absent", forced_tools="always"), default_effort="none"), _CLAUDE, (4, 7), (4, 9)),
    FamilyRow("anthropic", "", replace(
        _CLAUDE_4_5, efforts=("none", *_LOW_TO_HIGH, "max"), thinking=("adaptive", "enabled"), prefill=False),
        _CLAUDE, (4, 6), (4, 6)),
    FamilyRow("anthropic", "opus", replace(_CLAUDE_4_5, efforts=_NONE_TO_HIGH), _CLAUDE, (4, 5), (4, 5)),
    FamilyRow("anthropic", "", _CLAUDE_4_5, _CLAUDE, (4, 5), (4, 5)),
    FamilyRow("anthropic", "opus", _CLAUDE_4_5, _CLAUDE, (4, 1), (4, 4)),
    FamilyRow("anthropic", "", replace(_CLAUDE_4_5, schemas="none", one_sampling=False), _CLAUDE, (3, 7), (4, 4)),
    FamilyRow("anthropic", "", FamilyRules(
        efforts=(), thinking=(), off="absent", schemas="none", tool_ids="anthropic"), _CLAUDE, until=(3, 6)),
    # Google. A level of thinking since version 3, a budget of tokens before, neither for other kinds of models:
    FamilyRow("google", "gemma", _NO_EFFORT, _GEMINI),
    FamilyRow("google", "gemini", _NO_EFFORT, _GEMINI, tags=frozenset({"image", "tts", "live", "audio"})),
    FamilyRow("google", "gemini", _NO_EFFORT, _GEMINI, until=(2, 4)),
    FamilyRow("google", "gemini", _gemini(_MINIMAL_TO_HIGH, (128, 32_768)), _GEMINI, (2, 5), (2, 9),
              frozenset({"pro"})),
    FamilyRow("google", "gemini", _gemini(("none", *_MINIMAL_TO_HIGH), (512, 24_576)), _GEMINI, (2, 5), (2, 9),
              frozenset({"lite"})),
    FamilyRow("google", "gemini", _gemini(("none", *_MINIMAL_TO_HIGH), (1, 24_576)), _GEMINI, (2, 5), (2, 9)),
    FamilyRow("google", "gemini", _gemini(("low", "high")), _GEMINI, (3, 0), (3, 0), frozenset({"pro"})),
    FamilyRow("google", "gemini", _gemini(_LOW_TO_HIGH), _GEMINI, (3, 1), (3, 9), frozenset({"pro"})),
    FamilyRow("google", "gemini", _gemini(_MINIMAL_TO_HIGH), _GEMINI, (3, 0), (3, 6)),
    FamilyRow("google", "gemini", _gemini(_LOW_TO_HIGH), _GEMINI, (3, 7)),
    # xAI. Efforts by version; Grok 4.20 is older than 4.3. What reasons refuses penalties:
    FamilyRow("xai", "grok", _GROK_4, _PYDANTIC_AI, (4, 20), (4, 20)),
    FamilyRow("xai", "grok", _NO_EFFORT, _PYDANTIC_AI, tags=frozenset({"build", "code"})),
    FamilyRow("xai", "grok", _GROK_4, _XAI, (4, 0), (4, 2)),
    FamilyRow("xai", "grok", replace(_GROK_4, efforts=_NONE_TO_HIGH, default_effort="low"), _PYDANTIC_AI,
              (4, 3), (4, 4)),
    FamilyRow("xai", "grok", replace(_GROK_4, efforts=_LOW_TO_HIGH, default_effort="low"), _PYDANTIC_AI,
              (4, 5), (4, 6)),
    FamilyRow("xai", "grok", replace(_GROK_4, efforts=_LOW_TO_XHIGH, default_effort="low"), _PYDANTIC_AI, (4, 7)),
    # DeepSeek. Since version 4 it thinks unless it is told not to; `deepseek-chat` is told:
    FamilyRow("deepseek", "deepseek", NOTHING_KNOWN, _DEEPSEEK, tags=frozenset({"chat"})),
    FamilyRow("deepseek", "deepseek", FamilyRules(
        ("none", "low", "high", "max"), "high", refused_reasoning=frozenset({"logprobs", "top_logprobs"}),
        forced_tools="unless_reasoning"), _DEEPSEEK, (4, 0)),
    # Mistral. Its rules about tool calls hold wherever its models are served:
    FamilyRow("mistral", "", FamilyRules(tool_ids="mistral", bridges_results=True), _MISTRAL),
)
"""All rows; the first that fits a family counts."""
