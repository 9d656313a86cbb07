"""Reads what the scripts of `_redis_scripts.py` answer. Whatever else comes is a `ConnectionError`, as an outage is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from asyncrouter.shared import Account, Grant, Reservation, SharedHold, Short, Spent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_MICRO: Final = 1_000_000
"""Scripts answer in whole numbers: millionths of seconds and turns."""


def read(parse: Callable[[Sequence[object]], T], reply: Sequence[object]) -> T:
    """A reply, parsed. Raises `OSError` for one that our scripts do not give."""
    try:
        return parse(reply)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise ConnectionError(f"its answer is nonsense: {type(error).__name__}") from None


def _whole(value: object) -> int:
    if isinstance(value, int | bytes | str):
        return int(value)
    raise TypeError(value)


def time_in(reply: Sequence[object]) -> tuple[float, bool]:
    """The server's clock in the answer to a question, and whether the question was stale."""
    stale = _whole(reply[0]) < 0
    return _whole(reply[int(stale)]) / 1000.0, stale


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def grant(reply: Sequence[object]) -> Grant:
    """The answer to `ADMIT`."""
    wait, processes, share, room, joins_in, held = map(_whole, reply[:6])
    return Grant(
        [_whole(one) / _MICRO for one in reply[7:]], wait / _MICRO, processes, share / _MICRO, room,
        joins_in / _MICRO, held / _MICRO, _text(reply[6]),
    )


def news(reply: Sequence[object]) -> tuple[int, list[SharedHold]]:
    """The answer to `NEWS`."""
    holds = []
    for told, left in zip(reply[1::2], reply[2::2], strict=True):
        kind, key, span, why, of_key = orjson.loads(_text(told))
        holds.append(SharedHold(kind, tuple(key), _whole(left) / _MICRO, span, why, of_key))
    return _whole(reply[0]), holds


def reservation(found: object, accounts: tuple[Account, ...], amount: int, name: str) -> Reservation | Short:
    """One part of the answer to `RESERVE`."""
    if not isinstance(found, list):
        raise TypeError(found)
    first, *rest = map(_whole, found)
    if first < 0:
        count = len(accounts)
        return Reservation(accounts, tuple(rest[:count]), amount, name, tuple(rest[count:]))
    left, ends_in = rest
    return Short(accounts[first], left, None if ends_in < 0 else ends_in / _MICRO)


def spent(reply: Sequence[object]) -> Spent:
    """The answer to `READ`."""
    used, reserved, ends_in = map(_whole, reply)
    return Spent(used, reserved, None if ends_in < 0 else ends_in / _MICRO)
