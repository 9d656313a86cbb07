"""Exceptions of aiohttp, and of what is below it, as errors of an attempt.

Every message is ours: aiohttp's may quote the URL or a header, and so a key.
"""

from __future__ import annotations

import errno
import socket
import ssl as tls
import zlib
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError, LineTooLong

from asyncrouter._errors import AttemptError, AttemptTimeout, ConnectionFailed
from asyncrouter._transport.url import parse_url

if TYPE_CHECKING:
    from asyncrouter._transport.api import Request

_REASONS: Final = {
    errno.ECONNREFUSED: "refused the connection",
    errno.ECONNRESET: "reset the connection",
    errno.EPIPE: "reset the connection",
    errno.ETIMEDOUT: "did not answer, says the system",
    errno.EHOSTUNREACH: "cannot be reached: no route to the host",
    errno.ENETUNREACH: "cannot be reached: no network",
}
"""What the errors of a socket say about the other side, in the words of a message."""

_LOCAL: Final = {
    errno.EMFILE: "this process has no descriptor free (`ulimit -n`)",
    errno.ENFILE: "this machine has no descriptor free",
    errno.ENOBUFS: "this machine has no buffer free",
    errno.ENOMEM: "this machine has no memory free",
    errno.EADDRNOTAVAIL: "this machine has no port free",
}
"""Errors of a socket that say something about this machine, and nothing about the other side."""

_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's verify codes for an issuer that is not in the bundle (x509_vfy.h): only these go away with another one."""


def attempt_error(error: Exception, request: Request | None = None) -> AttemptError | None:
    """The error of an attempt that met `error`; `None` for a bug, which is raised as it is."""
    place = _place(request)
    if (trouble := _local_trouble(error)) is not None:
        failed = ConnectionFailed(f"no connection to {place}: {trouble}")
        failed.scope = "local"
        return failed
    match error:
        case AttemptError():
            return error
        case aiohttp.ConnectionTimeoutError():
            limit = "" if request is None or request.connect is None else f" within {request.connect:g} s"
            return AttemptTimeout("connect", f"no connection to {place}{limit}")
        case aiohttp.ClientConnectorCertificateError():
            return permanent(_untrusted(place, error.certificate_error))
        case tls.SSLCertVerificationError():
            return permanent(_untrusted(place, error))
        case aiohttp.ServerFingerprintMismatch():
            return permanent(f"the certificate of {place} has another fingerprint than expected")
        case aiohttp.ClientConnectorDNSError():
            return ConnectionFailed(f"the name of {place} was not found: {_reason(error.os_error)}")
        case aiohttp.ClientProxyConnectionError():
            return ConnectionFailed(f"the proxy {error.host}:{error.port} {_reason(error.os_error)}")
        case aiohttp.ClientConnectorSSLError():
            return ConnectionFailed(f"TLS with {place} failed: {_reason(error.os_error)}")
        case aiohttp.ClientConnectorError():
            return ConnectionFailed(f"{place} {_reason(error.os_error)}")
        case aiohttp.ClientHttpProxyError():
            message = f"the proxy answered {error.status} when asked for {place}"
            return permanent(message) if 400 <= error.status < 500 else ConnectionFailed(message)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return permanent("the URL, or its proxy's, cannot be used: it needs http:// or https:// and a host")
        case aiohttp.ServerDisconnectedError() | aiohttp.EofStream():
            return ConnectionFailed(f"{place} closed the connection before its reply")
        case aiohttp.ClientPayloadError(__cause__=ContentEncodingError()) | ContentEncodingError() | zlib.error():
            return ConnectionFailed("the body cannot be decompressed")
        case aiohttp.ClientPayloadError():
            return ConnectionFailed("the body was cut before its end")
        case aiohttp.ClientResponseError() | HttpProcessingError() if isinstance(
            root := _cause(error), ContentEncodingError
        ):
            return permanent(f"{place} compressed its reply in a way that was not asked for: {_encoding(root)}")
        case aiohttp.ClientResponseError() | HttpProcessingError() if isinstance(_cause(error), LineTooLong):
            return ConnectionFailed(f"{place} sent a header, or a line before them, that is too long")
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return ConnectionFailed(f"what {place} sent is not HTTP ({_root(error)})")
        case OSError():
            return ConnectionFailed(f"{place} {_reason(error)}")
        case aiohttp.ClientConnectionError():
            return ConnectionFailed(f"the connection to {place} was closed")
        case aiohttp.ClientError():
            return ConnectionFailed(f"the exchange with {place} failed ({type(error).__name__})")
    return None


def is_local(error: BaseException) -> bool:
    """Whether an error says that this machine has no room for a connection."""
    return isinstance(error, OSError) and error.errno in _LOCAL


def _local_trouble(error: Exception) -> str | None:
    """What this machine has run out of, if that is what `error` says."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        # A look-up without a descriptor says that the name is not known, or to try again: so try for a descriptor.
        return _LOCAL.get(error.os_error.errno or 0) or _missing_descriptor()
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and not isinstance(cause, tls.SSLError):
        return _LOCAL.get(cause.errno or 0)
    if isinstance(error, MemoryError):
        return _LOCAL[errno.ENOMEM]
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "this process can start no thread"
    return None


def _missing_descriptor() -> str | None:
    """Why no socket can be opened just now, `None` if one can."""
    try:
        socket.socket().close()
    except OSError as error:
        return _LOCAL.get(error.errno or 0)
    return None


def lost_connection(error: OSError | EOFError) -> AttemptError:
    """The error of an attempt whose transport, one of the caller's own, raised this instead of a `ConnectionFailed`."""
    return attempt_error(error) or ConnectionFailed("the connection ended early")


def permanent(message: str) -> ConnectionFailed:
    """A failed connection that another try would only repeat, so that none is made."""
    failed = ConnectionFailed(message)
    failed.again = "never"
    return failed


def _untrusted(place: str, error: BaseException) -> str:
    reason = _reason(error)
    cure = '; set ca = "bundle.pem"' if getattr(error, "verify_code", None) in _UNKNOWN_ISSUER else ""
    return f"the certificate of {place} is not trusted: {reason}{cure}"


def _reason(error: BaseException) -> str:
    if isinstance(error, tls.SSLError):  # OpenSSL fills these two in; one that Python code raised has neither
        return str(getattr(error, "verify_message", None) or getattr(error, "reason", None) or "no reason given")
    if isinstance(error, OSError) and error.errno is not None:
        return _REASONS.get(error.errno) or error.strerror or f"failed with error {error.errno}"
    return "did not answer in time" if isinstance(error, TimeoutError) else "closed the connection"


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _root(error: BaseException) -> str:
    return type(_cause(error)).__name__


def _encoding(error: BaseException) -> str:
    """The name of an encoding that aiohttp cannot read, as its message has it."""
    return next((name for name in ("zstd", "br") if f"({name})" in str(error)), "its encoding is not known")


def _place(request: Request | None) -> str:
    """The host and port that a request went to."""
    if request is None:
        return "the server"
    try:
        url = parse_url(request.sealed_url)
    except aiohttp.InvalidURL:
        return "the server"
    return f"{url.host}:{url.port}"
