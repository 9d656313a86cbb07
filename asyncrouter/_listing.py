"""The request for the list of models that a provider serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter._engine.reading import GIVEN_UP
from asyncrouter._errors import AttemptError, AttemptTimeout, BadReply, ConnectionFailed, Unauthorized
from asyncrouter._transport.errors import lost_connection
from asyncrouter._wire.decoding.weight import TOO_HEAVY, is_too_heavy

if TYPE_CHECKING:
    from asyncrouter._credentials import Credential
    from asyncrouter._credentials.secret import Secret
    from asyncrouter._transport.api import Transport
    from asyncrouter._wire.api import Wire

TIMEOUT = 30.0
"""Seconds for the whole request: as long as `first_token` is by default."""
MAX_BYTES = 8 << 20
"""Bytes that a list may have, which are read in one go; OpenRouter's has about one million."""
_FORBIDDEN = 403
"""The status of a key that is valid, but not allowed to do this."""


async def list_models(transport: Transport, provider: str, wire: Wire, credential: Credential) -> list[str]:
    """The ids of the models that a provider serves; after a 401 once more, if its key has changed.

    Raises `AttemptError`.
    """
    failed: AttemptError | None = None
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _ask_twice(transport, wire, credential)
    except AttemptError as error:
        failed = error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        failed = ConnectionFailed(GIVEN_UP)
    except TimeoutError:
        failed = AttemptTimeout("total", f"no list of models within {TIMEOUT:g} s")
    except (OSError, EOFError) as error:  # of a transport of the caller's own
        failed = lost_connection(error)
    # Raised outside the handlers: what is below may hold the request.
    raise _completed(failed, provider, credential)


def _completed(error: AttemptError, provider: str, credential: Credential) -> AttemptError:
    """The error with what its reader needs, and without secrets."""
    error.provider, error.message = provider, credential.mask(error.message)
    error.code = None if error.code is None else credential.mask(error.code)
    if isinstance(error, Unauthorized) and error.status != _FORBIDDEN and credential.origin is not None:
        error.message += f" (key of {provider} from {credential.origin})"
    error.args = (error.message,)
    error.__context__ = None
    return error.with_traceback(None)


async def _ask_twice(transport: Transport, wire: Wire, credential: Credential) -> list[str]:
    loop = asyncio.get_running_loop()
    if credential.due(loop.time()):
        await credential.fetch()
    key, sent_at = credential.get(), loop.time()
    try:
        return await _ask(transport, wire, key)
    except Unauthorized as error:
        if error.status == _FORBIDDEN or not await credential.renew(key, sent_at):
            raise
    return await _ask(transport, wire, credential.get())


async def _ask(transport: Transport, wire: Wire, key: Secret | None) -> list[str]:
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
    if is_too_heavy(body):
        raise BadReply(TOO_HEAVY)
    return wire.parse_models(bytes(body))
