"""Rows as requests, results as replies: both by the router itself, over a transport that goes nowhere.

Theory of operation. A call of a router that is not connected to anything does all that a call does: it plans, encodes
by the provider's wire, decodes, checks `response_format`, asks `accept`, counts tokens and money. So a row is encoded
by a call whose transport keeps the request and breaks off, and a result is read by a call whose transport returns it
as the response. Every rule of a live call holds for a row of a batch, because it is the same code.

These routers have no limits, no hedges and no breakers: nothing learned of old results should hold a new one up.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncrouter import CallError, Chain, Retry, Router
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Attempt, Model, Reply, Request, Step
    from asyncrouter.batch._rows import Row
    from asyncrouter.batch._vendors.api import Result


class Codec:
    """Encodes rows and decodes results of the models of a router. Close it at the end."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._writer = _unconnected(router, _Writer())
        self._reader = _unconnected(router, _Reader())

    async def aclose(self) -> None:
        """Close both routers."""
        await self._writer.aclose()
        await self._reader.aclose()

    async def encode(self, prompt: object, options: Mapping[str, object]) -> Request:
        """The request of the first step of a call. Raises what the call would raise before anything is sent."""
        try:
            await self._writer.chat(prompt, **options)  # type: ignore[arg-type]  # checked before
        except _Written as written:
            return written.request
        raise AssertionError("a call without a connection was answered")

    async def decode(self, row: Row, options: Mapping[str, object], result: Result, seconds: float) -> Reply:
        """The reply of a row from its result, `seconds` after its batch began.

        Raises what a call with this answer would raise: `AllModelsFailed` if it is none or is not accepted, `Refused`,
        what `accept` raises. The trace has the cost in either case.
        """
        tape = _Tape(result)
        for _ in range(2):
            token = _playing.set(tape)
            try:
                reply = await self._reader.chat(row.prompt, **options)  # type: ignore[arg-type]  # checked before
            except CallError as error:
                if not tape.played:  # an old result holds the model up
                    await self._reader.aclose()
                    self._reader = _unconnected(self._router, _Reader())
                    continue
                _note(error.trace.attempts, seconds)
                error.trace.seconds = seconds
                raise
            finally:
                _playing.reset(token)
            _note(reply.trace.attempts, seconds)
            reply.trace.seconds = seconds
            return reply
        raise AssertionError("a result could not be read by a router without limits")


class _Written(Exception):
    """Breaks off a call whose request is written."""

    def __init__(self, request: Request) -> None:
        super().__init__("written")
        self.request = request


class _Writer:
    """A transport that keeps the request."""

    async def send(self, request: Request) -> _Response:
        raise _Written(request)

    async def aclose(self) -> None:
        pass


class _Tape:
    """The result that is read now, and whether it was."""

    __slots__ = ("played", "result")

    def __init__(self, result: Result) -> None:
        self.result = result
        self.played = False


_playing: ContextVar[_Tape] = ContextVar("_playing")


class _Reader:
    """A transport that answers with the result of the caller's task."""

    async def send(self, request: Request) -> _Response:
        tape = _playing.get()
        tape.played = True
        return _Response(tape.result)

    async def aclose(self) -> None:
        pass


class _Response:
    """A result as a response."""

    def __init__(self, result: Result) -> None:
        self.status = result.status
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        if result.request_id is not None:
            self.headers = {**self.headers, "x-request-id": result.request_id}
        self.connected_at = asyncio.get_running_loop().time()
        self.reused = False
        self._body = result.body if isinstance(result.body, bytes) else json_bytes(result.body)

    async def read(self, rest: float = 0.0) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        self._body = b""


def _unconnected(router: Router, transport: _Writer | _Reader) -> Router:
    defaults = replace(router.config.defaults, breaker="off", hedge=None, deadline=None, on_context=None)
    return Router(replace(router.config, defaults=defaults), transport=transport, wall=router.wall)


def _note(attempts: list[Attempt], seconds: float) -> None:
    """Mark attempts as a batch's, and give them its time."""
    for attempt in attempts:
        attempt.cause = "batch"
        attempt.queued = attempt.sent = 0.0
        attempt.ended = seconds


def offline_chain(base: Chain | None, step: Step, model: Model) -> Chain:
    """A chain of one step for a call that only encodes or decodes: its parameters and rules, none of its clocks."""
    only = replace(
        step, model=model, connect=None, first_token=None, idle=None, total=None, retry=Retry(attempts=1),
        wire_stream=False,
    )
    if base is None:
        return Chain([only], hedge=None, deadline=None, on_context=None)
    return replace(
        base, models=[only], hedge=None, deadline=None, on_context=None, retry=Retry(attempts=1), wire_stream=False,
        connect=None, first_token=None, idle=None, total=None,
    )


