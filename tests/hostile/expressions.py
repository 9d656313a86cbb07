"""Every regular expression of the package, and texts on which a careless one would take quadratic time.

An expression is slow where it can begin, or go on, at many places of a text, and fails only at the end. So the texts
are made from the expression itself: what each of its repeats takes, after what may stand before it, over and over.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import re._constants as kinds
import re._parser as parser
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncrouter
from asyncrouter._config import families

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = frozenset({"match", "fullmatch", "search", "finditer", "findall", "sub", "subn", "split"})
FROM_THE_START = frozenset({"match", "fullmatch"})
"""Methods that try one place of a text only."""
SKIPPED = ("asyncrouter.integrations",)
"""Packages that need what is not installed everywhere, and hold no expression (`test_none_is_missed`)."""
MANY = 32
"""A repeat of at most so many takes a bounded time at each place."""


MAX_TEXTS = 500
"""Texts that are tried at most: of more than that, every second, third … Some expressions consist of many others."""
FAR_TOO_LONG = 0.03
"""Seconds after which no harder text is looked for."""
SEARCHED = frozenset({"search"})


class Expression(NamedTuple):
    """An expression, where it stands, and how it is used; by default it is searched for."""

    place: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]

    @classmethod
    def of(cls, source: str) -> Expression:
        """An expression that is searched for, and stands nowhere."""
        return cls(source, re.compile(source), SEARCHED)

    def __str__(self) -> str:
        return self.place


def expressions() -> list[Expression]:
    """The compiled expressions of all modules, and those that are written where they are used."""
    found: dict[int, Expression] = {}
    for module in modules():
        tree = tree_of(module)
        for name, value in vars(module).items():
            for pattern in value if isinstance(value, tuple | list) else (value,):
                if isinstance(pattern, re.Pattern) and id(pattern) not in found:
                    found[id(pattern)] = Expression(f"{module.__name__}.{name}", pattern, _uses(name, module))
        for node in ast.walk(tree):
            if (inline := _inline(node)) is not None:
                pattern, method = re.compile(inline[0]), inline[1]
                place = f"{module.__name__}:{node.lineno}"  # type: ignore[attr-defined]
                found[id(pattern)] = Expression(place, pattern, frozenset({method}))
    return [*found.values(), *(Expression("asyncrouter._config.families", each, SEARCHED) for each in _of_families())]


def hardest(expression: Expression, length: int, most: int = MAX_TEXTS) -> tuple[float, str]:
    """The seconds that the hardest of `most` texts of this length takes, and the text; the first that is far too hard.
    """
    worst, hard = 0.0, "a" * length
    # By and by longer, for the whole text might take hours.
    lengths = [size for size in (length // 64, length // 16, length // 4, length) if size > 30 or size == length]
    every = list(zip(*(texts(expression.pattern, size) for size in lengths), strict=True))
    for by_length in every[:: len(every) // most + 1]:
        for text in by_length:
            spent = seconds(expression.pattern, expression.methods, text)
            if spent > worst:
                worst, hard = spent, text
            if spent > FAR_TOO_LONG:
                return worst, hard
    return worst, hard


def seconds(pattern: re.Pattern[Any], methods: frozenset[str], text: str) -> float:
    """Processor seconds for one use of an expression on a text, the least of three."""
    subject: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    spent = []
    for _ in range(3):
        began = time.thread_time()
        for method in methods:
            if method in FROM_THE_START:
                getattr(pattern, method)(subject)
            elif method == "search":
                pattern.search(subject)
            else:
                for _found in pattern.finditer(subject):
                    pass
        spent.append(time.thread_time() - began)
        if spent[-1] > 0.01:
            break
    return min(spent)


def texts(pattern: re.Pattern[Any], length: int) -> Iterator[str]:
    """Texts of this length that are hard for an expression."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags)
    for before, unit in sorted(_units(list(tree))):
        for end in ("", "\0", "\n"):
            yield _filled(before, unit, length) + end
        if before:
            yield _filled("", before + unit, length)
            yield _filled("", before + unit * 20, length)


