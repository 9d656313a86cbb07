"""The last check of what goes out, the same for every body size and both ways of sending.

Header fields of providers and of calls have been checked by the same rules, where their argument can be named. This is
for requests that somebody has made by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.headers import is_token, name_fault, repeated, value_fault
from asyncrouter._credentials.secret import reveal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._credentials.secret import Sealed


def check_fields(method: str, headers: Mapping[str, Sealed]) -> None:
    """Raise `ValueError`, which names the field but does not quote its value, for what HTTP cannot carry."""
    if not is_token(method):
        raise ValueError(f"method: expected a name like POST, got {method!r:.80}")
    for name, value in headers.items():
        fault = name_fault(name, allowed="content-length")
        if not fault:
            fault = value_fault(reveal(value))
        if fault:
            raise ValueError(f"headers[{name!r:.80}]: expected {fault}")
    if (twice := repeated(headers)) is not None:
        raise ValueError(f"headers[{twice!r:.80}]: given twice; upper and lower case are the same")
