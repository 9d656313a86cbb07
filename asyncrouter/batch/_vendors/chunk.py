"""A chunk: the rows of one batch at a vendor, as its journal tells its story. Pure.

Theory of operation. Everything that is known of a chunk is the fold of its records: `Chunk.apply` takes each record as
it is written, and again, in the same order, when a later run reads the journal. A step at the vendor has a record
before it and one after it. A chunk whose last record is of the first kind was killed, or left without an answer, in
between: what was asked for may exist, and is looked for at the vendor before it is asked for again.

    planned ─ uploading ─ uploaded ─ creating ─ created ─ … ─ ended ─ fetched ─ merged ─ cleaned ─ closed
                  │                     │          │ cancelling, released                 ↑
                  └─ failed ────────────┴──────────┴──────────────────────────────────────┘

`released` is no step: it says that the rows without a result are asked live, whatever still comes from the vendor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from asyncrouter.batch._vendors.api import Group

if TYPE_CHECKING:
    from collections.abc import Mapping

Step = Literal[
    "planned", "uploading", "uploaded", "creating", "created", "ended", "fetched", "merged", "cleaned", "closed",
]
"""The last step that is known to have begun (uploading, creating) or to be done (all others)."""
Record = dict[str, object]
"""A record of the journal: `do` says what has happened, `chunk` to which chunk, `at` when: seconds since the epoch."""


@dataclass(slots=True)
class Chunk:
    """The rows of one batch, and what has become of them.

    `tokens` is about how many the prompts have, `key` the digest of the key it was sent with. Instants are in seconds
    since the epoch, `None` before they have come.
    """

    number: int
    vendor: str
    provider: str
    name: str
    """The model's name in the configuration."""
    group: Group
    rows: int
    bytes: int
    tokens: int
    mark: str
    key: str = ""
    step: Step = "planned"
    began: float = 0.0
    """When the step in `step` began."""
    uploads: int = 0
    creates: int = 0
    searches: int = 0
    """How often it was looked for at the vendor since the last attempt to upload or to create it."""
    file: str | None = None
    batch: str | None = None
    word: str = ""
    looked: float = 0.0
    created: float | None = None
    cancelled: float | None = None
    missing: float | None = None
    """Since when the vendor says that there is no such batch."""
    released: bool = False
    outputs: tuple[str, ...] = ()
    reads: int = 0
    """How often its results were fetched."""
    why: str = ""
    """Why its rows are asked live."""
    reserve: float | None = None
    """Until when it waits before its next step: for room at the vendor, or after an error that passes."""
    trouble: int = 0
    """Errors in a row of the present step."""
    waste_usd: float = 0.0
    answered: int = 0
    told_usd: float | None = None
    """What the vendor says all of it cost."""
    splits: tuple[int, ...] = ()
    old_batches: tuple[str, ...] = ()
    """Batches of it that the vendor failed at once."""
    foreign: tuple[str, ...] = ()
    """Batches that were taken for it, and were somebody else's."""
    old_files: tuple[str, ...] = ()
    adopted: bool = False
    """Whether its batch was found at the vendor, not answered to its creation."""
    expected: int = 0
    """How many results the vendor says there are."""

    @property
    def at_vendor(self) -> bool:
        """Whether a batch of it may be open at the vendor now."""
        return self.step in {"creating", "created"}

    @property
    def remains(self) -> bool:
        """Whether it may have left anything at the vendor."""
        return bool(self.batch or self.file or self.old_batches or self.old_files)

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return self.step != "closed"

    @classmethod
    def of(cls, record: Mapping[str, object]) -> Chunk:
        """The chunk that a record plans."""
        get = record.__getitem__
        return cls(
            number=int(str(get("number"))), vendor=str(get("vendor")), provider=str(get("provider")),
            name=str(get("name")), group=Group(*map(str, _list(get("group")))), rows=int(str(get("rows"))),
            bytes=int(str(get("bytes"))), tokens=int(str(get("tokens"))), mark=str(get("mark")),
        )

    def apply(self, record: Mapping[str, object]) -> None:
        """Take in a record."""
        do, at = str(record["do"]), float(str(record.get("at", 0.0)))
        handler = getattr(self, f"_{do}", None)
        if handler is not None:
            handler(record, at)

    # What each record changes.

    def _enter(self, step: Step, at: float) -> None:
        self.step, self.began, self.trouble, self.reserve = step, at, 0, None

    def _ask(self, step: Step, record: Mapping[str, object], at: float) -> None:
        """Begin what may have to be asked again: the errors in a row are still those."""
        trouble = self.trouble
        self._enter(step, at)
        self.trouble, self.searches = trouble, 0
        self.key = str(record.get("key") or self.key)

    def _uploading(self, record: Mapping[str, object], at: float) -> None:
        self._ask("uploading", record, at)
        self.uploads += 1

    def _uploaded(self, record: Mapping[str, object], at: float) -> None:
        self._enter("uploaded", at)
        self.file = str(record["file"])

    def _creating(self, record: Mapping[str, object], at: float) -> None:
        self._ask("creating", record, at)
        self.creates += 1

    def _created(self, record: Mapping[str, object], at: float) -> None:
        began = self.began
        self._enter("created", at)
        self.batch, self.created, self.looked, self.missing = str(record["batch"]), began or at, at, None
        self.adopted = bool(record.get("found"))

    def _absent(self, record: Mapping[str, object], at: float) -> None:
        """It was looked for, and not found."""
        self.searches += 1
        self.looked = at

    def _not_done(self, record: Mapping[str, object], at: float) -> None:
        """The vendor has said that it did not do it, or it was looked for often enough.

        With `until` that may pass: the next try is not before, and this one does not count.
        """
        trouble, until, uploading = self.trouble, record.get("until"), self.step == "uploading"
        if record.get("foreign") and self.batch is not None:
            self.foreign, self.batch = (*self.foreign, self.batch), None
        self._drop_batch()
        self._enter("uploaded" if self.file is not None else "planned", at)
        if isinstance(until, int | float):
            self.trouble, self.reserve = trouble + 1, float(until)
            if uploading:
                self.uploads -= 1
            else:
                self.creates -= 1

    def _trouble(self, record: Mapping[str, object], at: float) -> None:
        """An error that may pass; the next try is not before `until`."""
        self.trouble += 1
        self.reserve = float(str(record["until"]))

    def _drop_batch(self) -> None:
        if self.batch is not None:
            self.old_batches = (*self.old_batches, self.batch)
            self.batch = None

    def _wait(self, record: Mapping[str, object], at: float) -> None:
        """The vendor has no room for it now: it is created again later, of the same file."""
        self._not_done(record, at)
        self.trouble = 0

    def _again(self, record: Mapping[str, object], at: float) -> None:
        """Its file is not to be found at the vendor: it is uploaded again."""
        self._drop_batch()
        if self.file is not None:
            self.old_files = (*self.old_files, self.file)
            self.file = None
        self._enter("planned", at)

    def _look(self, record: Mapping[str, object], at: float) -> None:
        self.word, self.looked, self.missing = str(record["word"]), at, None

    def _missing(self, record: Mapping[str, object], at: float) -> None:
        self.missing = at

    def _cancelled(self, record: Mapping[str, object], at: float) -> None:
        self.cancelled = at

    def _released(self, record: Mapping[str, object], at: float) -> None:
        self.released = True
        self.why = self.why or str(record.get("why") or "")

    def _ended(self, record: Mapping[str, object], at: float) -> None:
        self._enter("ended", at)
        self.word = str(record.get("word") or self.word)
        self.outputs = tuple(map(str, _list(record.get("outputs"))))
        self.expected = int(str(record.get("expected", 0)))
        told = record.get("usd")
        self.told_usd = float(told) if isinstance(told, int | float) else None
        self.why = self.why or str(record.get("why") or "")

    def _refetch(self, record: Mapping[str, object], at: float) -> None:
        """What was fetched is not whole."""
        self._enter("ended", at)
        self.reserve = float(str(record["until"]))

    def _fetched(self, record: Mapping[str, object], at: float) -> None:
        self._enter("fetched", at)
        self.reads += 1

    def _failed(self, record: Mapping[str, object], at: float) -> None:
        """Nothing more is hoped for from the vendor: all of its rows are asked live."""
        self._enter("merged", at)
        self.released, self.why = True, str(record.get("why") or "")

    def _split(self, record: Mapping[str, object], at: float) -> None:
        """Its rows are those of two other chunks now; what it has left at the vendor is still to be deleted."""
        self._drop_batch()
        self._enter("merged", at)
        self.splits = tuple(each["number"] for each in _list(record.get("into")) if isinstance(each, dict))

    def _merged(self, record: Mapping[str, object], at: float) -> None:
        self._enter("merged", at)
        self.released = True
        self.answered = int(str(record.get("answered", 0)))
        self.waste_usd = float(str(record.get("waste_usd", 0.0)))

    def _cleaned(self, record: Mapping[str, object], at: float) -> None:
        self._enter("cleaned", at)

    def _closed(self, record: Mapping[str, object], at: float) -> None:
        self._enter("closed", at)


def _list(given: object) -> list[object]:
    return list(given) if isinstance(given, list | tuple) else []
