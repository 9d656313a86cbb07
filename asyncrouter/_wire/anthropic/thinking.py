"""Writes how much Claude thinks, and settles what does not go together with thinking.

Every generation of Claude takes something else (`_wire/families.py`): a budget of tokens, or "adaptive" with an effort;
thinking that can be turned off, is off by default, or is always on. What was asked for becomes what this model takes.
Where two wishes exclude each other, the weaker one is given up:

- A forced tool is stronger than thinking. Where thinking cannot be turned off, the choice becomes "auto", as in
  Anthropic's own client; of several tools only the one that was demanded is offered.
- Thinking is stronger than sampling parameters.
- A limit of tokens is stronger than a budget of thinking.

Where a model hides its thoughts, their summary is asked for: its first word shows that the model is at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._wire.families import EFFORTS, NOTHING_KNOWN, FamilyRules, closest_effort
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

MAX_TOKENS: Final = 4096
"""Tokens of output when the caller gave no limit and the model's `max_output` is not known. The API demands one, and
every model since Claude 3 can write as much."""

MIN_BUDGET: Final = 1024
"""The smallest budget of thinking that the API takes, in tokens."""

_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": MIN_BUDGET, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 24_576,
}
"""Tokens of thinking for each effort, for models that take no effort."""

_UP_TO_HIGH: Final = EFFORTS[: EFFORTS.index("high") + 1]
"""The efforts at which thinking can be turned off."""

_OFF: Final = ("disabled", "between_tools")
_ON: Final = ("enabled", "adaptive")


class Wish(NamedTuple):
    """How much thinking a request asks for, in whichever words."""

    native: Message
    """`thinking` as the API has it, empty if it was not given."""
    effort: object
    """`None` if it was not given."""
    budget: int | None
    shown: bool

    @property
    def is_off(self) -> bool:
        """Whether it asks for no thinking."""
        return self.native["type"] in _OFF if "type" in self.native else self.effort == "none"


def put_thinking(body: Message, given: Message, rules: FamilyRules, max_output: int | None) -> None:
    """Move thinking, effort and the limit of tokens from the parameters to the body, and leave out what clashes."""
    wish = _take_wish(given)
    output = dict(object_in(given, "output_config"))
    given.pop("output_config", None)
    config, effort = _answer(wish, rules)
    if effort is not None:
        output.setdefault("effort", effort)
    config = _settle_tools(body, config, rules)
    config = _put_limit(body, given, config, max_output)
    if config is not None:
        if config.get("type") in _ON and rules.hides_thoughts:
            config = {"display": "summarized" if wish.shown else "omitted", **config}
        body["thinking"] = config
    _put_effort(body, output, config, rules)
    thinks = config is not None and config.get("type") in _ON
    for name in rules.refused | (rules.refused_reasoning if thinks and rules is not NOTHING_KNOWN else frozenset()):
        given.pop(name, None)
    if rules.one_sampling and "temperature" in given:
        given.pop("top_p", None)


def _take_wish(given: Message) -> Wish:
    native, effort = given.pop("thinking", None), given.pop("reasoning_effort", None)
    reasoning = object_in(given, "reasoning")  # OpenRouter's form of reasoning_effort
    given.pop("reasoning", None)
    if effort is None:
        effort = "none" if reasoning.get("enabled") is False else reasoning.get("effort")
    budget = reasoning.get("max_tokens")
    return Wish(
        native if isinstance(native, dict) else {}, effort, budget if isinstance(budget, int) else None,
        reasoning.get("exclude") is not True,
    )


def _answer(wish: Wish, rules: FamilyRules) -> tuple[Message | None, object]:
    """`thinking` and effort as this model takes them; `None` for leaving them out."""
    effort = None if wish.effort == "none" else "low" if wish.effort == "minimal" else wish.effort
    if wish.is_off:
        if rules.off == "never":
            return _on(wish, rules, effort), effort or "low"
        return None if rules.off == "absent" else {"type": rules.off}, effort
    if wish.native or effort is not None or wish.budget is not None:
        return _on(wish, rules, effort), effort
    # What thinks by itself is asked to show it.
    return {"type": "adaptive"} if rules.hides_thoughts and rules.default_effort != "none" else None, None


def _on(wish: Wish, rules: FamilyRules, effort: object) -> Message | None:
    """The `thinking` of a model that is to think: as it was given, or another kind where that one is refused."""
    kinds = rules.thinking
    kind = wish.native.get("type")
    if wish.native and (kinds is None or kind in kinds or kind not in (*_ON, *_OFF)):
        budget = wish.native.get("budget_tokens")
        too_small = isinstance(budget, int) and budget < MIN_BUDGET
        return {**wish.native, "budget_tokens": MIN_BUDGET} if too_small else wish.native
    if kinds == ():
        return None
    rest: Message = {name: wish.native[name] for name in ("display",) if name in wish.native}
    wanted = "adaptive" if kinds is None else kinds[0]
    if wish.budget is not None and (kinds is None or "enabled" in kinds):
        wanted = "enabled"
    if wanted == "adaptive":
        return {"type": "adaptive", **rest}
    budget = wish.native.get("budget_tokens", wish.budget)
    tokens = budget if isinstance(budget, int) else _BUDGETS.get(str(effort), _BUDGETS["medium"])
    return {"type": "enabled", "budget_tokens": max(MIN_BUDGET, tokens), **rest}


def _settle_tools(body: Message, config: Message | None, rules: FamilyRules) -> Message | None:
    """The `thinking` that goes together with the tools, whose choice becomes "auto" where it cannot be kept."""
    choice = object_in(body, "tool_choice")
    if choice.get("type") in ("any", "tool"):
        if rules.forced_tools == "unless_reasoning":
            return None
        if rules.forced_tools == "never":
            _free_choice(body, choice)
    if config is not None and config.get("type") == "enabled" and _lacks_thought(body["messages"]):
        return {"type": "adaptive"} if rules.thinking is not None and "adaptive" in rules.thinking else None
    return config


def _free_choice(body: Message, choice: Message) -> None:
    """Let the model choose; of several tools it is offered only the one that was demanded."""
    body["tool_choice"] = {**{name: value for name, value in choice.items() if name != "name"}, "type": "auto"}
    tools = body.get("tools")
    if choice.get("type") == "tool" and isinstance(tools, list):
        body["tools"] = [tool for tool in tools if tool.get("name") == choice.get("name")] or tools


def _lacks_thought(messages: object) -> bool:
    """Whether the last message is the result of a call that no thought stands before: with a budget that is a 400."""
    if not isinstance(messages, list) or len(messages) < 2:
        return False
    said, results = messages[-2]["content"], messages[-1]["content"]
    if not isinstance(said, list) or not isinstance(results, list) or messages[-2]["role"] != "assistant":
        return False
    called = any(block.get("type") == "tool_use" for block in said)
    return called and said[0].get("type") not in ("thinking", "redacted_thinking")


def _put_limit(body: Message, given: Message, config: Message | None, max_output: int | None) -> Message | None:
    """Write `max_tokens`; the `thinking` whose budget is below it, `None` if the smallest one is not."""
    newer, older = given.pop("max_completion_tokens", None), given.pop("max_tokens", None)
    asked = older if newer is None else newer
    limit = max_output or MAX_TOKENS if asked is None else asked
    budget = None if config is None else config.get("budget_tokens")
    if config is not None and isinstance(budget, int) and isinstance(limit, int) and budget >= limit:
        if asked is None and max_output is None:
            limit = budget + MAX_TOKENS
        elif limit > MIN_BUDGET:
            config = {**config, "budget_tokens": max(MIN_BUDGET, limit * 3 // 4)}
        else:
            config = None
    body["max_tokens"] = limit
    return config


def _put_effort(body: Message, output: Message, config: Message | None, rules: FamilyRules) -> None:
    effort = output.get("effort")
    if rules is not NOTHING_KNOWN and not rules.efforts:
        output.pop("effort", None)
    elif effort is not None:
        known = rules.efforts
        if config is not None and config.get("type") in _OFF and known is not None:
            known = tuple(one for one in known if one in _UP_TO_HIGH)
        output["effort"] = closest_effort(effort, known)
    if output:
        body["output_config"] = output
