"""How records are pickled from now on, and what becomes of pickles of other versions."""

from __future__ import annotations

import copy
import pickle
import pickletools
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import asyncrouter as ar
from asyncrouter._pickles.by_name import VERSION, PickledByName
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


@dataclass(slots=True)
class Record(PickledByName):
    text: str
    added: int = 7


@dataclass(frozen=True, slots=True)
class Frozen(PickledByName):
    text: str
    added: int = 7


@pytest.mark.parametrize("cls", [Record, Frozen])
def test_a_field_that_the_pickle_does_not_have_gets_its_default(cls: type[Record]) -> None:
    """Another version may have more fields, or fewer."""
    record = cls.__new__(cls)

    record.__setstate__((VERSION, {"text": "a", "gone": 1}))

    assert record == cls("a", 7)


@pytest.mark.parametrize("cls", [Record, Frozen])
def test_a_pickle_of_a_newer_asyncrouter_is_refused(cls: type[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what was pickled, both versions, and the cure."""
    monkeypatch.setattr("asyncrouter._pickles.by_name.VERSION", 3)
    newer = pickle.dumps(cls("a"))
    monkeypatch.undo()

    with pytest.raises(ValueError, match="newer") as refused:
        pickle.loads(newer)

    assert str(refused.value) == (
        f"this {cls.__name__} was pickled in version 3 by a newer asyncrouter, and this one reads versions up to "
        "2: upgrade asyncrouter"
    )


class Extended(ar.Usage):
    """What somebody's service adds to a record."""

    def __init__(self, more: str) -> None:
        super().__init__(1, 2)
        self.more = more


def test_a_subclass_keeps_what_it_adds() -> None:
    """Attributes of an instance are pickled beside the fields."""
    again = pickle.loads(pickle.dumps(Extended("more")))

    assert (again.input_tokens, again.more) == (1, "more")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_records_can_be_copied(copied: object) -> None:
    """Frozen or not."""
    assert callable(copied)
    chain, chunk = ar.Chain(["a"], deadline=1.0), ar.Chunk("text")

    assert (copied(chain), copied(chunk)) == (chain, chunk)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
def test_a_reply_is_pickled_with_its_raw_answer(clock: Clock, world: World, wire: str, streamed: bool) -> None:
    """`raw` is the same afterwards, and the pickle names nothing but the records."""
    world.model("a", Act(text="one two", tool_calls=[{"name": "f", "arguments": {"x": 1}}]))

    async def scene() -> ar.Reply:
        async with ar.Router(world.config(), transport=world.transport()) as router:
            return await router.chat("hi", chain=ar.Chain([f"sim-{wire}:a"], wire_stream=streamed))

    reply = clock.run(scene())
    written = pickle.dumps(reply)

    again = pickle.loads(written)
    assert (again.raw, again.text) == (reply.raw, "one two")
    assert again.raw["object"] == "chat.completion"
    assert modules_named(written) == {"asyncrouter._types"}


def modules_named(written: bytes) -> set[str]:
    texts = {argument for _, argument, _ in pickletools.genops(written) if isinstance(argument, str)}
    return {text for text in texts if text.startswith("asyncrouter")}


def test_old_names_of_modules_cost_nothing_until_they_are_used() -> None:
    """Neither the import nor somebody who looks through all modules imports what they stand for."""
    code = """
import sys, asyncrouter
for module in set(sys.modules.values()) - {asyncrouter}:
    hasattr(module, "__file__"), hasattr(module, "__path__"), hasattr(module, "__warningregistry__")
assert "asyncrouter._limits" in sys.modules
assert not {"asyncrouter._config.settings", "asyncrouter._types", "dataclasses"} & set(sys.modules)
"""

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
