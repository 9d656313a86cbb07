"""`asyncrouter demo`: a dead provider, a silent one and a real model in a chain, asked, and the trace drawn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import click

from asyncrouter import Config, Model, Price, Provider, Router, local
from asyncrouter.cli._say import write
from asyncrouter.cli._screen import screen
from asyncrouter.cli._timeline import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import Trace

PROMPT = "What is the capital of France?"
LATE = 0.4
"""Seconds after which the next model is raced."""

_PRICE = Price(input=2.0, output=10.0)
"""Invented for the two that do not answer, so that the trace has something to count."""


@click.command(
    "demo",
    epilog="""\b
Examples:
  asyncrouter demo
  asyncrouter demo "Tell me about the sea." | cat
""",
)
@click.argument("prompt", default=PROMPT)
def command(prompt: str) -> None:
    """Watch a chain survive: no key, no account, no network.

    Three models: `dead` refuses the connection, `silent` takes the request and says nothing, and SmolLM2 is a small
    real model that is started on this machine. The first fails and is tried once more, the second is late, so the third
    is raced and answers. The trace shows all of it.
    """
    if not prompt.strip():
        raise click.UsageError("PROMPT is empty")
    trace = asyncio.run(_demonstrate(prompt))
    write("\n")
    draw(trace, screen())
    screen().print("The price of silent is made up; the model on this machine is free.", style="dim")


async def _demonstrate(prompt: str) -> Trace:
    with _address(listening=False) as dead, _address(listening=True) as silent:
        async with contextlib.AsyncExitStack() as stack:
            server = local.serve(slots=1)
            with _starting():
                await stack.enter_async_context(server)
            router = await stack.enter_async_context(Router(_config(server, dead, silent)))
            return await _ask(router, server.alias, prompt)


async def _ask(router: Router, answering: str, prompt: str) -> Trace:
    chain = ["dead", "silent", answering]
    write(f"{' → '.join(chain)}, the next one raced when one is {LATE:g} s late\n\n> {prompt}\n")
    async with router.stream(prompt, chain=chain, hedge=LATE, max_tokens=120, temperature=0) as stream:
        async for chunk in stream:
            write(chunk.text)
    write("\n")
    return stream.trace


def _config(server: local.Server, dead: str, silent: str) -> Config:
    providers = {"dead": Provider(base_url=dead), "silent": Provider(base_url=silent), server.name: server.provider()}
    models = {name: Model(provider=name, id="large", usd_per_mtok=_PRICE) for name in ("dead", "silent")}
    return Config(providers=providers, models={**models, server.alias: server.model()})


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Say that it takes a moment; on a terminal in a line that goes away."""
    told, terminal = "starting a small real model on this machine …", screen(stderr=True)
    if terminal.is_terminal:
        with terminal.status(told):
            yield
    else:
        terminal.print(told)
        yield


@contextlib.contextmanager
def _address(*, listening: bool) -> Iterator[str]:
    """An address of our own that refuses connections or, listening, takes them and never answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if listening:
            held.listen()  # the kernel accepts; nobody ever reads
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"
