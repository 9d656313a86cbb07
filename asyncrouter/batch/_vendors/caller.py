"""Carries out a vendor's operations: sends each request over the router's transport, with a timeout of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from asyncrouter import AttemptError, AttemptTimeout, FileRequest
from asyncrouter.batch._vendors.answer import Answer, VendorError
from asyncrouter.batch._vendors.long_list import ListReader
from asyncrouter.batch._vendors.place import failure

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter import Request, Response, Transport
    from asyncrouter.batch._vendors.answer import Steps

T = TypeVar("T")

TIMEOUT = 120.0
"""Seconds for a small request and its answer."""
IDLE_TIMEOUT = 120.0
"""Seconds without a byte of a download after which it has failed."""
SLOWEST = 50_000.0
"""Bytes a second of an upload, below which it has failed."""
MAX_ANSWER = 64 << 20
"""Bytes of an answer that is read whole: a page of a list, for one."""


class Caller:
    """Sends requests to vendors. What goes wrong is a `VendorError`, whichever transport it comes from."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def run(self, steps: Steps[T], *, without: str = "") -> T:
        """Carry out an operation; its result. Raises `VendorError`.

        `without` names a list of which answers keep the first object alone, however long it is.
        """
        try:
            request = next(steps)
            while True:
                request = steps.send(await self._ask(request, without))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    async def download(self, request: Request, path: Path) -> None:
        """Fetch a body into a file, which is there only when it is whole. Raises `VendorError`, `OSError`."""
        half = path.with_name(f"{path.name}.part")
        try:
            response = await self._send(request)
            try:
                if not 200 <= response.status < 300:
                    raise failure(Answer(response.status, response.headers, await self._body(response)))
                with half.open("wb") as file:
                    while data := await asyncio.wait_for(response.read(), IDLE_TIMEOUT):
                        file.write(data)
            finally:
                response.close()
        except (AttemptError, EOFError, TimeoutError, ConnectionError) as error:
            raise _lost(error) from None
        half.replace(path)

    async def _ask(self, request: Request, without: str) -> Answer:
        try:
            response = await self._send(request)
            try:
                return Answer(response.status, response.headers, await self._body(response, without))
            finally:
                response.close()
        except (AttemptError, EOFError, OSError) as error:  # a TimeoutError is an OSError
            raise _lost(error) from None

    async def _send(self, request: Request) -> Response:
        size = request.size if isinstance(request, FileRequest) else len(request.body)
        async with asyncio.timeout(TIMEOUT + size / SLOWEST):
            return await self._transport.send(request)

    async def _body(self, response: Response, without: str = "") -> bytes:
        reader, body = ListReader(without) if without else None, bytearray()
        while data := await asyncio.wait_for(response.read(), IDLE_TIMEOUT):
            if reader is not None:
                reader.feed(data)
                continue
            body += data
            if len(body) > MAX_ANSWER:
                raise VendorError(response.status, f"an answer of more than {MAX_ANSWER} bytes", sure=False)
        return bytes(body) if reader is None else reader.rest()


def _lost(error: Exception) -> VendorError:
    """The error of a request without an answer: it may have been carried out, unless there was no connection."""
    unsent = isinstance(error, AttemptTimeout) and error.clock == "connect"
    message = error.message if isinstance(error, AttemptError) else str(error)
    return VendorError(None, message or type(error).__name__, sure=unsent)
