"""Reads the body of a request: within a number of bytes and seconds, and never unpacked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from asyncrouter.openai_api import Answer, problem_answer

if TYPE_CHECKING:
    from asyncrouter.serve._options import ServeOptions

_CLOSE: Final = {"connection": "close"}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_body(request: web.BaseRequest, options: ServeOptions) -> bytes | Answer:
    """The body, or the answer that says why it is not taken. What is left of it is not read."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        return problem_answer(415, "content-encoding: expected none", headers=_CLOSE)
    if (request.content_length or 0) > options.max_body:
        return _too_large(options)
    if request.content.is_eof():  # all of it has come with the head, as it mostly does
        body = request.content.read_nowait()
        return body if len(body) <= options.max_body else _too_large(options)
    if request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0
    parts, size = [], 0
    try:
        async with asyncio.timeout(options.body_seconds):
            while part := await request.content.readany():
                parts.append(part)
                size += len(part)
                if size > options.max_body:
                    return _too_large(options)
    except TimeoutError:
        return problem_answer(408, f"the body did not come within {options.body_seconds:g} s", headers=_CLOSE)
    except web.RequestPayloadError:
        return problem_answer(400, "the body is not what its header fields say", headers=_CLOSE)
    return b"".join(parts)


def _too_large(options: ServeOptions) -> Answer:
    return problem_answer(413, f"the body has more than {options.max_body} bytes", "too_large", headers=_CLOSE)
