"""`asyncrouter batch`: a file of prompts in, a file of answers out."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from asyncrouter import ConfigError, Router, batch
from asyncrouter.cli._batch_input import open_source
from asyncrouter.cli._batch_notices import show_notices
from asyncrouter.cli._batch_output import estimate_text
from asyncrouter.cli._batch_run import run, run_sample
from asyncrouter.cli._batch_status import status_json, status_text
from asyncrouter.cli._configuration import Configuration, config_options, make_transport, shared_option
from asyncrouter.cli._json import json_line
from asyncrouter.cli._options import CallOptions, call_options, check_call
from asyncrouter.cli._output import write
from asyncrouter.cli._prompt import parameters
from asyncrouter.cli._used_models import used_models

if TYPE_CHECKING:
    from asyncrouter import Config, Model, Pool, Shared


@click.command(
    "batch",
    epilog="""\b
Examples:
  asyncrouter batch in.jsonl -o out.jsonl --task coding --budget-usd 5
  asyncrouter batch texts.csv -o out.jsonl --prompt-template "Translate into French: {text}" --tier budget
  asyncrouter batch in.jsonl -o out.jsonl --dry-run --sample 50
  asyncrouter batch part-3.jsonl -o out-3.jsonl --shared redis://host:6379/0   # on each of several machines
  asyncrouter batch in.jsonl -o out.jsonl --via provider --deadline 6h
  asyncrouter batch in.jsonl -o out.jsonl --status

