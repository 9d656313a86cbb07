"""The pass before the first cent: every row read and judged, the whole counted and priced."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from asyncrouter import RouterError
from asyncrouter.batch._errors import InvalidInput, Problem
from asyncrouter.batch._ids import Ids, Names
from asyncrouter.batch._rows import CHOOSING, Asked, RowError
from asyncrouter.batch._source import Source

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep, Router

AT_ONCE = 500
"""Rows between two looks at the rest of the event loop."""
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
    source = source if isinstance(source, Source) else Source(Path(source), prompt_template)
    return (await survey(router, source, options)).estimate


async def survey(router: Router, source: Source, options: dict[str, object]) -> Survey:
    """Read and check the whole input. Raises `InvalidInput`, `BatchError`, `ConfigError`."""
    judge, digest = _Judge(router, options), sha256()
    for count, line in enumerate(source.lines(digest)):
        if count % AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            if isinstance(line.fields, str):
                raise RowError(line.fields)
            judge.look_at(line.fields)
        except RowError as wrong:
            judge.problem(line.number, str(wrong))
    if judge.problem_count:
        raise InvalidInput(source.name, judge.problems, judge.problem_count)
    return Survey(digest.hexdigest(), judge.estimate)


class _Judge:
    """What is wrong with the rows so far, and what they come to."""

    def __init__(self, router: Router, options: dict[str, object]) -> None:
        self.estimate = Estimate()
        self.problems: list[Problem] = []
        self.problem_count = 0
        self._router = router
        self._options = options
        self._ids = Ids()
        self._names = Names()
        self._plans: dict[bytes, tuple[ExplainedStep, ...] | str] = {}
        self._default_plan: tuple[ExplainedStep, ...] | None = None
        if choice := choice_of(options):  # what holds for all is the caller's mistake, not a row's
            self._default_plan = router.explain(**choice).steps  # type: ignore[arg-type]  # checked by explain

    def problem(self, line: int, text: str) -> None:
        """Note a problem."""
        self.problem_count += 1
        if len(self.problems) < TOLD:
            self.problems.append(Problem(line, text))

    def look_at(self, fields: dict[str, object]) -> None:
        """Take a row in. Raises `RowError`."""
        name = self._names.name(fields)
        asked = Asked.of(name, fields, self._options, self._router.config)
        if not self._ids.add(name):
            raise RowError(f"the id {name!r:.60} has been used before")
        self._count(asked, self._plan(asked))

    def _plan(self, asked: Asked) -> tuple[ExplainedStep, ...]:
        if self._default_plan is not None and asked.options is self._options:
            return self._default_plan
        choice = choice_of(asked.options)
        if not choice and self._default_plan is not None:
            return self._default_plan
        key = orjson.dumps(choice, default=repr, option=orjson.OPT_SORT_KEYS)
        plan = self._plans.get(key)
        if plan is None:
            try:
                plan = self._router.explain(**choice).steps  # type: ignore[arg-type]  # checked by explain
            except (RouterError, TypeError, ValueError) as error:
                plan = str(error)
            if not choice and not isinstance(plan, str):
                self._default_plan = plan
            if len(self._plans) < PLANS:
                self._plans[key] = plan
        if isinstance(plan, str):
            raise RowError(plan)
        return plan

    def _count(self, asked: Asked, plan: tuple[ExplainedStep, ...]) -> None:
        came, made = self.estimate, _limit(asked.options.get("params"))
        read = _characters(asked.prompt) // CHARACTERS_PER_TOKEN + 1
        came.rows += 1
        came.input_tokens += read
        came.output_tokens += made
        prices = [_price(step, read, made) for step in plan]
        for step, price in zip(plan, prices, strict=True):
            if price is None and step.model not in came.unpriced:
                came.unpriced.append(step.model)
        known = [price for price in prices if price is not None]
        came.cost_usd += known[0] if known else 0.0
        came.most_usd += max(known, default=0.0)


def choice_of(options: Mapping[str, object]) -> dict[str, object]:
    """Of the arguments of `chat` those that `explain` takes, too."""
    return {name: options[name] for name in CHOICE if name in options}


def _price(step: ExplainedStep, read: int, made: int) -> float | None:
    rates = step.usd_per_mtok
    return None if rates is None else (read * rates.input + made * rates.output) / 1e6


def _limit(params: object) -> int:
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
