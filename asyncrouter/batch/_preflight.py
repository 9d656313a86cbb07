"""The check of a whole input before the first request: every row read and validated, the batch estimated."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from asyncrouter import RouterError, Step
from asyncrouter.batch._answer_length import asked_length
from asyncrouter.batch._errors import InvalidInput, Problem
from asyncrouter.batch._estimate import Estimate, RowGroup, answer_tokens
from asyncrouter.batch._flex import with_flex
from asyncrouter.batch._ids import IdSet, RowIds, request_digest
from asyncrouter.batch._rows import MODEL_ARGUMENTS, ROWS_PER_YIELD, Row, RowError
from asyncrouter.batch._sampling import Reservoir, SampledRow
from asyncrouter.batch._source import source_of
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from asyncrouter import ExplainedStep, Router
    from asyncrouter.batch._source import Source

MAX_PROBLEMS_LISTED = 100
"""How many problems an `InvalidInput` lists; further ones are only counted."""
MAX_ROW_GROUPS = 1000
"""How many groups of rows with models of their own are kept, so that memory is bounded when each row has its own."""
EXPLAIN_ARGUMENTS = ("task", *MODEL_ARGUMENTS, "deadline", "hedge", "retry")
"""The arguments of `Router.chat` that `Router.explain` takes too."""


@dataclass(slots=True)
class Preflight:
    """An input without problems: the SHA-256 of its content, in hexadecimal, its estimate, and whether rows ask for
    embeddings.
    """

    digest: str
    estimate: Estimate
    embeds: bool = False


async def estimate(
    router: Router, source: str | os.PathLike[str] | Source, *, prompt_template: str | None = None,
    dedupe: bool = False, **options: object,
) -> Estimate:
    """Check the whole input and estimate its tokens and cost; nothing is sent.

    `dedupe` and `options`, arguments of `Router.chat`, are those that `run` would get. Raises `InvalidInput` for
    invalid rows, `BatchError` for an input that cannot be read, `ConfigError` and `TypeError` for options no call could
    have.
    """
    rows, options = source_of(source, prompt_template), with_flex(router, options)
    return (await preflight(router, rows, options, read_prompts=True, dedupe=dedupe)).estimate


async def preflight(
    router: Router, source: Source, options: dict[str, object], *, read_prompts: bool = False, dedupe: bool = False,
    sample: Reservoir | None = None,
) -> Preflight:
    """Check the whole input. Raises `InvalidInput`, `BatchError`, `ConfigError`, `TypeError`.

    `read_prompts`: estimate each answer by what its prompt asks for, too, which takes longer. `dedupe`: leave identical
    rows out of the tokens and the cost. `sample` is offered every row that counts.
    """
    validator, digest = _Validator(router, options, read_prompts=read_prompts, dedupe=dedupe), sha256()
    for number, (line, fields) in enumerate(source.lines(digest)):
        if number % ROWS_PER_YIELD == 0:
            await asyncio.sleep(0)
        try:
            if isinstance(fields, str):
                raise RowError(fields)
            tokens = validator.add(fields)
            if sample is not None and tokens is not None:
                sample.offer(SampledRow(line, fields, tokens))
        except RowError as error:
            validator.add_problem(line, str(error))
    if validator.problem_count:
        raise InvalidInput(source.name, validator.problems, validator.problem_count)
    return Preflight(digest.hexdigest(), validator.estimate(), validator.embeds)


class _Validator:
    """Validates rows one by one, and adds them up to an estimate."""

    def __init__(self, router: Router, options: dict[str, object], *, read_prompts: bool, dedupe: bool) -> None:
        self.problems: list[Problem] = []
        self.problem_count = 0
        self.embeds = False
        self._router = router
        self._options = options
        self._read_prompts = read_prompts
        self._ids = IdSet()
        self._requests = IdSet() if dedupe else None
        self._row_ids = RowIds()
        self._estimate = Estimate()
        self._usual_answer = answer_tokens(options)
        self._groups: dict[bytes, RowGroup | str] = {}
        steps = steps_for_all(router, options)
        self._main_group = None if steps is None else RowGroup(steps)

    def add_problem(self, line: int, text: str) -> None:
        """Count a problem, and list it if it is among the first."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS_LISTED:
            self.problems.append(Problem(line, text))

    def add(self, fields: dict[str, object]) -> int | None:
        """Validate and count the next row; the tokens of its prompt, `None` for a copy. Raises `RowError`."""
        id = self._row_ids.next_id(fields)  # noqa: A001  # as the field
        row = Row.of(0, id, fields, self._options, self._router.config)
        if not self._ids.add(id):
            raise RowError(f"the id {id!r:.60} has been used before")
        group, length = self._main_group, self._usual_answer
        if group is None or row.options is not self._options:
            group, length = self._group(row.options), 0 if row.embeds else answer_tokens(row.options)
            self.embeds |= row.embeds
        if self._read_prompts and (asked := asked_length(row.prompt)) is not None:
            length = min(length, asked)
        if self._requests is not None and not self._requests.add(request_digest(row, self._options).hex()):
            self._estimate.copies += 1
            return None
        return group.add(row.prompt, row.options, length)

    def estimate(self) -> Estimate:
        """The estimate of all rows; call it once, after the last row."""
        self._settle_groups()
        if self._main_group is not None:
            self._main_group.add_to(self._estimate)
        self._estimate.rows += self._estimate.copies
        return self._estimate

    def _group(self, options: dict[str, object]) -> RowGroup:
        """The group of the rows that choose their models like this. Raises `RowError` if the choice is invalid."""
        choice = choice_of(options)
        if (shape := options.get("response_format")) is not self._options.get("response_format"):
            choice["response_format"] = shape  # the row's own, so JSON
        key = json_bytes(dict(sorted(choice.items())))
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) == MAX_ROW_GROUPS:
                self._settle_groups()
            try:
                group = RowGroup(self._router.explain(**choice).steps)  # type: ignore[arg-type]  # checked by explain
            except (RouterError, TypeError, ValueError) as error:
                group = str(error)  # kept too: the next row like this one has the same problem
            self._groups[key] = group
        if isinstance(group, str):
            raise RowError(group)
        return group

    def _settle_groups(self) -> None:
        """Add all groups to the estimate and forget them."""
        for group in self._groups.values():
            if isinstance(group, RowGroup):
                group.add_to(self._estimate)
        self._groups.clear()


def steps_for_all(router: Router, options: Mapping[str, object]) -> tuple[ExplainedStep, ...] | None:
    """The chain of the rows that choose no models themselves; `None` where there is none and each row has to choose.

    Checks the options that hold for all rows, whose mistakes are the caller's and no row's: raises `ConfigError`, and
    `TypeError` for an `accept` that cannot be called, `TypeError` or `ValueError` for a `response_format` that is none.
    """
    choice, accept = choice_of(options), options.get("accept")
    if accept is not None and not callable(accept):
        raise TypeError(f"accept: expected a function of a reply, got {type(accept).__name__}")
    if (shape := options.get("response_format")) is not None:
        router.with_options(response_format=shape)  # checks it
    Step(model="-", params=options.get("params") or {})  # type: ignore[arg-type]  # a Step checks its params
    if "default" not in router.config.tasks and not any(name in choice for name in ("task", *MODEL_ARGUMENTS)):
        return None
    return router.explain(**choice).steps  # type: ignore[arg-type]  # checked by explain


def choice_of(options: Mapping[str, object]) -> dict[str, object]:
    """Those of the arguments of `Router.chat` that `Router.explain` takes too."""
    return {name: options[name] for name in EXPLAIN_ARGUMENTS if name in options}
