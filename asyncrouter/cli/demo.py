"""`asyncrouter demo`: a chain of a dead provider, a silent one and a real model, asked once, with its trace drawn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import click

from asyncrouter import Config, Model, Price, Provider, Router, local
from asyncrouter.cli._console import make_console
from asyncrouter.cli._json import json_line, json_option, reply_json
from asyncrouter.cli._output import write
from asyncrouter.cli._timeline import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import Reply

PROMPT = "What is the capital of France?"
HEDGE_AFTER = 0.4
"""Seconds without content after which the next model is started in parallel: long enough to be seen in the drawing,
short enough for a demonstration."""

_PRICE = Price(input=2.0, output=10.0)
"""An invented price for the two providers that do not answer, so that the trace has a cost to show."""


@click.command(
    "demo",
    epilog="""\b
Examples:
  asyncrouter demo
  asyncrouter demo "Tell me about the sea." | cat
  asyncrouter demo --json
""",
)
@click.argument("prompt", default=PROMPT)
@json_option
def command(prompt: str, as_json: bool) -> None:
    """Watch a chain survive two failures: no key, no account, no network.

    The chain has three models: `dead` refuses the connection, `silent` accepts the request and never answers, and
    SmolLM2 is a small real model that is started on this machine. The first fails and is retried once, the second is
    too slow, so the third is started in parallel and answers. The trace shows every attempt.
    """
    if not prompt.strip():
        raise click.UsageError("PROMPT is empty")
    reply = asyncio.run(_run(prompt, quiet=as_json))
    if as_json:
        write(json_line(reply_json(reply)))
        return
    write("\n")
    draw(reply.trace, make_console())
    make_console().print("The price of silent is invented; the model on this machine is free.", style="dim")


async def _run(prompt: str, *, quiet: bool) -> Reply:
    with _address(listening=False) as dead, _address(listening=True) as silent:
        async with contextlib.AsyncExitStack() as stack:
            server = local.serve(slots=1)
            with _starting_message():
                await stack.enter_async_context(server)
            router = await stack.enter_async_context(Router(_config(server, dead, silent)))
            return await _ask(router, server.alias, prompt, quiet=quiet)


async def _ask(router: Router, answering: str, prompt: str, *, quiet: bool) -> Reply:
    chain = ["dead", "silent", answering]
    show = (lambda text: None) if quiet else write
    show(f"{' → '.join(chain)}; the next one is started after {HEDGE_AFTER:g} s without content\n\n> {prompt}\n")
    async with router.stream(prompt, chain=chain, hedge=HEDGE_AFTER, max_tokens=120, temperature=0) as stream:
        async for chunk in stream:
            show(chunk.text)
    show("\n")
    return stream.reply


def _config(server: local.Server, dead: str, silent: str) -> Config:
    providers = {"dead": Provider(base_url=dead), "silent": Provider(base_url=silent), server.name: server.provider()}
    models = {name: Model(provider=name, id="large", usd_per_mtok=_PRICE) for name in ("dead", "silent")}
    return Config(providers=providers, models={**models, server.alias: server.model()})


@contextlib.contextmanager
def _starting_message() -> Iterator[None]:
    """Say that starting takes a moment; on a terminal the message disappears afterwards."""
    message, console = "starting a small real model on this machine …", make_console(stderr=True)
    if console.is_terminal:
        with console.status(message):
            yield
    else:
        console.print(message)
        yield


@contextlib.contextmanager
def _address(*, listening: bool) -> Iterator[str]:
    """A local address that refuses connections or, `listening`, accepts them and never answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if listening:
            held.listen()  # the kernel accepts connections; nothing reads from them
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"
