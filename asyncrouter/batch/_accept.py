"""The caller's `accept` function, wrapped so that an exception of its own is known from an answer not accepted."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncrouter import Reply

    Accept = Callable[[Reply], bool | Awaitable[bool]]


class AcceptFailed(BatchError):
    """`accept` raised an exception instead of returning a bool. The answer was paid for; no model is to blame."""


def guarded(accept: Accept) -> Accept:
    """`accept` as an async function that raises `AcceptFailed`, from the original exception, and nothing else."""

    async def accepted(reply: Reply) -> bool:
        try:
            result = accept(reply)
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            raise AcceptFailed(f"accept() raised {type(error).__name__}: {error}") from error

    return accepted
