"""The pass before the first cent: every row read and judged, the whole counted and priced."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

from asyncrouter import RouterError, Step
from asyncrouter.batch._errors import InvalidInput, Problem
from asyncrouter.batch._ids import Ids, Names
from asyncrouter.batch._rows import AT_ONCE, CHOOSING, Row, RowError
from asyncrouter.batch._source import source_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep, Router
    from asyncrouter.batch._source import Source

TOLD = 100
"""Problems that are told; the others are counted."""
CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text (OpenAI, "What are tokens and how to count them")."""
USUAL_ANSWER = 500
"""Tokens an answer is taken to have when its row gives no limit."""
PLANS = 1000
CHOICE = ("task", *CHOOSING, "deadline", "hedge", "retry")


@dataclass(slots=True)
class Estimate:
    """What a batch would come to. Tokens are guessed from characters, answers at their limit or 500 tokens.

    `cost_usd` is the price if the first model of each chain answers, `most_usd` if its dearest one does, both of
    models whose price is known; `unpriced` are the others.
    """

    rows: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    most_usd: float = 0.0
    unpriced: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Survey:
    """An input that can be sent: the digest of its content, and what it would come to."""

    digest: str
    estimate: Estimate


async def estimate(
    router: Router, source: str | os.PathLike[str] | Source, *, prompt_template: str | None = None, **options: object
) -> Estimate:
    """Read and check the whole input, and say what it would come to; nothing is sent. `options` are those of `chat`.

    Raises `InvalidInput` with every problem and its line, `BatchError`, `ConfigError`.
    """
    return (await survey(router, source_of(source, prompt_template), options)).estimate


async def survey(router: Router, source: Source, options: dict[str, object]) -> Survey:
    """Read and check the whole input. Raises `InvalidInput`, `BatchError`, `ConfigError`."""
    judge, digest = _Judge(router, options), sha256()
    for number, (place, fields) in enumerate(source.lines(digest)):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            if isinstance(fields, str):
                raise RowError(fields)
            judge.look_at(fields)
        except RowError as wrong:
            judge.problem(place, str(wrong))
    if judge.problem_count:
        raise InvalidInput(source.name, judge.problems, judge.problem_count)
    return Survey(digest.hexdigest(), judge.estimate())


class _Judge:
    """What is wrong with the rows so far, and what they come to."""

    def __init__(self, router: Router, options: dict[str, object]) -> None:
        self.problems: list[Problem] = []
        self.problem_count = 0
        self._router = router
        self._options = options
        self._ids = Ids()
        self._names = Names()
        self._estimate = Estimate()
        self._usual_answer = _limit(options)
        self._own: dict[bytes, _Load | str] = {}
        steps = steps_for_all(router, options)
        self._for_all = None if steps is None else _Load(steps)

    def problem(self, line: int, text: str) -> None:
        """Note a problem."""
        self.problem_count += 1
        if len(self.problems) < TOLD:
            self.problems.append(Problem(line, text))

    def look_at(self, fields: dict[str, object]) -> None:
        """Take a row in. Raises `RowError`."""
        name = self._names.name(fields)
        row = Row.of(0, name, fields, self._options, self._router.config)
        if not self._ids.add(name):
            raise RowError(f"the id {name!r:.60} has been used before")
        load, answer = self._for_all, self._usual_answer
        if load is None or row.options is not self._options:
            load, answer = self._load(row.options), _limit(row.options)
        load.rows += 1
        load.input_tokens += _characters(row.prompt) // CHARACTERS_PER_TOKEN + 1
        load.output_tokens += answer

    def estimate(self) -> Estimate:
        """What all rows come to; the last thing to be asked."""
        self._settle()
        if self._for_all is not None:
            self._for_all.add_to(self._estimate)
        return self._estimate

    def _load(self, options: dict[str, object]) -> _Load:
        """That of the rows which go to the same models. Raises `RowError`."""
        choice = choice_of(options)
        key = orjson.dumps(choice, default=repr, option=orjson.OPT_SORT_KEYS)
        load = self._own.get(key)
        if load is None:
            if len(self._own) == PLANS:  # each row its own deadline, say: what they came to so far is kept
                self._settle()
            try:
                load = self._plan(choice)
            except (RouterError, TypeError, ValueError) as error:
                load = str(error)
            self._own[key] = load
        if isinstance(load, str):
            raise RowError(load)
        return load

    def _settle(self) -> None:
        for load in self._own.values():
            if isinstance(load, _Load):
                load.add_to(self._estimate)
        self._own.clear()

    def _plan(self, options: dict[str, object]) -> _Load:
        return _Load(self._router.explain(**choice_of(options)).steps)  # type: ignore[arg-type]  # checked by explain


@dataclass(slots=True)
class _Load:
    """Rows that go to the same models."""

    steps: tuple[ExplainedStep, ...]
    rows: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add_to(self, estimate: Estimate) -> None:
        """Count and price them."""
        estimate.rows += self.rows
        estimate.input_tokens += self.input_tokens
        estimate.output_tokens += self.output_tokens
        prices = []
        for step in self.steps:
            if (rates := step.usd_per_mtok) is not None:
                prices.append((self.input_tokens * rates.input + self.output_tokens * rates.output) / 1e6)
            elif step.model not in estimate.unpriced:
                estimate.unpriced.append(step.model)
        estimate.cost_usd += prices[0] if prices else 0.0
        estimate.most_usd += max(prices, default=0.0)


def steps_for_all(router: Router, options: Mapping[str, object]) -> tuple[ExplainedStep, ...] | None:
    """What is tried for rows that name nothing themselves; `None` where each has to. Raises `ConfigError`, `TypeError`.

    What is wrong for all is the caller's mistake, not a row's.
    """
    choice, accept = choice_of(options), options.get("accept")
    if accept is not None and not callable(accept):
        raise TypeError(f"accept: expected a function of a reply, got {type(accept).__name__}")
    Step(model="-", params=options.get("params") or {})  # type: ignore[arg-type]  # it is checked here
    if "default" not in router.config.tasks and not any(name in choice for name in ("task", *CHOOSING)):
        return None
    return router.explain(**choice).steps  # type: ignore[arg-type]  # checked by explain


def choice_of(options: Mapping[str, object]) -> dict[str, object]:
    """Of the arguments of `chat` those that `explain` takes, too."""
    return {name: options[name] for name in CHOICE if name in options}


def _limit(options: Mapping[str, object]) -> int:
    params = options.get("params")
    for name in ("max_completion_tokens", "max_tokens"):
        given = params.get(name) if isinstance(params, dict) else None
        if isinstance(given, int):
            return given
    return USUAL_ANSWER


def _characters(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(_characters(part.get("content", part.get("text"))) for part in content if isinstance(part, dict))
    return 0
