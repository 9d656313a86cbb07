"""Functions as scorers: found by module or file, and called with as many arguments as they take."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from asyncrouter.bench.sample import Sample

ARGUMENTS = ("text", "expected", "row")
"""What a scorer may take, in this order: the text of the answer, the expected one, the row of the data set."""


def adapt(function: Callable[..., Any]) -> Callable[[str, Sample], object]:
    """The function as a check: called with text, expected answer and row, or with the first of these only.

    Raises `TypeError` for a function that cannot be called so.
    """
    taken = _taken(function)
    return lambda text, sample: function(*(text, sample.expected, dict(sample.row))[:taken])


def load_function(text: str) -> Callable[..., Any]:
    """The function of `module:function` or `path.py:function`. Raises `ValueError` for what is not there.

    What the module itself raises while it is imported is passed on.
    """
    place, _, name = text.rpartition(":")
    module = _of_file(Path(place)) if place.endswith(".py") else _of_name(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"scorer {text!r}: {place} has no function {name!r}")
    return function  # type: ignore[no-any-return]  # whatever it is, it can be called


def _taken(function: Callable[..., Any]) -> int:
    """How many arguments it gets: all that have no default, and those that are called `expected` and `row`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some built-in functions do not say
        return 1
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return len(ARGUMENTS)
    places = [one for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    named = any(one.kind is one.KEYWORD_ONLY and one.default is one.empty for one in parameters)
    taken = sum(one.default is one.empty for one in places)
    if named or not places or taken > len(ARGUMENTS):
        raise TypeError(f"scorer {function!r:.60}: expected a function of (text), (text, expected) or "
                        "(text, expected, row)")
    while taken < min(len(places), len(ARGUMENTS)) and places[taken].name == ARGUMENTS[taken]:
        taken += 1
    return max(1, taken)


def _of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"scorer {path}: there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look up the module of their class
    spec.loader.exec_module(module)
    return module


def _of_name(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not name.startswith(missing.name):
            raise
        raise ValueError(f"scorer: no module {name!r} here or among the installed ones: for a file, "
                         f"{name}.py:FUNCTION") from None
    except ValueError:
        raise ValueError(f"scorer: expected module:function, got {name!r}") from None
