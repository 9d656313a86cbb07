"""Finds the item of an answer that an event belongs to, in the same time however many items there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter._wire.responses.output import OutputItem


class ItemIndex:
    """The items of one answer by place, by id, and the newest of each kind.

    The place counts first: some hosts give one item another id in every event. An event that names neither place nor id
    means the newest item of its kind, unless that is whole already.
    """

    __slots__ = ("_by_id", "_by_place", "_newest")

    def __init__(self) -> None:
        self._by_place: dict[int, OutputItem] = {}
        self._by_id: dict[str, OutputItem] = {}
        self._newest: dict[str, OutputItem] = {}

    def __repr__(self) -> str:
        return f"<ItemIndex {len(self._by_place)} by place, {len(self._by_id)} by id>"

    def add(self, item: OutputItem) -> None:
        """Add an item that has just been announced."""
        if item.place is not None:
            self._by_place[item.place] = item
        if item.id is not None:
            self._by_id[item.id] = item
        self._newest[item.kind] = item

    def place(self, items: list[OutputItem]) -> None:
        """Give items that have neither place nor id the place at which they have come."""
        for place, item in enumerate(items):
            if item.place is None and item.id is None:
                self._by_place.setdefault(place, item)

    def find(self, item_id: object, place: object, kind: str) -> OutputItem | None:
        """The item that an event of these marks and of this kind belongs to; `None` for one that is not known yet."""
        place = place if isinstance(place, int) else None
        item_id = item_id if isinstance(item_id, str) else None
        if place is not None and place in self._by_place:
            return self._by_place[place]
        if item_id is not None and item_id in self._by_id:
            found = self._by_id[item_id]
            if place is None or found.place is None:
                return found
        newest = self._newest.get(kind)
        if newest is None or newest.whole:
            return None
        is_another = (place is not None and newest.place is not None) or (item_id is not None and newest.id is not None)
        return None if is_another else newest
