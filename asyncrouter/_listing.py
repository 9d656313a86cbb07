"""The request for the list of models that a provider serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptError, AttemptTimeout, BadReply, Unauthorized
from asyncrouter._transport.errors import lost_connection

if TYPE_CHECKING:
    from asyncrouter._credentials import Credential
    from asyncrouter._transport.api import Transport
    from asyncrouter._wire.api import Wire

TIMEOUT = 30.0
"""Seconds for the whole request: as long as `first_token` is by default."""
MAX_BYTES = 64 << 20
"""Bytes that a list may have, as many as an answer by default; OpenRouter's has about one million."""


async def list_models(transport: Transport, provider: str, wire: Wire, credential: Credential) -> list[str]:
    """The ids of the models that a provider serves. Raises `AttemptError`."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _ask(transport, wire, credential.get())
    except AttemptError as error:
        error.provider, error.message = provider, credential.mask(error.message)
        if isinstance(error, Unauthorized) and error.status != 403 and credential.get() is not None:
            error.message += f" (key of {provider} from {credential.origin})"
        error.args = (error.message,)
        raise
    except TimeoutError:
        raise AttemptTimeout("total", f"no list of models within {TIMEOUT:g} s") from None
    except (OSError, EOFError) as error:  # of a transport of the caller's own
        lost = lost_connection(error)
        lost.provider, lost.message = provider, credential.mask(lost.message)
        lost.args = (lost.message,)
        raise lost from None


async def _ask(transport: Transport, wire: Wire, key: str | None) -> list[str]:
    response = await transport.send(wire.list_models(key))
    try:
        body = bytearray()
        while data := await response.read():
            body += data
            if len(body) > MAX_BYTES:
                raise BadReply(f"a list of models of more than {MAX_BYTES} bytes")
    finally:
        response.close()
    if not 200 <= response.status < 300:
        raise wire.failure(response.status, response.headers, bytes(body))
    return wire.parse_models(bytes(body))
