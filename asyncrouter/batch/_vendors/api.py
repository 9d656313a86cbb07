"""What a vendor's batch API is to the rest: its limits, the form of its lines, and its operations as plain generators.

No module of a vendor does any I/O. An operation is a generator: it yields each `Request` to send, is sent the
`Answer`, and returns its result. So the same code runs over any transport, and a test drives it by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asyncrouter import Request
    from asyncrouter.batch._vendors.answer import Steps
    from asyncrouter.batch._vendors.place import Place

Phase = Literal["waiting", "running", "ending", "ended"]
"""Where a batch stands: it waits or is checked, it runs, it is being cancelled or finalised, nothing more comes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold, and how many batches may be open at once. `bytes` is that of the vendor less a reserve.
    """

    rows: int
    bytes: int
    batches: int = 50


class Fault(NamedTuple):
    """Why a vendor has failed a whole batch, in its words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a batch shows: where it stands, the vendor's own word for that, and where its results are.

    `outputs` are what `Vendor.downloads` takes; empty where the vendor has no results. `faults` say why the whole batch
    has failed. `usd` is what the vendor says it has charged for all of it, `None` where it says nothing.
    """

    phase: Phase
    word: str
    outputs: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    usd: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


class Result(NamedTuple):
    """One line of results: the id that was sent, and either the body of an answer or the text of an error.

    `status` is that of the answer or of the error, 0 where the vendor gives none.
    """

    id: str
    status: int
    body: object = None
    error: str | None = None
    request_id: str | None = None


class Sent(NamedTuple):
    """What of a batch the vendor needs to know: its mark, its group, how many rows, the file of its lines."""

    mark: str
    group: Group
    rows: int
    path: Path
    file: str | None
    """The id of the uploaded file, `None` where the lines go with the request that creates the batch."""
    began: float
    """When it was first tried to be created, in seconds since the epoch."""


class Group(NamedTuple):
    """What all rows of a batch have in common: the model's id, the endpoint, and whatever else the vendor wants alike.
    """

    model: str
    endpoint: str
    common: str = ""
    """As JSON; "" for nothing."""


class Form(NamedTuple):
    """How a file of lines is framed: what stands before, between and after them."""

    before: bytes = b""
    between: bytes = b"\n"
    after: bytes = b"\n"


class Encoded(NamedTuple):
    """A row in its vendor's form: the group it belongs to, and its line, without a line end."""

    group: Group
    line: bytes


class Vendor(Protocol):
    """The batch API of a vendor."""

    name: str
    limits: Limits
    by_file: bool
    """Whether lines are uploaded as a file, before the batch is created of it."""
    marks: bool
    """Whether the vendor's list of batches shows our mark."""
    cancels: bool
    """Whether a batch can be cancelled."""
    inline: str
    """The name of the list in which a batch may hold its results itself; "" where they are always files."""

    def encode(self, id: str, path: str, body: bytes) -> Encoded | None:  # noqa: A002  # the row's
        """The line of a request that was to be sent to `path`; `None` if the batch API does not take such ones."""
        ...

    def form(self, group: Group) -> Form:
        """How the lines of a group stand in their file."""
        ...

    def upload(self, place: Place, sent: Sent) -> Steps[str]:
        """Upload the file of lines; the id of the file."""
        ...

    def find_file(self, place: Place, sent: Sent) -> Steps[str | None]:
        """The id of the uploaded file with this mark; `None` if there is none."""
        ...

    def create(self, place: Place, sent: Sent) -> Steps[str]:
        """Begin the batch; its id."""
        ...

    def find(self, place: Place, sent: Sent, known: frozenset[str]) -> Steps[str | None]:
        """The id of the batch that was created of these lines and is none of the `known`; `None` if there is none."""
        ...

    def look(self, place: Place, batch: str) -> Steps[Look]:
        """Where the batch stands."""
        ...

    def cancel(self, place: Place, batch: str) -> Steps[None]:
        """Ask for the batch to be cancelled. Its results up to then are still to come."""
        ...

    def downloads(self, place: Place, batch: str, outputs: tuple[str, ...]) -> list[Request]:
        """The requests that fetch all results."""
        ...

    def results(self, path: Path) -> Iterator[Result]:
        """Read results that were fetched; a line that is none is left out. Raises `ValueError` for a torn file."""
        ...

    def clean(self, place: Place, batch: str | None, file: str | None, outputs: tuple[str, ...]) -> Steps[None]:
        """Delete what is left at the vendor of an ended batch. What is gone already is no error."""
        ...