def _filled(before: str, unit: str, length: int) -> str:
    return before + unit * max(1, (length - len(before)) // len(unit))


# ── what an expression takes ─────────────────────────────────────────────────────────────────────────────────────────


def _units(tree: list[Any]) -> set[tuple[str, str]]:
    """Texts to be repeated, each after what stands before it."""
    found: set[tuple[str, str]] = set()
    before = ""
    for index, (kind, given) in enumerate(tree):
        follows = _example(tree[index + 1 :])[:1]
        for inner in _inner(kind, given):
            found |= {(before + start, unit) for start, unit in _units(inner)}
        if kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT} and given[1] > MANY:
            bodies = {_example(list(given[2])), follows, "a", " ", _example(list(given[2])) + follows}
            bodies |= set(_members(given[2]))
            found |= {(before, body) for body in bodies if body}
        before += _example([(kind, given)])
        if before:
            found.add(("", before))
    return found


def _inner(kind: object, given: Any) -> list[list[Any]]:
    if kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT}:
        return [list(given[2])]
    if kind is kinds.SUBPATTERN:
        return [list(given[3])]
    if kind is kinds.BRANCH:
        return [list(branch) for branch in given[1]]
    if kind in {kinds.ASSERT, kinds.ASSERT_NOT}:
        return [list(given[1])]
    return [list(given)] if kind is kinds.ATOMIC_GROUP else []


def _members(body: Any) -> Iterator[str]:
    for kind, given in body:
        if kind is kinds.IN:
            yield from (_example([(kind, [each])]) for each in given if each[0] is not kinds.NEGATE)
        else:
            for inner in _inner(kind, given):
                yield from _members(inner)


def _example(tree: list[Any]) -> str:
    """A text that a part of an expression takes, about."""
    return "".join(_one(kind, given) for kind, given in tree)


def _one(kind: object, given: Any) -> str:
    if kind is kinds.LITERAL:
        return chr(given)
    if kind is kinds.NOT_LITERAL:
        return "b" if given == ord("a") else "a"
    if kind is kinds.ANY:
        return "a"
    if kind is kinds.IN:
        return _of_class(given)
    if kind in {kinds.ASSERT, kinds.ASSERT_NOT, kinds.AT, kinds.GROUPREF}:
        return ""
    if kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT}:
        return _example(list(given[2])) * min(max(given[0], 1), 3)
    inner = _inner(kind, given)
    return _example(inner[0]) if inner else ""


def _of_class(members: list[Any]) -> str:
    source = "".join(_member_source(each) for each in members)
    pattern = re.compile(f"[{source}]")
    bounds = (chr(given[0] if kind is kinds.RANGE else given) for kind, given in members
              if kind in {kinds.RANGE, kinds.LITERAL})
    return next(one for one in (*"a0 _-.:/\"\\\n", *map(chr, range(1, 0x100)), *bounds, "é") if pattern.match(one))


def _member_source(member: Any) -> str:
    kind, given = member
    if kind is kinds.NEGATE:
        return "^"
    if kind is kinds.RANGE:
        return f"{re.escape(chr(given[0]))}-{re.escape(chr(given[1]))}"
    if kind is kinds.CATEGORY:
        names = {"SPACE": r"\s", "WORD": r"\w", "DIGIT": r"\d"}
        name = str(given).rpartition("_")[2]
        return names[name].upper() if "_NOT_" in str(given) else names[name]
    return re.escape(chr(given))


# ── where they are ───────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def modules() -> list[Any]:
    names = [module.name for module in pkgutil.walk_packages(asyncrouter.__path__, "asyncrouter.")]
    return [
        importlib.import_module(name) for name in names if not name.startswith(SKIPPED) and "__main__" not in name
    ]


@cache
def tree_of(module: Any) -> ast.Module:
    return ast.parse(Path(module.__file__).read_text())


def _uses(name: str, home: Any) -> frozenset[str]:
    """The methods by which an expression of this name is used, in its module or, if it is no private one, anywhere."""
    found = {
        node.attr for module in ([home] if name.startswith("_") else modules()) for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }  # fmt: skip
    return frozenset(found & METHODS) or SEARCHED


def _of_families() -> Iterator[re.Pattern[str]]:
    """The expressions that are compiled when the first model of a family is asked."""
    yield from (families._compiled(text) for _, _, text in families._PATTERNS)
    yield from (re.compile(text) for text, _ in families._SURROUNDINGS)


def _inline(node: ast.AST) -> tuple[str, str] | None:
    """The source and the method of `re.search("…", text)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
        return None
    owner, first = node.func.value, node.args[0] if node.args else None
    if isinstance(owner, ast.Name) and owner.id == "re" and isinstance(first, ast.Constant):
        return str(first.value), node.func.attr
    return None
