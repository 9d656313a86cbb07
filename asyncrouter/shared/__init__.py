"""State that several processes share: limits, holds and budgets as one. What a store for it has to do, and one of them.

`asyncrouter.integrations.redis.RedisState` keeps it in Redis. To keep it elsewhere, write a class with the methods of
`Shared`; `InProcess` shows in Python what each of them does.
"""

from typing import TYPE_CHECKING

from asyncrouter.shared._protocol import (
    ALIVE_SECONDS,
    ALONE,
    HORIZON_SECONDS,
    JOIN_SECONDS,
    LAPSE_SECONDS,
    Account,
    Ask,
    Grant,
    Reservation,
    Shared,
    SharedHold,
    Short,
    Spent,
)

if TYPE_CHECKING:
    from asyncrouter.shared._accounts import OwnAccounts
    from asyncrouter.shared._in_process import InProcess
else:

    def __getattr__(name):
        # What keeps state is imported by whoever keeps some: `import asyncrouter` only needs the protocol.
        if name == "OwnAccounts":
            from asyncrouter.shared._accounts import OwnAccounts

            return OwnAccounts
        if name == "InProcess":
            from asyncrouter.shared._in_process import InProcess

            return InProcess
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ALIVE_SECONDS",
    "ALONE",
    "HORIZON_SECONDS",
    "JOIN_SECONDS",
    "LAPSE_SECONDS",
    "Account",
    "Ask",
    "Grant",
    "InProcess",
    "OwnAccounts",
    "Reservation",
    "Shared",
    "SharedHold",
    "Short",
    "Spent",
]
