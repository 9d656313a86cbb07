"""A file of prompts in, a file of answers out: what is checked before, what runs, what is told after."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asyncrouter import NOT_GIVEN
from asyncrouter.batch._crew import crew_of
from asyncrouter.batch._errors import BatchError, WriteFailed
from asyncrouter.batch._job import Job, Orders, count_done
from asyncrouter.batch._journal import Journal
from asyncrouter.batch._order import put_in_order
from asyncrouter.batch._paths import check_paths, errors_path
from asyncrouter.batch._processes import Crowd, divided, router_of
from asyncrouter.batch._resume import check_failures, check_same, fingerprint, finished, write_side
from asyncrouter.batch._rules import Rules, check_counts, check_prices
from asyncrouter.batch._source import source_of
from asyncrouter.batch._survey import survey
from asyncrouter.batch._watch import INTERRUPTED, Watch

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from asyncrouter import Chain, Hedge, Model, Reply, Retry, Router, Step
    from asyncrouter._config.settings import NotGiven
    from asyncrouter.batch._ids import Ids
    from asyncrouter.batch._lines import Format
    from asyncrouter.batch._report import Progress, Report
    from asyncrouter.batch._source import Source
    from asyncrouter.batch._survey import Survey


async def run(
    router: Router,
    source: str | os.PathLike[str] | Source,
    output: str | os.PathLike[str] | None,
    *,
    task: str | None = None,
    tier: str | None = None,
    chain: Chain | Sequence[str | Model | Step] | None = None,
    model: str | Model | None = None,
    deadline: float | NotGiven | None = NOT_GIVEN,
    hedge: Hedge | Mapping[str, object] | float | Literal["p95"] | NotGiven | None = NOT_GIVEN,
    retry: Retry | Mapping[str, object] | NotGiven = NOT_GIVEN,
    accept: Callable[[Reply], bool | Awaitable[bool]] | None = None,
    params: Mapping[str, object] | None = None,
    prompt_template: str | None = None,
    errors: str | os.PathLike[str] | None = None,
    format: Format = "native",  # noqa: A002  # as on the command line
    include_raw: bool = False,
    concurrency: int = 64,
    limit: int | None = None,
    budget_usd: float | None = None,
    max_error_rate: float | None = None,
    min_rows: int = 50,
    restart: bool = False,
    force: bool = False,
    ordered: bool = False,
    fsync: bool = False,
    processes: int = 1,
    make_router: Callable[[int, int], Router] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
) -> Report:
    """Answer every row of a file, and write the answers as they come; called again, it goes on where it ended.

    `source` is a file of JSON lines (simple or OpenAI's batch form), or CSV with a `prompt_template`; `output` gets a
    line for each answer in the order in which they come (`ordered`: of the input, at the end), `None` is standard
    output. Failures go to `errors` (`<output>.errors.jsonl`), which is itself a valid input. A row's own `task`,
    `params` and so on go before those given here; but a task, tier, chain or model given here goes before the `model`
    of an OpenAI row.

    Before anything is sent the whole input is checked. The output is resumed if it is of the same input, models and
    parameters; `restart` throws it away, `force` goes on by the ids alone. At most `concurrency` rows are on their way,
    and no other row takes memory. It stops early, to be resumed, when this run has cost `budget_usd`, when more than
    `max_error_rate` of at least `min_rows` rows failed, when no model can be used or `accept` breaks (for ten rows in
    a row), or when `stop` is set (what is on its way is finished). `fsync` forces every write onto the disk, against
    power cuts.

    `processes` share the rows, each with a router of `make_router(number, processes)`, by default one of this router's
    configuration with its limits `divided`; the budget is divided as well. `progress` is called at most 4 times a
    second.

    Raises `InvalidInput` with every problem and its line, `BatchError` and `ConfigError` before anything is sent;
    `WriteFailed` when the disk is full, with the `report` so far.
    """
    given: dict[str, object] = {
        "task": task, "tier": tier, "chain": chain, "model": model, "accept": accept, "params": params
    }
    clocks: dict[str, object] = {"deadline": deadline, "hedge": hedge, "retry": retry}
    options = _without(None, given) | _without(NOT_GIVEN, clocks)
    if format not in {"native", "openai"}:
        raise BatchError(f'format: expected "native" or "openai", got {format!r}')
    check_counts(concurrency=concurrency, limit=limit, min_rows=min_rows, processes=processes)
    source = source_of(source, prompt_template)
    out = None if output is None else Path(output)
    err = errors_path(out, errors)
    check_paths(source.path, out, err)
    async with contextlib.AsyncExitStack() as stack:
        crew = None
        if processes > 1:
            made = make_router or partial(router_of, divided(router.config, processes))
            crew = await stack.enter_async_context(crew_of(processes, made))
        surveyed = await survey(router, source, options)
        estimate = surveyed.estimate
        rules = Rules(
            budget_usd=budget_usd, max_error_rate=max_error_rate, min_rows=min_rows,
            usd_a_row=estimate.cost_usd / max(1, estimate.rows),
        )
        check_prices(rules, estimate)
        orders = Orders(
            options={**options, "priority": "batch"}, format=format, raw=include_raw, concurrency=concurrency,
            limit=limit, rules=rules,
        )
        answers = Journal(out, sync=fsync)
        stack.callback(answers.close)
        failures = Journal(err, sync=fsync)
        stack.callback(failures.close, remove_empty=True)
        if failures.size:
            check_failures(err)
        done = await _resumed(router, source, surveyed, options, format, answers, out, restart=restart, force=force)
        failures.begin(empty=True)
        work: Job | Crowd
        if crew is not None:
            before = (out, answers.size) if out is not None and done else None
            work = Crowd(crew, source, orders, before, answers.append, failures.append)
        else:
            work = Job(router, source, orders, done, answers.append, failures.append)
        skipped = 0 if done is None else len(done)
        if done is not None and (force or skipped > estimate.rows):  # it may hold answers of other rows
            skipped = await count_done(source, done)
        watch = Watch(work, estimate.rows, skipped, progress)
        answers.on_failure = lambda failure: work.abort(failure.reason)
        failures.on_failure = lambda failure: work.stop(failure.reason)  # answers can still be kept
        del done  # the job has it
        failed = await _carry_out(work, watch, answers, failures, stop)
    told = watch.report(str(out or "-"), str(err))
    if failed is not None:
        told.done -= answers.unwritten
        told.failed -= failures.unwritten
        failed.report = told
        raise failed
    if ordered and out is not None and told.stopped is None and not told.left:
        await put_in_order(out, source)
    return told


def _without(absent: object, given: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if value is not absent}


async def _carry_out(
    work: Job | Crowd, watch: Watch, answers: Journal, failures: Journal, stop: asyncio.Event | None
) -> WriteFailed | None:
    """Everything until both files are closed; what kept one from being written."""
    helpers = [asyncio.create_task(watch.tick())] if watch.wanted else []
    if stop is not None:
        helpers.append(asyncio.create_task(_stopper(stop, work)))
    try:
        await work.run()
    finally:
        for helper in helpers:
            helper.cancel()
        if helpers:
            await asyncio.wait(helpers)
    watch.tell()
    failed = None
    for journal in (failures, answers):
        try:
            await journal.aclose(remove_empty=journal is failures)
        except WriteFailed as error:
            failed = error
    return failed


async def _stopper(stop: asyncio.Event, work: Job | Crowd) -> None:
    await stop.wait()
    work.stop(INTERRUPTED)


async def _resumed(
    router: Router, source: Source, surveyed: Survey, options: Mapping[str, object], how: Format, answers: Journal,
    out: Path | None, *, restart: bool, force: bool,
) -> Ids | None:
    """Make the output ready to go on with; the ids it has already. Raises `BatchError` if it is another batch's."""
    if out is None or not answers.regular:
        return None
    now = fingerprint(router, source, surveyed, options, how)
    begun = answers.size > 0 and not restart
    if begun and not force:
        check_same(out, now)
    answers.begin(empty=not begun)
    write_side(out, now)
    return await finished(out, answers.size) if begun else None
