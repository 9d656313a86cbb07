"""What is compared: a router's configuration and the arguments of its calls, under a name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter._config.arguments import ARGUMENTS, merge_params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Config

FIRST, SECOND, THIRD = "primary", "secondary", "tertiary"
"""The models of every simulated scenario."""
UNSAYABLE = {"accept", "headers", "messages", "params", "prompt", "self", "tags"}
"""What a call takes that no word of a command line can be, or that the run says itself."""
EXPECTED = {"hedge": "seconds, p95 or none, and a budget after a slash", "retry": "a number of tries"}


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer the prompts.

    `call` are arguments of `Router.chat` (task, tier, model, chain, hedge, retry, deadline, max_tokens, …). `config`
    is a router's configuration; in a simulated scenario a mapping, laid over the scenario's (`defaults`, `tasks`, …).
    With `stream` the calls read the answer chunk by chunk with `Router.stream`.
    """

    name: str
    call: Mapping[str, object] = field(default_factory=dict)
    config: Config | Mapping[str, object] | None = None
    stream: bool = False

    def described(self) -> dict[str, object]:
        """For a report; a configuration, which may name keys, only by its presence."""
        told = {name: value if isinstance(value, str | int | float | bool | None | list) else repr(value)
                for name, value in self.call.items()}
        return {"name": self.name, "call": told, "stream": self.stream, "config": self.config is not None}


def parse_arm(text: str) -> Arm:
    """An arm from `NAME: key=value …`, as the command line takes it: `hedged: chain=a,b hedge=p95 deadline=20`.

    Raises `ValueError`.
    """
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"expected NAME: key=value …, got {text!r}")
    call: dict[str, object] = {}
    stream = False
    for word in _words(text, rest):
        key, equals, value = word.partition("=")
        if word == "stream":
            stream = True
        elif not equals:
            raise ValueError(f"expected key=value, got {word!r}")
        else:
            call[key] = _value(key, value)
    _check_keys(call)
    return Arm(name.strip(), call, stream=stream)


def _words(text: str, rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise ValueError(f"{error} in the arm {text!r}") from None


def _check_keys(call: Mapping[str, object]) -> None:
    if wrong := UNSAYABLE & call.keys():
        raise ValueError(f"{min(wrong)}: no argument that can be given on a command line")
    if "stream" in call:
        raise ValueError("stream: expected the word alone, without a value")
    try:
        merge_params({}, None, {name: value for name, value in call.items() if name not in ARGUMENTS})
    except TypeError as error:
        raise ValueError(str(error)) from None


def _value(key: str, text: str) -> object:
    if key == "chain":
        return [name.strip() for name in text.split(",")]
    if key == "hedge" and text != "none":
        after, slash, budget = text.partition("/")
        table: dict[str, object] = {"after": after if after == "p95" else _number(key, after)}
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
    """What a scenario is run with when no arms are named; the first one is the baseline."""
    chain = [FIRST, SECOND, THIRD]
    return [
        Arm("direct", {"chain": [FIRST], "retry": {"attempts": 1}}),
        Arm("retry", {"chain": [FIRST]}),
        Arm("fallback", {"chain": chain}),
        Arm("hedge p95", {"chain": chain, "hedge": {"after": "p95"}}),
        Arm("hedge 1.5 s", {"chain": chain, "hedge": {"after": 1.5, "budget": 0.2}}),
    ]
