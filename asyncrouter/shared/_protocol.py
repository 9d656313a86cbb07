"""What many processes keep as one: `Shared`, the protocol of a store for it, and what is said to it and by it.

One store belongs to one router in each process. It keeps, by place (one model with one key): the turns of its limits
(`rpm`, `tpm`, `max_concurrent`), and holds; beside them the accounts of a budget. Clocks are the store's: all instants
that pass here are seconds from now.

Guaranteed by a store: no more turns are given than a place's limits have; counts are absolute, so that a message that
is lost or said twice does no harm; a process that has not been heard of for `LAPSE_SECONDS` has nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

LAPSE_SECONDS = 15.0
"""Seconds without a message after which a process counts as gone: its slots are free again."""
HORIZON_SECONDS = 0.25
"""Seconds ahead for which turns are given."""
JOIN_SECONDS = 2.0
"""Seconds for which all keep to their own shares when the store has come back: longer than anybody takes to ask."""
ALIVE_SECONDS = 0.5
"""Seconds since somebody was given turns after which the store counts as having been away for everybody: less than
anybody takes to find that it is away, and to ask again."""
ALONE = "alone"
"""How the id of a reservation begins that a process has made while the store could not be reached: what it has cost is
booked in the present span."""


class Ask(NamedTuple):
    """What one process says and asks about a place."""

    place: str
    """Which place, in letters and digits: a hash."""
    running: int
    """Requests of this process that run, with the turns that it has and has not used yet."""
    wanted: Sequence[float]
    """The tokens of each request that waits, in their order; no more than it would take now."""
    interactive: int
    """How many of them are no batch work; these come first."""
    waiting: int
    """How many wait in all."""
    rate: float | None
    """Requests a second; `None`: no limit, as with the next two."""
    tokens_rate: float | None
    most: int | None
    """Requests at once."""
    known: bool = False
    """Whether this process was given turns of this place before: then a store that knows nothing has lost it."""
    back: bool = False
    """Whether this process could not reach the store lately, and has gone on by itself."""
    unused: int = 0
    """Turns that are given back; below 0: that were taken ahead."""
    more_tokens: float = 0.0
    """Tokens beyond those that were asked for that were used; below 0: fewer."""


class Grant(NamedTuple):
    """What a store answers to an `Ask`. Times are seconds from now."""

    turns: Sequence[float]
    """When each of the first requests that wait may go."""
    wait: float
    """After how long asking again may help; 0: there is no more to wait for than a slot."""
    processes: int
    """How many processes there are, this one included."""
    share: float
    """This process's part of the turns of the last whole five seconds."""
    room: int
    """How many more might go at once now."""
    joins_in: float = 0.0
    """So long everybody keeps to the share of before, because the store has been away."""
    held: float = 0.0
    """So long the place is held, because its provider has asked for a pause."""
    why: str = ""
    """The provider's words for that."""


class SharedHold(NamedTuple):
    """A model that is held or disabled, or a key that is disabled, as one process has met it."""

    kind: str
    """Where `Holds` keeps it."""
    key: Sequence[str | bool]
    """What it is about, as `Holds` names it, and a hash of the provider's key if it is about that (else "")."""
    seconds: float
    """For how long from now."""
    span: float
    """For how long in all."""
    why: str
    of_key: bool
    place: str = ""
    """The place whose turns it stops; "": none."""


class Account(NamedTuple):
    """Which account: the name of its tag and the value (both "" for the whole budget), its limit and span."""

    tag: str
    value: str
    limit: int
    """Nano-dollars for each span."""
    span: int
    """Seconds; 0: for ever."""

    def __str__(self) -> str:
        return "the budget" if not self.tag else f"the budget of {self.tag} {self.value!r:.80}"


class Short(NamedTuple):
    """Why nothing was reserved: the account that has too little left, and its state."""

    account: Account
    left: int
    """Nano-dollars that are neither spent nor reserved."""
    ends_in: float | None
    """Seconds until its span ends; `None`: never."""


class Reservation(NamedTuple):
    """An amount that is reserved in some accounts, in these spans."""

    accounts: tuple[Account, ...]
    numbers: tuple[int, ...]
    amount: int
    id: str = ""
    """The store's own, or `ALONE…`; "": no store knows of it."""
    left: tuple[int, ...] = ()
    """What is left in each account beside it, where many processes share them."""


class Spent(NamedTuple):
    """One account as it is now, in nano-dollars."""

    spent: int
    reserved: int
    ends_in: float | None


class Shared(Protocol):
    """A store that several processes share. Every method may raise `OSError`: the store cannot be reached.

    `asyncrouter.integrations.redis.RedisState` is one; `InProcess` is one for several routers of one process.
    """

    async def open(self) -> None:
        """Make ready, on the running event loop; raises `ConfigError` where it must be reachable and is not."""
        ...

    async def admit(self, ask: Ask) -> Grant:
        """Say how a place stands here, and ask for turns."""
        ...

    async def tell(self, hold: SharedHold) -> None:
        """Let all processes know of a hold; it never becomes shorter."""
        ...

    async def news(self) -> tuple[int, Sequence[SharedHold]]:
        """How many processes there are, this one included, and all holds that are not over."""
        ...

    async def reserve(
        self, wanted: Sequence[tuple[tuple[Account, ...], int, float]]
    ) -> Sequence[Reservation | Short]:
        """Reserve amounts in accounts, each in all of them or in none; after so many seconds it may count as spent."""
        ...

    async def settle(self, ended: Sequence[tuple[Reservation, int]]) -> None:
        """Replace reservations by what was spent; one that is settled already stays as it is."""
        ...

    async def read(self, account: Account) -> Spent:
        """An account as it is now."""
        ...

    async def aclose(self) -> None:
        """Leave: this process has nothing any more."""
        ...
