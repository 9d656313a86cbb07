"""Conditions on a report, for CI: `p99_e2e<2.5 and success>0.999`."""

from __future__ import annotations

import operator
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.bench.definitions import DEFINITIONS, is_measure
from asyncrouter.bench.formatting import N_TOO_SMALL, figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter.bench.report import ArmReport, Report

_CONDITION = re.compile(r"(?:(?P<arm>.+?):)?\s*(?P<name>[\w.]+)\s*(?P<sign><=|>=|<|>)\s*(?P<limit>[-+.\de]+)")
"""One condition: an arm and a colon, or neither; a measure, a sign, a number."""
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}
"""How each sign compares a value with its limit."""

AGAINST_BASELINE = {name for name in DEFINITIONS if name.startswith("saved_")} | {"usd_per_second_saved"}
"""Measures that the baseline itself does not have."""


class Condition(NamedTuple):
    """A limit on one measure, of one arm or (`None`) of every arm that can have it."""

    arm: str | None
    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        where = "" if self.arm is None else f"{self.arm}: "
        return f"{where}{self.name} {self.sign} {self.limit:g}"

    def broken(self, arm: ArmReport) -> str | None:
        """Why it does not hold for an arm, `None` if it holds. A measure that is not known does not hold."""
        estimate = arm.measures.get(self.name)
        if estimate is None or (estimate.value is None and estimate.n == 0):
            return f"{arm.name}: {self} cannot be checked: there is no such figure here"
        if not estimate.enough:
            return f"{arm.name}: {self} cannot be checked: {N_TOO_SMALL} ({estimate.n})"
        value = float("inf") if estimate.value is None else estimate.value
        text = figure(self.name, estimate, interval=True)
        return None if _SIGNS[self.sign](value, self.limit) else f"{arm.name}: {self} does not hold: {text}"


def parse_conditions(text: str) -> list[Condition]:
    """Conditions joined by `and` or `&&`; `ARM: measure<limit` is about one arm. Raises `ValueError`."""
    return [_condition(part.strip()) for part in re.split(r"\sand\s|&&", text)]


def broken(report: Report, conditions: list[Condition]) -> list[str]:
    """A line for every condition and arm where it does not hold, with the reason.

    Raises `ValueError` for an arm that is not in the report.
    """
    check_arms(conditions, [arm.name for arm in report.arms])
    found = (condition.broken(arm) for condition in conditions for arm in _selected(condition, report.arms))
    return [reason for reason in found if reason is not None]


def check_arms(conditions: Sequence[Condition], names: Sequence[str]) -> None:
    """Raise `ValueError` for a condition on an arm that is not there."""
    if unknown := {condition.arm for condition in conditions if condition.arm is not None} - set(names):
        raise ValueError(f"no arm {', '.join(sorted(unknown))}: there are {', '.join(sorted(names))}")


def _selected(condition: Condition, arms: Sequence[ArmReport]) -> Sequence[ArmReport]:
    """The arms of a condition. One on a saving does not apply to the baseline, unless that is the only arm."""
    if condition.arm is not None:
        return [arm for arm in arms if arm.name == condition.arm]
    return arms[1:] or arms if condition.name in AGAINST_BASELINE else arms


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(f"expected measure<number, got {text!r:.80}")
    if not is_measure(found["name"]):
        near = get_close_matches(found["name"], DEFINITIONS, 4, 0.4)
        names = ", ".join([*near, "…"])
        raise ValueError(f"no measure {found['name']!r}: there are {names} (`asyncrouter bench measures` lists them)")
    arm = found["arm"]
    return Condition(None if arm is None else arm.strip(), found["name"], found["sign"], float(found["limit"]))
