"""Where the batches of an output stand at the vendors, as text or JSON."""

from __future__ import annotations

from asyncrouter import visible
from asyncrouter.batch import status
from asyncrouter.cli._json import json_line


def status_text(output: str) -> str:
    """One line for each batch."""
    found = status(output)
    if not found:
        return "no batch is at a vendor\n"
    return "".join(f"{visible(str(each))}\n" for each in found)


def status_json(output: str) -> str:
    """The same as one JSON object."""
    return json_line({"batches": [each._asdict() for each in status(output)]})
