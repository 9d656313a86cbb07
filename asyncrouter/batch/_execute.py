"""One run of a batch, from opening its files to its report."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from asyncrouter.batch._divided import divided, router_of
from asyncrouter.batch._errors import BatchError, WriteFailed
from asyncrouter.batch._flex import with_flex
from asyncrouter.batch._ids import IdSet
from asyncrouter.batch._job import Job
from asyncrouter.batch._journal import Journal
from asyncrouter.batch._order import put_in_order
from asyncrouter.batch._parallel_job import ParallelJob
from asyncrouter.batch._pending_rows import count_answered
from asyncrouter.batch._preflight import preflight
from asyncrouter.batch._progress import ProgressReporter
from asyncrouter.batch._resume import (
    add_ids,
    check_errors_file,
    check_same,
    fingerprint,
    is_same,
    write_side_file,
)
from asyncrouter.batch._stop_rules import check_prices
from asyncrouter.batch._table_output import check_new, write_table
from asyncrouter.batch._vendors.job import VendorJob
from asyncrouter.batch._vendors.journal import check_folder
from asyncrouter.batch._worker_processes import worker_processes

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from asyncrouter import Router
    from asyncrouter.batch._executor import Executor
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._preflight import Preflight
    from asyncrouter.batch._report import Report
    from asyncrouter.batch._run_options import Files, RunOptions
    from asyncrouter.batch._worker_processes import WorkerProcesses


async def execute(router: Router, files: Files, options: RunOptions) -> Report:
    """Run a batch. Raises what `batch.run` does.

    The order matters: nothing is changed in any file before every file is known to be usable and the input is valid.
    """
    options = replace(options, chat=with_flex(router, options.chat))
    async with contextlib.AsyncExitStack() as stack:
        processes = await _start_processes(stack, router, options)  # they start while the input is checked
        check_folder(files.output, via_provider=options.lane is not None, restart=options.restart)
        before = files.source.state()
        if files.table is not None and options.format != "native":
            raise BatchError(f"{files.table}: an output of the format {options.format!r} is JSON lines, and no table")
        checked = await preflight(router, files.source, options.chat, dedupe=options.dedupe)
        rules = options.rules(checked.estimate)
        check_prices(rules, checked.estimate)
        answers = Journal(files.output, sync=options.fsync)
        stack.callback(answers.close)
        failures = Journal(files.errors, sync=options.fsync)
        stack.callback(failures.close, remove_empty=True)
        if failures.size:
            check_errors_file(files.errors)
        resuming = _begin_output(router, files, options, checked, answers, failures)
        failures.begin(empty=not resuming or options.retry_failed)
        ended = await _read_ended(files, options, checked, answers, failures) if resuming else Ended()
        job_options = options.job_options(rules, checked.estimate.rows)
        work: Executor
        if options.lane is not None:
            work = _vendor_job(router, files, options, checked, job_options, ended, answers, failures)
        elif processes is None:
            work = Job(router, files.source, job_options, ended.ids, answers.append, failures.append)
        else:
            work = ParallelJob(processes, files.source, job_options, ended.files, answers.append, failures.append)
        skipped, failed_before = ended.answered, ended.failed
        del ended  # a set of millions of ids, which only a `Job` needs any longer
        reporter = ProgressReporter(work, checked.estimate.rows, skipped, failed_before, options.progress)
        failed = await _carry_out(work, reporter, answers, failures, options.stop)
    report = reporter.final_report(files.name, str(files.errors))
    if isinstance(work, VendorJob):
        report.vendors = work.vendors
    if failed is not None:
        report.done -= answers.unwritten
        report.failed -= failures.unwritten
        failed.report = report
        raise failed
    if report.stopped is None and files.source.state() != before:
        report.stopped = f"{files.source.name} has changed since it was checked: what is new in it is not asked"
    if files.table is not None and files.output is not None:
        await _make_table(files, options, checked, report)
    elif options.ordered and files.output is not None and report.stopped is None and not report.left:
        await put_in_order(files.output, files.source)
    return report


async def _make_table(files: Files, options: RunOptions, checked: Preflight, report: Report) -> None:
    """Write the table, unless somebody waits for the run to end: the next run writes it, too."""
    assert files.table is not None
    assert files.output is not None
    if report.interrupted:
        return
    try:
        await write_table(
            files.table, files.output, files.with_columns, options.chat.get("response_format"),
            raw=options.include_raw, embeds=checked.embeds,
        )
    except WriteFailed as failed:
        failed.report = report
        report.stopped = failed.reason
        raise


def _vendor_job(
    router: Router, files: Files, options: RunOptions, checked: Preflight, job_options: JobOptions, ended: Ended,
    answers: Journal, failures: Journal,
) -> VendorJob:
    """The job that goes through the vendors' batch APIs."""
    assert options.lane is not None
    assert files.output is not None  # `check_folder` has seen to it
    return VendorJob(
        router, files.source, job_options, options.lane, files.output, checked.digest, ended.ids, ended.files,
        answers.append, failures.append,
    )


