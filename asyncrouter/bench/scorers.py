"""Scorers: what makes an answer good. A scorer gives each answer a number from 0 (wrong) to 1 (right).

```python
from asyncrouter.bench import Scorer

Scorer.exact()                       # the answer is the sample's expected one, but for white space around it
Scorer.contains()                    # the expected text stands somewhere in the answer
Scorer.regex(r"^\\d+$")               # a pattern is found in the answer
Scorer.json_schema(Invoice)          # the answer is JSON that fits a JSON schema, or a class
Scorer.function(is_polite)           # True, False, or a number from 0 to 1, of a function of yours
```

On the command line (`--score`) the same are texts: `exact`, `contains`, `contains:TEXT`, `regex:PATTERN`,
`schema:FILE`, `module:function` and `path.py:function`; `NAME=…` gives one a name of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from asyncrouter import NotAccepted
from asyncrouter.bench.scorer_function import adapt, load_function
from asyncrouter.schema import read_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.sample import Sample

Check = Callable[[str, "Sample"], object]
"""Judges the text of an answer: True, False, a number from 0 to 1, `None` (it cannot be judged), or an awaitable of
these."""
KINDS = "exact, contains, contains:TEXT, regex:PATTERN, schema:FILE, module:function or path.py:function"
"""The forms of a scorer on the command line."""
_NAME = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PROBES = ("", "\x00")
"""Two texts that no pattern finds which means something."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A check of answers, with the name of its measure (`score_NAME`); made by one of the class methods.

    `check` takes the text of an answer and the `Sample` that it answers. With `expects` it needs the sample's expected
    answer, and a run whose samples have none is refused. `described` says what it checks, for reports.
    """

    name: str
    check: Check
    expects: bool = False
    described: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"scorer {self.name!r}: expected a name of letters, digits and _")

    @classmethod
    def exact(cls, *, ignore_case: bool = False, name: str = "exact") -> Self:
        """The answer is the expected one, but for white space around it; of a list, one of them.

        An expected number is met by that number however it is written (`4.0` by `4`), an expected object by JSON that
        is equal to it.
        """
        check = lambda text, sample: any(  # noqa: E731
            _same(text.strip(), one, ignore_case=ignore_case) for one in _choices(sample.expected))
        return cls(name, check, expects=True, described="equals the expected answer")

    @classmethod
    def contains(cls, *texts: str, ignore_case: bool = False, name: str = "contains") -> Self:
        """One of these texts stands in the answer; without any, the expected one, or one of a list of them."""
        fold = str.casefold if ignore_case else str
        if "" in texts:
            raise ValueError(f"scorer {name}: an empty text stands in every answer")

        def check(text: str, sample: Sample) -> bool:
            return any(fold(str(one)) in fold(text) for one in texts or _choices(sample.expected))

        words = " or ".join(map(repr, texts)) or "the expected answer"
        return cls(name, check, expects=not texts, described=f"contains {words}")

    @classmethod
    def regex(cls, pattern: str, *, name: str = "regex") -> Self:
        """The pattern is found somewhere in the answer, `.` and `^` as in `re`; `^…$` for the whole of it.

        Raises `ValueError` for a pattern that is none, or that every text matches.
        """
        try:
            found = re.compile(pattern).search
        except re.error as wrong:
            raise ValueError(f"scorer {name}: not a regular expression: {pattern!r}: {wrong}") from None
        if all(found(text) for text in _PROBES):
            raise ValueError(f"scorer {name}: {pattern!r} is found in every text, so it checks nothing")
        return cls(name, lambda text, _: found(text.strip()) is not None, described=f"matches {pattern}")

    @classmethod
    def json_schema(cls, schema: object, *, name: str = "schema") -> Self:
        """The answer is JSON that fits: a JSON schema, a pydantic model, a dataclass or a TypedDict.

        What counts as JSON is what `chat(response_format=…)` takes: a Markdown fence around it is allowed. Raises
        `TypeError` or `ValueError` for what is no schema, `ImportError` without the extra `schema`.
        """
        shape = read_shape(schema)

        def check(text: str, _: Sample) -> bool:
            try:
                shape.parse(text)
            except NotAccepted:
                return False
            return True

        return cls(name, check, described=f"is JSON that fits the schema {shape.name}")

    @classmethod
    def function(cls, function: Callable[..., Any], *, name: str | None = None) -> Self:
        """A function of yours, plain or async, called with as many of these as it takes: text, expected, row.

        It returns True, False, a number from 0 to 1, or `None` where it cannot judge. What it raises is told, and the
        answer counts as not judged.
        """
        name = name or re.sub(r"\W", "_", getattr(function, "__name__", "function")).lstrip("0123456789")
        return cls(name or "function", adapt(function), described=f"passes {name}()")


def parse_scorer(text: str) -> Scorer:
    """A scorer from its text on the command line. Raises `ValueError`."""
    named = _NAMED.fullmatch(text)
    return _parsed(text) if named is None else replace(_parsed(named[2]), name=named[1])


def _parsed(text: str) -> Scorer:
    kind, colon, rest = text.partition(":")
    if kind in {"exact", "contains"} and not colon:
        return Scorer.exact() if kind == "exact" else Scorer.contains()
    if kind in {"contains", "regex", "schema"} and rest:
        return Scorer.contains(rest) if kind == "contains" else (
            Scorer.regex(rest) if kind == "regex" else Scorer.json_schema(_schema(rest)))
    if kind in {"exact", "contains", "regex", "schema"} or not colon:
        raise ValueError(f"scorer {text!r}: expected {KINDS}")
    return Scorer.function(load_function(text))


def check_scorers(scorers: Sequence[Scorer], samples: Sequence[Sample | str]) -> None:
    """Raise `ValueError` for two scorers of one name, and for a sample without the expected answer that one needs."""
    names = [scorer.name for scorer in scorers]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"scorers: two have the name {twice!r}: name one of them, NAME={twice}…")
    if scorers and not samples:
        raise ValueError("scorers: the built-in prompt has no answer to check: give prompts (--dataset)")
    for scorer in scorers:
        for number, sample in enumerate(samples if scorer.expects else (), 1):
            if isinstance(sample, str) or sample.expected is None:
                name = "" if isinstance(sample, str) or not sample.id else f" ({sample.id})"
                raise ValueError(f"scorer {scorer.name}: prompt {number}{name} has no expected answer: add the column "
                                 "\"expected\" to its row, or check without one (contains:TEXT, regex:PATTERN)")


def _choices(expected: object) -> Sequence[object]:
    return expected if isinstance(expected, list | tuple) else [expected]


def _same(text: str, expected: object, *, ignore_case: bool) -> bool:
    if isinstance(expected, str):
        wanted = expected.strip()
        return text.casefold() == wanted.casefold() if ignore_case else text == wanted
    try:
        value = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected


def _schema(file: str) -> object:
    try:
        schema = orjson.loads(Path(file).read_bytes())
    except OSError as wrong:
        raise ValueError(f"scorer schema: {file}: {wrong.strerror}") from None
    except ValueError as wrong:
        raise ValueError(f"scorer schema: {file}: not JSON: {wrong}") from None
    if not isinstance(schema, dict):
        raise ValueError(f"scorer schema: {file}: expected a JSON schema, which is an object, got {schema!r:.60}")
    return schema
