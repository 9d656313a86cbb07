"""Results that a batch holds itself: its list is read element by element, whatever the pieces it comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter.batch._vendors import caller
from asyncrouter.batch._vendors.long_list import ListReader, read_list
from tests.helpers.vendors import VendorWorld

if TYPE_CHECKING:
    from pathlib import Path

ELEMENTS = [
    {"id": "a", "text": 'say "results": [ ] } \\'},
    {"id": "b", "results": [{"deep": [1, {"x": "}"}]}]},
    {"id": "c", "text": "ä\u2028\n", "empty": {}},
]
BODY = {"status": "completed", "note": '"results":[', "results": ELEMENTS, "usage": {"cost": 1.5}}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_the_objects_of_a_list_are_given_one_by_one(size: int) -> None:
    """In pieces of any size each object comes once and whole, and the rest has the first of them alone."""
    data, reader, found = orjson.dumps(BODY), ListReader("results"), []
    for at in range(0, len(data), size):
        found += [orjson.loads(each) for each in reader.feed(data[at : at + size])]

    assert found == ELEMENTS
    assert orjson.loads(reader.rest()) == {**BODY, "results": ELEMENTS[:1]}


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        ({"status": "running", "results": None}, {"status": "running", "results": None}),
        ({"status": "failed"}, {"status": "failed"}),
        ({"results": []}, {"results": []}),
        ({"output": {"results": {"results": [{"k": 1}, {"k": 2}]}}}, {"output": {"results": {"results": [{"k": 1}]}}}),
    ],
)
def test_a_body_without_the_list_stays_as_it_is(body: object, rest: object) -> None:
    """Without such a list, or with an empty one, nothing is taken out; it may stand at any depth."""
    reader = ListReader("results")
    reader.feed(orjson.dumps(body))

    assert orjson.loads(reader.rest()) == rest


def test_a_list_that_is_cut_anywhere_is_torn(tmp_path: Path) -> None:
    """A file that ends anywhere before its end raises, after the objects that are whole."""
    data, path = orjson.dumps(BODY), tmp_path / "results"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"."):
            list(read_list(path, "results"))
    path.write_bytes(data)

    assert list(read_list(path, "results")) == ELEMENTS


@pytest.mark.parametrize(("vendor", "model", "fault"), [("openrouter", "orm", {}), ("gemini", "gem", {"inline": 1.0})])
def test_inline_results_of_any_size_are_seen_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str, model: str, fault: dict[str, float]
) -> None:
    """A batch whose results are larger than any other answer may be ends as every other one does."""
    monkeypatch.setenv("VENDOR_KEY", "sk-vendors")
    monkeypatch.setattr(caller, "MAX_ANSWER", 2_000)
    vendors = VendorWorld(tmp_path)
    vendors.world.batches(takes=600.0, **fault)
    vendors.rows(50, vendors=(vendor,))
    with vendors.watched():
        vendors.run()

    assert {line["model"] for line in vendors.lines()} == {model}
    assert vendors.violations(50) == []