async def _start_processes(
    stack: contextlib.AsyncExitStack, router: Router, options: RunOptions
) -> WorkerProcesses | None:
    """The worker processes, which end with the stack; `None` where this process does all the work."""
    if options.processes == 1:
        return None
    shared = router.shared
    config = router.config if shared is not None else divided(router.config, options.processes)
    make_router = options.make_router or partial(router_of, config, shared)
    return await stack.enter_async_context(worker_processes(options.processes, make_router))


@dataclass(slots=True)
class Ended:
    """What earlier runs have left: the files with their results and the sizes of these, the ids in them, the counts."""

    files: tuple[tuple[Path, int], ...] = ()
    ids: IdSet | None = None
    answered: int = 0
    failed: int = 0


def _begin_output(
    router: Router, files: Files, options: RunOptions, checked: Preflight, answers: Journal, failures: Journal
) -> bool:
    """Make the output ready to be appended to; whether the run goes on with an earlier one.

    Raises `BatchError` if the output belongs to another batch.
    """
    if files.output is None or not answers.regular:
        return False
    now = fingerprint(router, files.source, checked, options.chat, options.format, raw=options.include_raw)
    if files.table is not None and not options.restart:
        check_new(files.table, answers.size)
    resuming = answers.size > 0 and not options.restart
    if resuming and not options.force:
        check_same(files.output, now)
    elif failures.size and not options.restart:
        resuming = resuming or is_same(files.output, now)  # nothing was answered, but some rows have failed
    answers.begin(empty=not resuming)
    write_side_file(files.output, now)
    return resuming


async def _read_ended(
    files: Files, options: RunOptions, checked: Preflight, answers: Journal, failures: Journal
) -> Ended:
    """Read which rows have ended. The input is only read where the files may hold results of other rows."""
    assert files.output is not None
    written = [(files.output, answers.size), *([(files.errors, failures.size)] if failures.size else [])]
    ids = IdSet()
    counts: list[int] = []
    for path, size in written:
        before = len(ids)
        await add_ids(ids, path, size)
        if options.force or len(ids) > checked.estimate.rows:
            counts.append(await count_answered(files.source, ids) - sum(counts))
        else:
            counts.append(len(ids) - before)
    return Ended(tuple(written), ids, *counts)


async def _carry_out(
    work: Executor, reporter: ProgressReporter, answers: Journal, failures: Journal, stop: asyncio.Event | None
) -> WriteFailed | None:
    """Do the work and close both files; the error of the file that could not be written, if any."""
    answers.on_failure = lambda failure: work.abort(failure.reason)
    failures.on_failure = lambda failure: work.stop(failure.reason)  # answers can still be kept
    async with reporter.watching(stop):
        await work.run()
    failed = None
    for journal in (failures, answers):  # if both fail, the answers' error is the one to report
        try:
            await journal.aclose(remove_empty=journal is failures)
        except WriteFailed as error:
            failed = error
    return failed
