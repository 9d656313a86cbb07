"""The errors of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import RouterError, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.batch._report import Report


class Problem(NamedTuple):
    """One invalid row of an input: the number of its line, from 1, and what is wrong with it."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {visible(self.text)}"


class BatchError(RouterError, ValueError):
    """A batch that cannot run as it was asked for; nothing has been sent, unless what raises it says otherwise."""

    def __str__(self) -> str:
        return visible(super().__str__(), lines=True)


class InvalidInput(BatchError):
    """The input has invalid rows. `problems` are the first 100 of them, `count` is how many there are."""

    def __init__(self, source: str, problems: Sequence[Problem], count: int) -> None:
        super().__init__(source, problems, count)
        self.source = source
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.count = count

    def __str__(self) -> str:
        more = self.count - len(self.problems)
        head = f"{visible(self.source)}: {self.count} problem{'' if self.count == 1 else 's'}"
        lines = [head, *map(str, self.problems)]
        return "\n  ".join([*lines, f"and {more} more"] if more else lines)


class WriteFailed(RouterError, OSError):
    """A result could not be written to a file, because the disk is full, say. The same call resumes the batch.

    What is in the file are whole lines. `report` counts the run until then, `None` when the failure was in putting the
    answers in order, after the run.
    """

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror or str(error), path)
        self.report: Report | None = None

    @property
    def reason(self) -> str:
        """The file, and the operating system's message."""
        return visible(f"{self.filename}: {self.strerror}")

    def __str__(self) -> str:
        return f"{self.reason}; what is written is whole, and the same call goes on from there"
