"""`batch.run`: a file of prompts in, a file of answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asyncrouter import NOT_GIVEN
from asyncrouter.batch._execute import execute
from asyncrouter.batch._patience import PATIENCE
from asyncrouter.batch._run_options import Files, RunOptions
from asyncrouter.batch._vendors.options import lane_options

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from asyncrouter import Chain, Hedge, Model, NotGiven, Reply, Retry, Router, Step
    from asyncrouter.batch._lines import Format
    from asyncrouter.batch._report import Progress, Report
    from asyncrouter.batch._source import Source


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
    hedge: Hedge | Mapping[str, object] | float | str | NotGiven | None = NOT_GIVEN,
    retry: Retry | Mapping[str, object] | NotGiven = NOT_GIVEN,
    accept: Callable[[Reply], bool | Awaitable[bool]] | None = None,
    params: Mapping[str, object] | None = None,
    response_format: object = None,
    prompt_template: str | None = None,
    errors: str | os.PathLike[str] | None = None,
    format: Format = "native",  # noqa: A002  # as on the command line
    include_raw: bool = False,
    concurrency: int = 1024,
    patience: float = PATIENCE,
    limit: int | None = None,
    budget_usd: float | None = None,
    max_error_rate: float | None = None,
    min_rows: int = 50,
    restart: bool = False,
    retry_failed: bool = False,
    force: bool = False,
    dedupe: bool = False,
    ordered: bool = False,
    fsync: bool = False,
    processes: int = 1,
    make_router: Callable[[int, int], Router] | None = None,
    via: Literal["provider"] | None = None,
    keep: bool = False,
    cancel: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
) -> Report:
    """Answer every row of a file, writing each answer as it comes. Called again, it resumes: answered rows are skipped.

    Files. `source` is a path, a URL that fsspec opens, or a `Source`: JSON lines, in our form (`{"id", "prompt" |
    "messages", "task", …}`) or in that of OpenAI's Batch API, or a table (.csv, .tsv, .parquet) whose column `prompt`
    (of Parquet also `messages`) is the prompt; .gz and .zst are read too. A `prompt_template` makes the prompt of a
    table's columns, or of the fields of JSON objects; all other columns stand in the answer, under `columns`. An
    `output` that is a table gets a row for each answer in the order of the input, with the columns of the input and,
    under a `response_format`, one for each of its properties; it is made at the end of each run from its journal,
    `<output>.jsonl`, which is needed to resume. Any other `output` gets one line for each answer, in the order in which
    they come, or in that of the input with `ordered`, once all rows are answered; `None` is standard output, which
    cannot be resumed. `format` is the form of these lines, and `include_raw` adds `reply.raw` to the native one.
    Failures go to `errors`, by default `<output>.errors.jsonl`, which is a valid input in the native form. `fsync`
    forces every write onto the disk, against power cuts; a kill of the process loses nothing that is written without
    it.

    Calls. `task` to `response_format` are as in `Router.chat`, for all rows; what a row says itself goes before them.
    Only the `model` of a row in OpenAI's form gives way to a task, tier, chain or model given here. As many rows are in
    flight as the server answers best with, found by trying: 16 at first, `concurrency` at most. Memory is constant
    apart from 16 bytes per row id. Where nobody has set timeouts, an attempt has 600 s, and there is no deadline.

    Failures. A row that fails of its own fault has failed for good. Anything else may pass: limits and outages, which
    are waited out; timeouts, after which the row has twice the time; servers that fail. Such a row is asked again, and
    has failed for good after seven times while others were answered. While nobody answers only single rows are asked,
    at most five seconds apart.

    Resuming. The whole input is checked before anything is sent. An output that is not empty is resumed if it is of the
    same input, models and parameters, and refused otherwise; `restart` empties it, `force` goes on by the ids alone.
    Rows that were in flight when an earlier run was killed are asked again. Rows that have failed for good are not,
    unless `retry_failed` says so.

    Stopping. The run stops early, to be resumed, when the next row could exceed `budget_usd` (US dollars, for this
    run), when more than the share `max_error_rate` of at least `min_rows` rows failed, when ten rows in a row could not
    be answered by anybody (keys, credit, models that do not exist, an `accept` that raises), when nobody has answered
    for `patience` seconds, or when `stop` is set. Rows whose request is on the wire are then finished, those that wait
    are dropped. `limit` is how many rows it asks at most.

    `processes` is how many processes share the rows. Each has a router of its own, `make_router(number, processes)` or
    one with this router's configuration, and its part of `budget_usd` and concurrency. With a router that has `shared`
    they keep its limits together; otherwise those are `divided`, so that what one does not use is lost. `progress` is
    called with a `Progress` at most 4 times a second.

    Batch APIs. `via="provider"` sends the rows through the batch APIs of their first models' vendors (OpenAI,
    Anthropic, Gemini, OpenRouter, see `Provider.batch`), which answer within hours for half the price. `deadline` is
    then how many seconds the vendors have, from the first run on; `None`: as long as they take, a day or two. What a
    vendor fails, lets expire, loses or has not given back by then is answered live by the rest of the chain, with the
    first model at its end, at full price and within the budget; so are at once embeddings, and models without a batch
    API. Of a pool the first member with a batch API takes the rows, of several keys the first one: a batch is seen by
    the key alone that began it. The live rest uses all of them. Batches are cancelled up to ten minutes before the
    deadline, and what they have answered until then is used. `accept`, `response_format`, refusals, usage and cost (at
    the batch price) are as in a live call; there are no hedges. It is the work of one process.

    Every step at a vendor is in a journal, in the folder `<output>.vendors`, before and after it happens: a run that
    was killed or stopped goes on without sending anything twice. Stopped, it leaves its batches at the vendors, for
    the next run to fetch; `cancel` ends them, writes what they have answered, and asks nothing else. At the end files
    and batches are deleted at the vendors, unless `keep`. `batch.status` tells where each batch stands.

    Raises, before anything is sent: `InvalidInput` with every invalid row, `BatchError` for other obstacles,
    `ConfigError` and `TypeError` for options no call could have. Raises later: `WriteFailed` when a file cannot be
    written (its `.report` is the report so far), `BatchError` when the input has changed since it was checked or a
    worker process fails, `RouterClosed`.
    """
    chat: dict[str, object] = {
        "task": task, "tier": tier, "chain": chain, "model": model, "accept": accept, "params": params,
        "response_format": response_format,
    }
    lane = lane_options(via, deadline, keep=keep, cancel=cancel)
    if lane is not None:
        deadline = NOT_GIVEN
    limits: dict[str, object] = {"deadline": deadline, "hedge": hedge, "retry": retry}
    options = RunOptions(
        chat=_without(None, chat) | _without(NOT_GIVEN, limits), format=format, include_raw=include_raw,
        concurrency=concurrency, patience=patience, limit=limit, budget_usd=budget_usd, max_error_rate=max_error_rate,
        min_rows=min_rows, restart=restart, retry_failed=retry_failed, force=force, dedupe=dedupe, ordered=ordered,
        fsync=fsync, processes=processes, make_router=make_router, progress=progress, stop=stop, lane=lane,
    )
    return await execute(router, Files.of(source, prompt_template, output, errors), options)


def _without(absent: object, given: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if value is not absent}
