"""A caller's `accept` that breaks: the answer was paid and is lost, and no model is to blame for it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncrouter import Reply

    Accept = Callable[[Reply], bool | Awaitable[bool]]


class AcceptFailed(BatchError):
    """`accept` raised instead of saying yes or no."""


def guarded(accept: Accept) -> Accept:
    """The same, but for what it raises: an `AcceptFailed`, so that it is known for what it is."""

    async def accepted(reply: Reply) -> bool:
        try:
            said = accept(reply)
            return await said if inspect.isawaitable(said) else said
        except Exception as error:
            raise AcceptFailed(f"accept() raised {type(error).__name__}: {error}") from error

    return accepted
