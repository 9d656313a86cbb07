"""Where the batches of an output stand, by their journal: nothing is asked and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._vendors.journal import folder_of, read_chunks
from asyncrouter.batch._vendors.spool import NO_VENDOR

if TYPE_CHECKING:
    import os

    from asyncrouter.batch._vendors.chunk import Chunk


class BatchStatus(NamedTuple):
    """Where one batch stands.

    `state` is "waiting" (not sent yet), "uploading", "sent", "ended" (its results are being fetched) or "done"; `word`
    is the vendor's own word at the last look, "" before one. `batch` and `file` are its ids there, `None` without any.
    `rows` were sent, `answered` of them came back as answers. `live` says that the rows without one are asked live, and
    `why` why.
    """

    provider: str
    model: str
    state: str
    word: str
    batch: str | None
    file: str | None
    rows: int
    answered: int
    live: bool
    why: str

    def __str__(self) -> str:
        word = f" ({self.word})" if self.word else ""
        live = f"; the rest is asked live: {self.why}" if self.live and self.answered < self.rows else ""
        name = f" {self.batch}" if self.batch else ""
        rows = f"{self.rows:,} rows of {self.model}, {self.answered:,} answered"
        return f"{self.provider}{name}: {self.state}{word}, {rows}{live}"


def status(output: str | os.PathLike[str]) -> list[BatchStatus]:
    """Where the batches of a run with `via="provider"` stand, at the last record of its journal.

    It may be asked while the run goes on, from another process. `[]` after a run that has ended, whose journal is
    deleted. Raises `BatchError` if there is neither a journal nor an output of that name.
    """
    path = Path(output)
    folder = folder_of(path)
    if not folder.is_dir():
        if path.exists():
            return []
        raise BatchError(f"{path}: there is no such output")
    return [_status(chunk) for chunk in read_chunks(folder).values() if chunk.vendor != NO_VENDOR and not chunk.splits]


def _status(chunk: Chunk) -> BatchStatus:
    return BatchStatus(
        chunk.provider, chunk.name, _STATES[chunk.step], chunk.word, chunk.batch, chunk.file, chunk.rows,
        chunk.answered, chunk.released, chunk.why,
    )


_STATES = {
    "planned": "waiting", "uploading": "uploading", "uploaded": "waiting", "creating": "sent", "created": "sent",
    "ended": "ended", "fetched": "ended", "merged": "done", "cleaned": "done", "closed": "done",
}
