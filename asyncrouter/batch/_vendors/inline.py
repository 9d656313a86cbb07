"""What vendors without uploads share: the rows go with the request that creates a batch, and no mark tells it apart.

A batch whose creation was not answered is looked for on the vendor's list: there is one whose rows are as many, that is
not older than our attempt, and whose id is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from asyncrouter import FileRequest
from asyncrouter.batch._vendors.openai import CLOCK_SKEW, dicts_in, text_of
from asyncrouter.batch._vendors.place import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.batch._vendors.answer import Steps
    from asyncrouter.batch._vendors.api import Sent
    from asyncrouter.batch._vendors.place import Place

NARROW_SKEW: Final = 5
"""Seconds that a batch of ours may seem to be older than our attempt, by the clocks of two machines."""


class InlineRows:
    """A vendor's batch API that takes the rows with the request. Its heirs say where it is, and how a list is read."""

    by_file = False
    marks = False
    inline = ""
    path: str
    """The path of the batches, below the version."""
    after: str
    """The query parameter that asks for the page of a list after a batch."""

    def made(self, batch: Mapping[str, object]) -> float | None:
        """When a batch on the list was created, in seconds since the epoch; `None` if that is not said."""
        raise NotImplementedError

    def may_be(self, batch: Mapping[str, object], sent: Sent) -> bool:
        """Whether a batch on the list has as many rows as ours, and what else is known of it is the same."""
        raise NotImplementedError

    def upload(self, place: Place, sent: Sent) -> NoReturn:
        """There is nothing to upload."""
        raise NotImplementedError

    def find_file(self, place: Place, sent: Sent) -> NoReturn:
        """There are no files."""
        raise NotImplementedError

    def create(self, place: Place, sent: Sent) -> Steps[str]:
        """Begin the batch with all its rows."""
        headers = {"Content-Type": "application/json", "Content-Length": f"{sent.path.stat().st_size}"}
        request = FileRequest.of(place.request("POST", self.path, headers=headers), sent.path)
        return text_of(checked((yield request)), "id")

    def find(self, place: Place, sent: Sent, known: frozenset[str]) -> Steps[str | None]:
        """The one unknown batch that may be ours; the newest stand first on the list."""
        after: dict[str, str] = {}
        while True:
            page = checked((yield place.request("GET", self.path, query={"limit": "100", **after})))
            batches = dicts_in(page.get("data"))
            for batch in batches:
                made = self.made(batch)
                if made is not None and made < sent.began - CLOCK_SKEW:
                    return None
                new = made is None or made >= int(sent.began) - NARROW_SKEW  # OpenRouter's times are whole seconds
                if new and batch.get("id") not in known and self.may_be(batch, sent):
                    return text_of(batch, "id")
            if not page.get("has_more") or not batches:
                return None
            after = {self.after: text_of(batches[-1], "id")}
