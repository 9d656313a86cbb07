"""Why a batch cannot begin, or cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import RouterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.batch._report import Report


class Problem(NamedTuple):
    """Something wrong with the input, and the line on which it stands (from 1)."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


class BatchError(RouterError, ValueError):
    """A batch that cannot be carried out as it was asked for; nothing has been sent."""


class InvalidInput(BatchError):
    """The input has problems: `problems` are the first of them, `count` is how many there are."""

    def __init__(self, source: str, problems: Sequence[Problem], count: int) -> None:
        super().__init__(source, problems, count)
        self.source = source
        self.problems = tuple(problems)
        self.count = count

    def __str__(self) -> str:
        more = self.count - len(self.problems)
        lines = [f"{self.source}: {self.count} problem{'' if self.count == 1 else 's'}", *map(str, self.problems)]
        return "\n  ".join([*lines, f"and {more} more"] if more else lines)


class WriteFailed(RouterError, OSError):
    """A result could not be written. What stands in the file is whole; the same call resumes.

    `report` is what came of the batch until then.
    """

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror or str(error), path)
        self.report: Report | None = None

    @property
    def reason(self) -> str:
        """The file, and what the system says."""
        return f"{self.filename}: {self.strerror}"

    def __str__(self) -> str:
        return f"{self.reason}; what is written is whole, and the same call goes on from there"