\b
Exit status: 0 all rows answered, 1 some rows failed, 2 wrong usage, configuration or input, 3 stopped early (budget,
error rate, no usable model, disk), 130 interrupted. Unless OUT is -, the same command resumes the run.
""",
)
@click.argument("source", metavar="IN")
@click.option("-o", "--output", metavar="OUT", required=True,
              help="Write a line for each answer as it comes. A table (.parquet, .csv, .tsv) has them beside the "
              "columns of IN, and is made at the end. - is standard output: such a run cannot be resumed.")
@click.option("--errors", metavar="FILE",
              help="Write a line for each failed row, which can be run again.  [default: OUT.errors.jsonl]")
@call_options
@click.option("--param", "params", metavar="K=V", multiple=True,
              help="A parameter for the provider; V may be JSON. May be repeated.")
@click.option("--prompt-template", metavar="TEXT",
              help='Make the prompt of each row from the columns of a table, or the fields of JSON objects: '
              '"Translate: {text}".')
@click.option("--format", type=click.Choice(["native", "openai"]), default="native", show_default=True,
              help="Format of the answers.")
@click.option("--include-raw", is_flag=True, help="Also keep each answer as the provider's API returned it.")
@click.option("--max-concurrency", "concurrency", type=click.IntRange(1), metavar="N", default=1024, show_default=True,
              help="Rows in flight at once at most; it begins with 16 and finds what the server answers best with.")
@click.option("--patience", type=click.FloatRange(0, min_open=True), metavar="SECONDS", default=1800.0,
              show_default=True, help="Stop, to be resumed, when nobody has answered for so long.")
@click.option("--rpm", type=click.FloatRange(0, min_open=True), metavar="N",
              help="Requests a minute for each model.  [default: adapts to the provider]")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), metavar="N", help="Tokens a minute for each model.")
@click.option("--max-attempts", type=click.IntRange(1), metavar="N", help="Tries on one model, the first included.")
@click.option("--budget-usd", type=float, metavar="USD", help="Stop before this run costs more.")
@click.option("--max-error-rate", type=float, metavar="SHARE",
              help="Stop when a larger share of the rows fails; 0.2 is 20 %.")
@click.option("--min-rows", type=click.IntRange(1), metavar="N", default=50, show_default=True,
              help="Rows from which --max-error-rate applies.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Answer only the next N rows without an answer.")
@click.option("--retry-failed", is_flag=True, help="Ask the rows again that have failed for good.")
@click.option("--restart", is_flag=True, help="Delete the output and begin again.")
@click.option("--force", is_flag=True,
              help="Resume although input or configuration have changed; rows are matched by id.")
@click.option("--dedupe", is_flag=True, help="Ask rows that ask the same only once; each gets its own line.")
@click.option("--ordered", is_flag=True, help="At the end, put the answers into the order of the input.")
@click.option("--fsync", is_flag=True,
              help="Sync every write to disk: protects against power loss; a kill loses nothing either way.")
@click.option("--processes", type=click.IntRange(1), metavar="N", default=1, show_default=True,
              help="Divide the rows among N processes.")
@click.option("--via", type=click.Choice(["provider"]), metavar="provider",
              help="Use the vendors' batch APIs (OpenAI, Anthropic, Gemini, OpenRouter): half the price, within hours. "
              "What fails there, expires or is not back by --deadline is answered live by the rest of the chain. Of a "
              "pool, or of several keys, the first one is used; embeddings go live at once.")
@click.option("--keep", is_flag=True, help="With --via: leave files and batches at the vendors.")
@click.option("--cancel", is_flag=True,
              help="With --via: cancel the batches, write what they have answered, ask nothing else.")
@click.option("--status", "only_status", is_flag=True, help="Print where the batches of OUT stand, and nothing else.")
@click.option("--progress", type=click.Choice(["auto", "rich", "plain", "json", "none"]), default="auto",
              help="How progress is shown on standard error.  [default: rich on a terminal, else plain]")
@click.option("--dry-run", is_flag=True, help="Check the input and estimate tokens and cost; send nothing.")
@click.option("--sample", type=click.IntRange(1), metavar="N",
              help="With --dry-run: ask N rows, drawn at random, and tell cost and time of all with an interval of "
              "95 %. Their answers go to OUT.sample.jsonl.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary, or the estimate, as one JSON object.")
@shared_option
@config_options
def command(
    source: str, output: str, call: CallOptions, params: tuple[str, ...], prompt_template: str | None,
    rpm: float | None, tpm: float | None, max_attempts: int | None, progress: str, dry_run: bool, sample: int | None,
    as_json: bool, only_status: bool, shared: Shared | None, configuration: Configuration, **options: object,
) -> int:
    """Answer every row of a file. IN is JSON lines (ours or OpenAI's), CSV or TSV, each perhaps .gz or .zst; Parquet; a
    URL (s3://…); or - for standard input.

    \b
    {"id": "1", "prompt": "Name three rivers."}
    {"id": "2", "messages": [{"role": "user", "content": "Sort it."}], "task": "coding", "max_tokens": 400}
    {"custom_id": "3", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "…", "messages": […]}}
    {"custom_id": "4", "method": "POST", "url": "/v1/responses", "body": {"model": "…", "input": "…"}}
    {"custom_id": "5", "method": "POST", "url": "/v1/embeddings", "body": {"model": "…", "input": […]}}

    A table has a column "prompt", or --prompt-template; its other columns stand beside the answers. With --schema each
    property of an answer is a column of a table. --tier flex asks OpenAI for half the price, and takes longer.

    The whole input is checked before anything is sent. However a run ends, the same command resumes it with the rows
    that have no answer. While nobody answers, it waits and says so (--patience). Ctrl-C lets the rows in flight finish;
    a second one cancels them. With --via provider it leaves the batches at the vendors, where the same command finds
    them; --deadline is then how long they have, from the first run on, and what was sent is in the folder OUT.vendors.
    """
    if only_status:
        write(status_json(output) if as_json else status_text(output))
        return 0
    if output == "-" and as_json:
        raise click.UsageError("--json and -o - would both write to standard output")
    if sample is not None and not dry_run:
        raise click.UsageError("--sample goes with --dry-run; a run of some rows only is --limit")
    config = _with_limits(configuration.router().config, call, rpm, tpm)
    router = Router(config, transport=make_transport(), shared=shared)
    options["make_router"] = partial(_process_router, config, shared)
    arguments: dict[str, object] = {**call}
    if params:
        arguments["params"] = parameters(params)
    if max_attempts is not None:
        arguments["retry"] = {"attempts": max_attempts}
    with show_notices():
        if call.keys() & {"task", "tier", "chain", "model", "response_format"}:  # else each row may name its own
            check_call(router, _without_flex(call))
        with open_source(source, prompt_template) as rows:
            if sample is not None:
                for name in ("dedupe", "concurrency", "patience"):
                    arguments[name] = options[name]
                return asyncio.run(run_sample(router, rows, sample, output, progress, as_json, arguments))
            if dry_run:
                arguments["dedupe"] = options["dedupe"]
                estimate = asyncio.run(batch.estimate(router, rows, **arguments))  # type: ignore[arg-type]  # none of them is a template
                write(json_line(asdict(estimate)) if as_json else estimate_text(estimate))
                return 0
            out = None if output == "-" else output
            return asyncio.run(run(router, rows, out, progress, as_json, arguments | options))


def _without_flex(call: CallOptions) -> CallOptions:
    """The options without a service tier, which is no tier of the configuration, and checked by the run."""
    checked = call.copy()
    if checked.get("tier") == batch.FLEX:
        del checked["tier"]
    return checked


def _process_router(config: Config, shared: Shared | None, number: int, count: int) -> Router:
    """The router of one of the processes, with its part of the limits unless they share them."""
    own = config if shared is not None else batch.divided(config, count)
    return Router(own, transport=make_transport(), shared=shared)


def _with_limits(config: Config, call: CallOptions, rpm: float | None, tpm: float | None) -> Config:
    """The configuration with these limits on every model that it uses. Raises `ConfigError`."""
    if rpm is None and tpm is None:
        return config
    models: dict[str, Model | Pool] = {
        used.model.name: config.models.get(used.model.name, used.model) for used in used_models(config)
    }
    for name in [*call.get("chain", []), *([call["model"]] if "model" in call else [])]:
        with contextlib.suppress(ConfigError):  # an unknown name is an error when the call is checked
            models[name] = config.model(name)
    limited = {
        name: replace(model, rpm=model.rpm if rpm is None else rpm, tpm=model.tpm if tpm is None else tpm)
        for name, model in models.items()
    }
    return replace(config, models=limited)
