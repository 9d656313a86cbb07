"""Whether two reports can be compared: settings under which the same system gives other figures must be equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter.bench.report import Report

HARMLESS = {"seed", "budget_usd", "warmup", "load.calls", "load.seconds"}
"""Settings that may differ: they change which calls are made, and how many, not what each one meets."""
MACHINE = ("asyncrouter", "python", "system", "processors")
"""Parts of the environment whose difference is said: another machine or version may be all that a comparison shows."""


class Unlike(ValueError):
    """Two runs were made under other conditions; the message names each with both values."""


def unlike(before: Report, after: Report) -> list[str]:
    """The settings that make the figures of two reports incomparable, each with both values: load, scenario, SLO …"""
    return [text for name, text in differences(before.settings, after.settings)
            if name not in HARMLESS and _in_both(name, before, after)]


def remarks(before: Report, after: Report) -> list[str]:
    """What else differs between two runs, and does not prevent that they are compared."""
    found = [text for name, text in differences(before.settings, after.settings)
             if name in HARMLESS or not _in_both(name, before, after)]
    found += [text for name, text in differences(before.environment, after.environment) if name in MACHINE]
    arms = {arm.name: arm.described for arm in before.arms}
    for arm in after.arms:
        if arm.name in arms:
            found += [f"arm {arm.name}: {text}" for _, text in differences(arms[arm.name], arm.described)]
    if before.settings.get("scenario") and before.settings.get("seed") == after.settings.get("seed"):
        found.append("both runs met the same simulated faults (one seed): intervals are wider than they need be; arms "
                     "of one run are compared call by call")
    return found


def check_alike(before: Report, after: Report) -> None:
    """Raise `Unlike` for two reports of runs under other conditions."""
    if found := unlike(before, after):
        raise Unlike(f"these runs were made under other conditions ({'; '.join(found)}): their figures would differ "
                     "without any change in what is measured")


def _in_both(name: str, before: Report, after: Report) -> bool:
    """Whether both reports have a setting, or the group it is in: an older asyncrouter did not write all of them."""
    group = name.partition(".")[0]
    return group in before.settings and group in after.settings


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The name and the text of each value that differs; a missing one is `None`."""
    old, new = dict(_flat(before)), dict(_flat(after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield name, f"{name}: {_value(old.get(name))} → {_value(new.get(name))}"


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """All values by their path, such as "load.rate"; empty ones are as if they were not there."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None and value != []:
            yield f"{prefix}{name}", value


def _value(value: object) -> str:
    return "none" if value is None else f"{value!s:.60}"
