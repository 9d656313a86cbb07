"""The journal of a run: what has been measured so far, so that a run that was killed can go on.

The first line holds the settings of the run, each further one a part of it that has ended: a call, or the probe of a
search. A line is one write, so a kill leaves half a line at most, which is cut off when the journal is opened again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

import orjson

from asyncrouter.bench.comparability import differences
from asyncrouter.files import json_bytes, open_to_append

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Journal:
    """The journal at `path`, made if need be. `parts` are those that were written before, as plain data.

    Raises `ValueError` for a journal of a run with other settings, or a file that is no journal; `OSError`.
    """

    def __init__(self, path: Path, settings: Mapping[str, object]) -> None:
        self.path: Path = path
        self.parts: list[dict[str, object]] = []
        described = orjson.loads(json_bytes(dict(settings)))
        self._file = open_to_append(path)
        try:
            lines = self._whole_lines()
            if lines:
                self._check(lines[0], described)
                self.parts = [orjson.loads(line) for line in lines[1:]]
            else:
                os.write(self._file, json_bytes({"settings": described}, line=True))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Journal {str(self.path)!r}: {len(self.parts)} parts before>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def add(self, part: object) -> None:
        """Keep a part that has ended: a dataclass, or plain data. Raises `OSError`."""
        os.write(self._file, json_bytes(part, line=True))

    def close(self) -> None:
        """Close the file; idempotent. The journal stays, for the next time."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _whole_lines(self) -> list[bytes]:
        """The lines of the file; half a line at its end is cut off."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        return data[:whole].splitlines()

    def _check(self, line: bytes, settings: Mapping[str, object]) -> None:
        try:
            before = orjson.loads(line)["settings"]
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{self.path}: is no journal of a run; move it away") from None
        if changed := [text for _, text in differences(before, settings)]:
            raise ValueError(f"{self.path}: a run with other settings was begun here ({'; '.join(changed)}). Go on "
                             "with the old ones, choose another directory, or delete that file")
