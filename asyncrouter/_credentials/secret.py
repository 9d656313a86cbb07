"""The opaque holder in which secrets travel: no `repr`, pickle or listing of local variables shows what is inside.

A key is put into a `Secret` where it is read, and taken out where a transport writes the bytes of a request. In between
it is only handed on. So the frames of an exception, which error trackers print with their local variables, hold no key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Secret:
    """A text that must not be shown; `reveal()` gives it out. It equals the same text, plain or secret."""

    __slots__ = ("_hash", "_reveal")

    def __init__(self, text: str) -> None:
        # In a closure rather than in a slot: tools that print objects follow attributes, but not cells of functions.
        self._reveal: Callable[[], str] = lambda: text
        self._hash = hash(text)  # salted for each process, so it tells nothing

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return self._reveal() == (other._reveal() if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return self._hash

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


Sealed = str | Secret
"""A text that may be secret: plain if it is not."""


def reveal(value: Sealed) -> str:
    """The text itself. For the last function before it is sent, and for masking."""
    return value if isinstance(value, str) else value._reveal()


def seal(values: Mapping[str, str]) -> Mapping[str, Secret]:
    """Every text of a mapping as a secret."""
    return {name: Secret(value) for name, value in values.items()}


SECRET_NAME: Final = re.compile("key|token|auth|secret|session|cookie|passw|credential|signature", re.IGNORECASE)
"""Parts of names of header fields whose values are credentials, or consist of them."""


def seal_credentials(headers: Mapping[str, Sealed]) -> Mapping[str, Sealed]:
    """The same header fields, credentials sealed by their names; the mapping itself if there is none in plain text."""
    found = {
        name: Secret(value) for name, value in headers.items()
        if isinstance(value, str) and isinstance(name, str) and SECRET_NAME.search(name)
    }  # fmt: skip
    return {**headers, **found} if found else headers


def reveal_all(values: Mapping[str, Sealed]) -> Mapping[str, str]:
    """The texts of a mapping; the mapping itself if none of them is secret."""
    for value in values.values():
        if not isinstance(value, str):
            return {name: reveal(one) for name, one in values.items()}
    return values  # type: ignore[return-value]  # they are all text


def key_from(text: str) -> Secret | str:
    """The key in this text; or, as plain text, what is wrong with it, which does not quote it."""
    # A trailing newline from a file is the commonest mistake, and an invalid header.
    text = text.strip()
    if not text:
        return "is empty"
    if not (text.isascii() and text.isprintable()):
        lines = len(text.splitlines()) > 1
        return f"has {'a line break' if lines else 'a character that is not printable ASCII'} in it"
    return Secret(text)


class SealedHeaders(dict[str, Secret | Mapping[str, Secret]]):
    """The header fields of a call, and of providers by their names, as secrets.

    `fault` is what is wrong with them, to be raised once nobody's frame holds the plain values.
    """

    __slots__ = ("fault",)

    def __init__(
        self, headers: Mapping[str, str | Mapping[str, str]] | None = None, fault: TypeError | ValueError | None = None
    ) -> None:
        sealed = ((name, Secret(one) if isinstance(one, str) else seal(one)) for name, one in (headers or {}).items())
        super().__init__(sealed)
        self.fault = fault

    def __reduce__(self) -> NoReturn:
        raise TypeError("headers of a call cannot be pickled: they may hold a key")


NO_HEADERS: Final = SealedHeaders()
"""The header fields of a call that has none."""

_OURS: Final = ("aiohttp", "asyncrouter", "yarl", "multidict")
"""The packages whose frames may hold a request."""


def forget_locals(error: BaseException, *, everything: bool = False) -> None:
    """Clear the local variables of our frames, and of the HTTP client's, that `error` has gone through and that ended.

    Names of files and numbers of lines stay, and so do the variables of the program itself, unless `everything` below
    the caller is to be cleared: there a request is in plain text. Those of its causes and contexts are cleared, too.
    """
    _clear(error.__traceback__, everything=everything)
    seen, context = {id(error)}, error.__cause__ or error.__context__
    while context is not None and id(context) not in seen:
        seen.add(id(context))
        _clear(context.__traceback__, everything=False)
        context = context.__cause__ or context.__context__


def _clear(trace: TracebackType | None, *, everything: bool) -> None:
    while trace is not None:
        frame = trace.tb_frame
        if everything or str(frame.f_globals.get("__name__")).startswith(_OURS):
            with suppress(RuntimeError):  # it is still running: the caller's
                frame.clear()
        trace = trace.tb_next


def merge_headers(headers: Mapping[str, Sealed], override: Mapping[str, Sealed]) -> Mapping[str, Sealed]:
    """`override` on top of `headers`; header names are compared without case (RFC 9110, 5.1)."""
    overridden = {name.lower() for name in override}
    return {**{name: value for name, value in headers.items() if name.lower() not in overridden}, **override}
