"""`asyncrouter batch`: a file of prompts in, a file of answers out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from asyncrouter import ConfigError, Router, batch
from asyncrouter.batch import Report, Source, WriteFailed
from asyncrouter.cli._batch_show import GOES_ON, show, summary, told_estimate
from asyncrouter.cli._choice import Choice, check, choosing
from asyncrouter.cli._endings import INTERRUPTED
from asyncrouter.cli._inventory import used_models
from asyncrouter.cli._prompt import parameters
from asyncrouter.cli._say import tell, write
from asyncrouter.cli._setup import Setup, configured, transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import Config
    from asyncrouter.batch import Progress

STOPPED_EARLY = 3


@click.command(
    "batch",
    epilog="""\b
Examples:
  asyncrouter batch in.jsonl -o out.jsonl --task coding --budget-usd 5
  asyncrouter batch texts.csv -o out.jsonl --prompt-template "Translate into French: {text}" --tier budget
  zcat in.jsonl.gz | asyncrouter batch - -o out.jsonl --dry-run

\b
Exit status: 0 all rows answered, 1 some failed, 2 usage, configuration or input, 3 stopped early (budget, error rate,
no usable model, disk), 130 interrupted. After any of them the same command goes on where this one ended.
""",
)
@click.argument("source", metavar="IN")
@click.option("-o", "--output", metavar="OUT", required=True,
              help="A line for each answer; - is standard output, from which no run can go on.")
@click.option("--errors", metavar="FILE", help="A line for each failure, to be run again.  [default: OUT.errors.jsonl]")
@choosing
@click.option("--param", "params", metavar="K=V", multiple=True, help="A parameter for the provider; V may be JSON.")
@click.option("--prompt-template", metavar="TEXT", help='Makes a prompt of a CSV\'s columns: "Translate: {text}".')
@click.option("--format", type=click.Choice(["native", "openai"]), default="native", help="Of the answers.")
@click.option("--include-raw", is_flag=True, help="Keep each answer as the provider's API gave it, too.")
@click.option("--max-concurrency", "concurrency", type=click.IntRange(1), default=64, show_default=True,
              help="Rows on their way at once.")
@click.option("--rpm", type=click.FloatRange(0, min_open=True), help="Requests a minute and model.  [default: adapts]")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), help="Tokens a minute and model.")
@click.option("--max-attempts", type=click.IntRange(1), help="Tries on one model.")
@click.option("--budget-usd", type=float, metavar="USD", help="Stop before this run has cost more.")
@click.option("--max-error-rate", type=float, metavar="SHARE", help="Stop when more of the rows fail: 0.2.")
@click.option("--min-rows", type=click.IntRange(1), default=50, show_default=True, help="… of at least so many.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the next N rows that have no answer yet.")
@click.option("--restart", is_flag=True, help="Throw the output away and begin again.")
@click.option("--force", is_flag=True, help="Go on although input or configuration have changed; ids decide.")
@click.option("--ordered", is_flag=True, help="At the end, put the answers in the order of the input.")
@click.option("--fsync", is_flag=True, help="Force every write onto the disk: against power cuts, not kills.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Share the rows among so many.")
@click.option("--progress", type=click.Choice(["auto", "rich", "plain", "json", "none"]), default="auto",
              help="On standard error.  [default: rich on a terminal, else plain]")
@click.option("--dry-run", is_flag=True, help="Check the input and estimate tokens and cost; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary, or the estimate, as one JSON object.")
@configured
def command(
    source: str, output: str, choice: Choice, params: tuple[str, ...], prompt_template: str | None,
    rpm: float | None, tpm: float | None, max_attempts: int | None, progress: str, dry_run: bool, as_json: bool,
    setup: Setup, **options: object,
) -> int:
    """Answer every row of a file. IN is JSON lines (simple or OpenAI's), CSV, either packed (.gz, .zst), or -.

    \b
    {"id": "1", "prompt": "Name three rivers."}
    {"id": "2", "messages": [{"role": "user", "content": "Sort it."}], "task": "coding", "max_tokens": 400}
    {"custom_id": "3", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "…", "messages": […]}}

    The whole input is checked first. Answers are written as they come; whatever ends the run, the same command goes on
    with the rows that have none. Ctrl-C finishes what is on its way; a second one does not.
    """
    if output == "-" and as_json:
        raise click.UsageError("--json and -o - would both write to standard output")
    config = _limited(setup.router().config, choice, rpm, tpm)
    router = Router(config, transport=transport())
    options["make_router"] = partial(_router_of, config)
    asked: dict[str, object] = {**choice}
    if params:
        asked["params"] = parameters(params)
    if max_attempts is not None:
        asked["retry"] = {"attempts": max_attempts}
    with _notices():
        if choice.keys() & {"task", "tier", "chain", "model"}:  # else each row may name its own
            check(router, choice)
        with _source(source, prompt_template) as rows:
            if dry_run:
                estimate = asyncio.run(batch.estimate(router, rows, **asked))  # type: ignore[arg-type]  # none of them is a template
                write(_json(asdict(estimate)) if as_json else told_estimate(estimate))
                return 0
            out = None if output == "-" else output
            return asyncio.run(_run(router, rows, out, progress, as_json, asked | options))


async def _run(
    router: Router, source: Source, output: str | None, progress: str, as_json: bool, options: dict[str, object]
) -> int:
    stop, sending = asyncio.Event(), asyncio.Event()
    status = STOPPED_EARLY
    with show(progress) as showing, _signals(stop, sending):

        def told(progress: Progress) -> None:
            sending.set()
            if showing is not None:
                showing(progress)

        async with router:
            try:
                report = await batch.run(
                    router, source, output, progress=told, stop=stop, **options  # type: ignore[arg-type]  # click's
                )
                status = report.exit_status
            except WriteFailed as failed:
                if failed.report is None:  # the answers are there, but not in order
                    tell(str(failed))
                    return status
                report = failed.report  # which says it
            except asyncio.CancelledError:
                tell("stopped" if output is None else f"stopped; {GOES_ON} with the rows that have no answer yet")
                return INTERRUPTED
    _tell_end(report, as_json)
    return status


def _tell_end(report: Report, as_json: bool) -> None:
    click.echo(summary(report), err=True, nl=False)
    if as_json:
        write(_json({**asdict(report), "left": report.left}))


@contextlib.contextmanager
def _signals(stop: asyncio.Event, sending: asyncio.Event) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) sets `stop`; the second, or one before anything is sent, cancels this task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def asked() -> None:
        if stop.is_set() or not sending.is_set():
            task.cancel()
        else:
            stop.set()
            tell("finishing what is on its way; once more to drop it", style="yellow")

    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            loop.add_signal_handler(number, asked)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _source(given: str, template: str | None) -> Iterator[Source]:
    """The input; it is read twice, so what comes from standard input or another pipe is put on the disk first."""
    path = Path(given)
    if given != "-" and (path.is_file() or path.is_dir() or not path.exists()):
        yield Source(path, template)
        return
    with tempfile.NamedTemporaryFile(prefix="asyncrouter-", suffix=".jsonl") as file:
        with contextlib.nullcontext(sys.stdin.buffer) if given == "-" else path.open("rb") as pipe:
            shutil.copyfileobj(pipe, file)
        file.flush()
        yield Source(Path(file.name), template, "-")


@contextlib.contextmanager
def _notices() -> Iterator[None]:
    """Tell what the router wants a person to know, while it can still save money.

    A listener would cost something with every call.
    """
    telling = _Telling(logging.WARNING)
    logger = logging.getLogger("asyncrouter")
    logger.addHandler(telling)
    try:
        yield
    finally:
        logger.removeHandler(telling)


class _Telling(logging.Handler):
    """Tells the first warnings, each once."""

    MOST = 20

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        text = record.getMessage()
        if text not in self._told and len(self._told) < self.MOST:
            self._told.add(text)
            tell(text, style="yellow")


def _router_of(config: Config, number: int, count: int) -> Router:
    """The router of one of the processes, which sends as this one does."""
    return Router(batch.divided(config, count), transport=transport())


def _limited(config: Config, choice: Choice, rpm: float | None, tpm: float | None) -> Config:
    """The configuration with these limits on every model it uses. Raises `ConfigError`."""
    if rpm is None and tpm is None:
        return config
    models = {used.model.name: used.model for used in used_models(config)}
    for name in [*choice.get("chain", []), *([choice["model"]] if "model" in choice else [])]:
        with contextlib.suppress(ConfigError):  # it is told when the choice is checked
            models[name] = config.model(name)
    limited = {
        name: replace(model, rpm=model.rpm if rpm is None else rpm, tpm=model.tpm if tpm is None else tpm)
        for name, model in models.items()
    }
    return replace(config, models=limited)


def _json(record: dict[str, object]) -> str:
    return orjson.dumps(record, option=orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0).decode() + "\n"
