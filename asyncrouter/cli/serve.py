"""`asyncrouter serve`: OpenAI's HTTP API over the chains of a configuration."""

from __future__ import annotations

import gc
import logging
import resource
import time
from typing import TYPE_CHECKING

import click

from asyncrouter import ConfigError
from asyncrouter.cli._configuration import Configuration, config_options, shared_option
from asyncrouter.cli._event_loop import run
from asyncrouter.cli._json import json_line
from asyncrouter.cli._output import print_note, write
from asyncrouter.openai_api import Answer, KeyRing, problem_answer
from asyncrouter.serve import Loaded, Recent, ServeOptions, Server, StatusPage, read_keys, read_serve_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter import Event, Router, Shared

_MEGABYTE = 1 << 20
_MOST_CONNECTIONS = 10_000
"""Connections of clients, if the system lets this process have as many: half of its files; the rest is for models."""


@click.command(
    "serve",
    epilog="""\b
Examples:
  asyncrouter serve
  asyncrouter serve --config router.toml --host 0.0.0.0 --key env:SERVE_KEY
  OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=$SERVE_KEY python your_program.py
  curl http://127.0.0.1:8000/v1/chat/completions -H "Authorization: Bearer $SERVE_KEY" \\
    -d '{"model": "task:coding", "messages": [{"role": "user", "content": "Hi"}]}'

\b
Keys with limits of their own stand in the configuration:
  [serve.keys.team-a]
  key = "env:TEAM_A_KEY"
  models = ["task:coding", "small"]     # what it may use
  rpm = 60
  usd = 5.0                             # for each day (UTC); per = "hour" or "run"

\b
/status and /metrics tell of all clients, so a key that is limited to some models does not open them. A browser asks
for a key as the password of any user.
""",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on. One that other machines reach needs a key.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--key", "keys", multiple=True, metavar="env:NAME",
              help="Answer only clients that send this key; repeatable.")
@click.option("--max-body", default=32, show_default=True, type=click.IntRange(1), metavar="MB",
              help="Largest body of a request.")
@click.option("--max-calls", default=1000, show_default=True, type=click.IntRange(1), metavar="N",
              help="Requests answered at the same time; one more gets a 503.")
@click.option("--max-seconds", default=600.0, show_default=True, type=click.FloatRange(0, min_open=True),
              metavar="SECONDS", help="Longest time of a call, whatever a client asks for.")
@click.option("--drain", default=5.0, show_default=True, type=click.FloatRange(0), metavar="SECONDS",
              help="Time for requests in flight when the server is stopped.")
@click.option("--status/--no-status", default=None, help="A page for people at /status: the models, how they stand, "
              "what calls cost in the last hour.  [default: only without keys]")
@click.option("--json", "as_json", is_flag=True, help="Print the address as a JSON object.")
@shared_option
@config_options
def command(
    host: str, port: int, keys: Sequence[str], max_body: int, max_calls: int, max_seconds: float, drain: float,
    status: bool | None, as_json: bool, shared: Shared | None,
    configuration: Configuration,
) -> None:
    """Serve OpenAI's HTTP API: chat completions, embeddings and models, answered by chains.

    For every client of that API; those that would ask the Responses API have to be set to Chat Completions.

    `model` in a request is a model, task:NAME, tier:NAME, or a chain a,b. GET /healthz says whether requests are taken,
    GET /metrics is for Prometheus, GET /status for people. SIGTERM drains, SIGHUP reads the configuration again.
    """
    options = ServeOptions(
        host=host, port=port, max_body=max_body * _MEGABYTE, max_calls=max_calls, longest=max_seconds, drain=drain,
        max_connections=_raise_file_limit(),
    )
    run(_serve(configuration, shared, _named(keys), options, status, as_json))


def _raise_file_limit() -> int:
    """Let this process open as many files as the system allows; how many of them clients may take."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * _MOST_CONNECTIONS
    limit = wanted if most == resource.RLIM_INFINITY else min(most, wanted)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    return max(1, min(_MOST_CONNECTIONS, limit // 2))


def _named(keys: Sequence[str]) -> dict[str, str]:
    """The keys by the name of their variable."""
    named = {key.removeprefix("env:"): key for key in keys if key.startswith("env:")}
    if len(named) != len(set(keys)):
        keys = ()  # one of them may be a key, which no traceback shows
        raise ConfigError('expected "env:NAME", the environment variable that has the key', "--key")
    return named


async def _serve(
    configuration: Configuration, shared: Shared | None, keys: dict[str, str], options: ServeOptions,
    status: bool | None, as_json: bool,
) -> None:
    metrics, listeners = _metrics()
    pages = {"/metrics": metrics}

    def load_keys() -> KeyRing:
        return read_keys({} if configuration.path is None else read_serve_table(configuration.path), keys)

    if status or (status is None and not load_keys()):
        listeners.append(recent := Recent(time.monotonic))
        pages["/status"] = StatusPage(recent).answer
    load = lambda: Loaded(configuration.router(*listeners, shared=shared), load_keys())  # noqa: E731
    logger = logging.getLogger("asyncrouter.serve")
    logger.setLevel(logging.INFO)
    logger.addHandler(notes := _Notes())
    try:
        await _run(Server(load, options, pages=pages), str(configuration), as_json)
    finally:
        logger.removeHandler(notes)


def _metrics() -> tuple[Callable[[Router], Answer], list[Callable[[Event], None]]]:
    """The page `/metrics`, and the listener that counts for it; without its package a page that says so."""
    try:
        from prometheus_client import CollectorRegistry  # an extra

        from asyncrouter.integrations.prometheus import CONTENT_TYPE, Prometheus
    except ModuleNotFoundError:
        missing = problem_answer(404, "no metrics: pip install 'asyncrouter[prometheus]'")
        return lambda router: missing, []
    counts = Prometheus(CollectorRegistry())
    return lambda router: Answer(200, {"content-type": CONTENT_TYPE}, counts.text()), [counts]


async def _run(server: Server, name: str, as_json: bool) -> None:
    async with server:
        server.handle_signals()
        if as_json:
            write(json_line({"base_url": server.base_url}, one_line=True))
        page = f", status page {server.base_url.removesuffix('/v1')}/status" if "/status" in server.pages else ""
        gc.collect()
        gc.freeze()  # what was imported lives as long as the server: a full collection took 30 ms to look at it
        print_note(f"serving {name} at {server.base_url}{page}; Ctrl-C stops")
        await server.wait()
        print_note("stopping")


class _Notes(logging.Handler):
    """Prints what the server logs: about itself, never about a request."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        print_note(record.getMessage())
