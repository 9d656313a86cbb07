"""`python -m asyncrouter.local`: an answer of the local model after a fallback, without a key or an account."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from asyncrouter import CallError, Config, Provider, Reply, Router, local

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Describe = Callable[[Reply | CallError | local.Server], str]

_PROMPT = "What is the capital of France?"
_CLEAR_LINE = "\r\x1b[K"
"""What a terminal is sent to empty the line that shows the loading."""
_ANSWERED, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130
"""The exit statuses."""


def main(arguments: list[str] | None = None, describe: Describe | None = None) -> int:
    """Run the command; its exit status is 0 answered, 1 no answer, 2 usage or not installed, 130 interrupted.

    `describe` writes what is printed of an answer, a failed call or a server; `None`: text for a reader.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.serve and options.prompt is not None:
            raise ValueError("--serve asks nothing: leave it out, or the prompt")
        server = local.serve(port=options.port, slots=options.slots, context=options.context, key=_key(options.key))
        prompt = _PROMPT if options.prompt is None else options.prompt
        if not prompt.strip():
            raise ValueError("PROMPT is empty")
        work = _serve(server, options.key, describe) if options.serve else _ask(server, prompt, describe)
        return asyncio.run(work)
    except (local.LocalModelError, ValueError) as wrong:
        _write_error(str(wrong))
        return _USAGE
    except KeyboardInterrupt:
        _write("")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asyncrouter.local",
        description="Start a small real model on this machine, ask it in a chain after a provider that is down, and "
        "print the answer and the trace.",
    )
    parser.add_argument("prompt", nargs="?", help=f"what to ask (default: {_PROMPT})")
    parser.add_argument("--serve", action="store_true", help="ask nothing; keep the model running until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="port of the model's server (default: a free one)")
    parser.add_argument("--slots", type=int, default=8, help="requests answered at a time (default: %(default)s)")
    parser.add_argument("--context", type=int, default=1024, help="tokens a request may use (default: %(default)s)")
    parser.add_argument("--key", metavar="env:NAME", help="demand the key in this environment variable")
    return parser


def _key(reference: str | None) -> str | None:
    if reference is None:
        return None
    kind, _, name = reference.partition(":")
    key = os.environ.get(name, "").strip()
    if kind != "env" or not key:
        raise ValueError("--key: expected env:NAME, the name of an environment variable that is set")
    return key


async def _ask(server: local.Server, prompt: str, describe: Describe | None) -> int:
    async with _running(server):
        with _dead_address() as dead:
            config = Config(
                providers={"dead": Provider(base_url=dead), server.name: server.provider()},
                models={server.alias: server.model()},
            )
            async with Router(config) as router:
                chain = [f"dead:{server.alias}", server.alias]
                try:
                    reply = await router.chat(prompt, chain=chain, max_tokens=120, temperature=0)
                except CallError as failed:
                    _write_error(failed.message if describe else str(failed))
                    sys.stdout.write(describe(failed) if describe else "")
                    return _FAILED
    sys.stdout.write(describe(reply) if describe else f"{reply.text.strip()}\n\n{reply.trace}\n")
    return _ANSWERED


async def _serve(server: local.Server, key: str | None, describe: Describe | None) -> int:
    async with _running(server):
        sys.stdout.write(describe(server) if describe else _snippet(server, key))
        sys.stdout.flush()
        status = await asyncio.to_thread(server.wait)
    _write_error(f"the model's server ended with exit status {status}")
    return _FAILED


def _snippet(server: local.Server, key: str | None) -> str:
    return (
        f"{server.base_url}\n\n"
        f"[providers.{server.name}]\n"
        f'base_url = "{server.base_url}"\n' + (f'key = "{key}"\n' if key else "") + "\n"
        f"[models.{server.alias}]\n"
        f'provider = "{server.name}"\n'
        f'id = "{server.alias}"\n'
        f"context = {server.context}\n"
        "usd_per_mtok = { input = 0.0, output = 0.0 }\n"
    )


@contextlib.asynccontextmanager
async def _running(server: local.Server) -> AsyncIterator[None]:
    began = time.monotonic()
    loading = asyncio.create_task(_show_loading(began))
    try:
        async with server:
            loading.cancel()
            _write(f"ready after {time.monotonic() - began:.1f} s: {server.alias} at {server.base_url}\n")
            yield
    finally:
        loading.cancel()


async def _show_loading(began: float) -> None:
    """Write that the model is loading; on a terminal again and again, in one line, with the seconds so far."""
    loading = "loading SmolLM2-135M-Instruct …"
    if not sys.stderr.isatty():
        _write(f"{loading}\n")
        return
    while True:
        _write(f"{loading} {time.monotonic() - began:.1f} s")
        await asyncio.sleep(0.1)


@contextlib.contextmanager
def _dead_address() -> Iterator[str]:
    """The URL of a port on which nothing listens; it stays bound, so that nothing else can take it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def _write_error(text: str) -> None:
    """Write an error in the form of every command of `asyncrouter`."""
    _write(f"asyncrouter: {text}\n")


def _write(text: str) -> None:
    sys.stderr.write(f"{_CLEAR_LINE if sys.stderr.isatty() else ''}{text}")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
