"""A vendor's answer to one request, the error it may be, and operations, which ask for such answers."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from asyncrouter import Request

T = TypeVar("T")


class Answer(NamedTuple):
    """A vendor's response to one request, read whole; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Steps = Generator["Request", Answer, T]
"""An operation at a vendor: requests out, answers in, then its result."""


class VendorError(Exception):
    """A vendor's answer that is no success: its status, and its message.

    `sure` says that the vendor has not done what was asked; otherwise it may have.
    """

    def __init__(self, status: int | None, message: str, *, sure: bool = True, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.sure = sure
        self.code = code

    @property
    def passes(self) -> bool:
        """Whether the same may succeed later."""
        return self.status is None or self.status in {402, 408, 409, 425, 429} or self.status >= 500
