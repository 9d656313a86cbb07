"""Arms: what is compared. An arm is a router's configuration and the arguments of its calls, under a name."""

from __future__ import annotations

import inspect
import re
import shlex
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from asyncrouter import Model, Router

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Config

FIRST, SECOND, THIRD = "primary", "secondary", "tertiary"
"""The names of the models that every simulated scenario has."""
NOT_IN_TEXT = {"accept", "headers", "messages", "on_interrupt", "params", "prompt", "self", "tags"}
"""Arguments of a call that no text on a command line can be, or that the run sets itself."""
_DELAY = re.compile(r"p\d[\d.]*|auto")
"""A word in the place of a hedge's seconds; which quantiles are possible, the router says."""
CLOSE = 0.75
"""Similarity (0 to 1, `difflib`) from which an unknown argument is taken for a typo of a known one: one wrong letter in
a name of four."""
PROVIDERS_OWN = {"models"}
"""Parameters of providers that look like a typo of an argument."""
EXPECTED = {"hedge": "seconds, p95, auto or none, and a budget after a slash", "retry": "a number of tries"}
"""What the value of an argument must be, for the message when it is not; of others, a number."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer the prompts.

    `call` are arguments of `Router.chat` (task, tier, model, chain, hedge, retry, deadline, max_tokens, …). `config`
    is a router's configuration (`None`: the built-in one); in a simulated scenario a mapping that overrides parts of
    the scenario's (`defaults`, `tasks`, …). With `stream` the calls read the answer chunk by chunk with
    `Router.stream`. With `beforehand`, in a scenario, each call leaves out the first model of its chain where that
    model's answer would be bad, as somebody could who knows it beforehand: the best that a router could do.
    """

    name: str
    call: Mapping[str, object] = field(default_factory=dict)
    config: Config | Mapping[str, object] | None = None
    stream: bool = False
    beforehand: bool = False

    def described(self) -> dict[str, object]:
        """The arm for a report; of a configuration, which may name keys, only whether there is one."""
        call = {name: value if isinstance(value, str | int | float | bool | None | list) else repr(value)
                for name, value in self.call.items()}
        return {"name": self.name, "call": call, "stream": self.stream, "config": self.config is not None,
                "beforehand": self.beforehand}


def parse_arm(text: str) -> Arm:
    """An arm from `NAME: key=value …`, as the command line has it: `hedged: chain=a,b hedge=p95 deadline=20`.

    Raises `ValueError`.
    """
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"expected NAME: key=value …, got {text!r}")
    call: dict[str, object] = {}
    alone = {"stream": False, "beforehand": False}
    for word in _split(text, rest):
        key, equals, value = word.partition("=")
        if word in alone:
            alone[word] = True
        elif not equals:
            raise ValueError(f"expected key=value, got {word!r}")
        else:
            call[key] = _value(key, value)
    _check_keys(call)
    return Arm(name.strip(), call, stream=alone["stream"], beforehand=alone["beforehand"])


def _split(text: str, rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise ValueError(f"{error} in the arm {text!r}") from None


def _check_keys(call: Mapping[str, object]) -> None:
    """Refuse what a call would refuse, and typos, which it would send to the provider. Raises `ValueError`."""
    if wrong := NOT_IN_TEXT & call.keys():
        raise ValueError(f"{min(wrong)}: not an argument that can be given on a command line")
    for word in {"stream", "beforehand"} & call.keys():
        raise ValueError(f"{word}: expected the word alone, without a value")
    parameters = inspect.signature(Router.chat).parameters.values()
    arguments = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    others = call.keys() - arguments - PROVIDERS_OWN
    try:
        Router().explain(model=Model(provider="openrouter", id="any/model"), **dict.fromkeys(others))  # type: ignore[arg-type]  # names are all that is looked at
    except TypeError as error:
        raise ValueError(str(error)) from None
    for name in others:
        if near := get_close_matches(name, arguments, 1, CLOSE):
            raise ValueError(f"{name}=: did you mean {near[0]}=?")


def _value(key: str, text: str) -> object:
    if key == "chain":
        return [name.strip() for name in text.split(",")]
    if key == "hedge" and text != "none":
        after, slash, budget = text.partition("/")
        table: dict[str, object] = {"after": after if _DELAY.fullmatch(after) else _number(key, after)}
        return table | ({"budget": _number(key, budget)} if slash else {})
    if key == "retry":
        return {"attempts": _number(key, text)}
    if text in {"none", "true", "false"}:
        return {"none": None, "true": True, "false": False}[text]
    try:
        return _number(key, text)
    except ValueError:
        return text


def _number(key: str, text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(f"{key}: expected {EXPECTED.get(key, 'a number')}, got {text!r}")


def standard() -> list[Arm]:
    """The arms of a scenario when none are named; the first one is the baseline, the last one the best possible."""
    chain = [FIRST, SECOND, THIRD]
    return [
        Arm("direct", {"chain": [FIRST], "retry": {"attempts": 1}}),
        Arm("retry", {"chain": [FIRST]}),
        Arm("fallback", {"chain": chain}),
        Arm("hedge p95", {"chain": chain, "hedge": {"after": "p95"}}),
        Arm("hedge auto", {"chain": chain, "hedge": "auto"}),
        Arm("hedge 1.5 s", {"chain": chain, "hedge": {"after": 1.5, "budget": 0.2}}),
        Arm("known beforehand", {"chain": chain}, beforehand=True),
    ]
