"""What a provider repeats of a request, in any spelling and in any place of its response, is masked everywhere."""

from __future__ import annotations

import base64
import html
import json
import logging
import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from asyncrouter import CallError, Event, Reply, Router, batch
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE, ask
from tests.helpers.planted import CALLERS, HEADER, KEY, MARK, PASSWORD, QUERY, VARIABLE, search, spelt, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPELLINGS: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "form": lambda text: quote(text, safe="").replace("-", "%2D"),
    "html": lambda text: html.escape("".join(f"&#{ord(sign)};" for sign in text)),
    "json": lambda text: json.dumps("".join(f"\\u{ord(sign):04x}" for sign in text)),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}
ALL = (KEY, HEADER, QUERY, CALLERS)


def asked(clock: Clock, world: World, act: Act, **provider: object) -> tuple[Any, list[Event]]:
    """The result of a call that is played this act, and the events of its router."""
    world.model("a", act)
    sim = {"key": f"env:{VARIABLE}", "headers": {"X-Auth": HEADER}, "query": {"code": QUERY}, **provider}
    events: list[Event] = []

    async def main() -> Any:
        config = world.config(providers={"sim": sim})
        async with Router(config, transport=world.transport(), listeners=[events.append]) as router:
            return await ask(router, model="a", retry=ONCE, headers={"X-User": CALLERS})

    return clock.run(main()), events


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("status", [200, 401, 403, 429, 500])
def test_every_spelling(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture, status: int, how: str
) -> None:
    """In the message of an error, with its status or inside a 200: error, trace, events, log and pickle are clean."""
    echo = " and ".join(SPELLINGS[how](secret) for secret in ALL)
    fault: dict[str, Any] = {"fault": "error", "at": 0} if status == 200 else {"status": status}
    act = Act(message=f"no: {echo}", **fault)
    with caplog.at_level(logging.DEBUG):
        error, events = asked(clock, world, act)

    assert isinstance(error, CallError)
    shown = f"{texts_of(error)} {error.trace!r} {events!r} {caplog.text} {pickle.dumps(error)!r}"
    assert spelt(shown) is None
    assert "***" in str(error.trace)


@pytest.mark.parametrize(
    "act",
    [
        Act(status=400, message="no", code=KEY, type=KEY),
        Act(status=400, message="no", param=KEY),
        Act(status=400, message="no", headers={"x-request-id": KEY}),
        Act(status=429, message="no", headers={"x-request-id": f"r-{HEADER}", "retry-after": KEY}),
        Act(status=302, headers={"location": f"http://h/?{QUERY}"}),
        Act(status=400, message=f"Unknown parameter: '{KEY}'", param=KEY),
        Act(body=f"<html><title>{KEY}</title>{HEADER}".encode()),
        Act(body=json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": KEY}]}).encode()),
    ],
    ids=["code", "param", "request id", "pause", "redirect", "parameter", "page", "end"],
)
def test_every_place(clock: Clock, world: World, caplog: pytest.LogCaptureFixture, act: Act) -> None:
    """In a code, a parameter's name, a request's id, a pause, an address, a page, or the word that ends an answer."""
    with caplog.at_level(logging.DEBUG):
        result, events = asked(clock, world, act)

    shown = f"{result.trace!r} {result.trace} {events!r} {caplog.text}"
    if not isinstance(result, Reply):
        shown += f"{texts_of(result)} {[vars(error) for error in result.errors]!r}"
    assert spelt(shown) is None


def test_a_key_of_seven_characters(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is masked where it stands as a word."""
    monkeypatch.setenv("SHORT_KEY", MARK)
    error, _ = asked(clock, world, Act(status=401, message=f"Incorrect key {MARK}."), key="env:SHORT_KEY")

    assert error.trace.attempts[0].error.message == "Incorrect key ***. (key of sim from env:SHORT_KEY)"


def test_a_part_of_a_cookie_and_of_basic_authentication(clock: Clock, world: World) -> None:
    """A provider that repeats the session of a cookie, or a password that went out in base64."""
    encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    headers = {"Cookie": f"theme=dark; session={HEADER}", "X-Authorization": f"Basic {encoded}"}
    error, _ = asked(clock, world, Act(status=403, message=f"no {HEADER}, {PASSWORD}, {encoded}"), headers=headers)

    assert error.trace.attempts[0].error.message == "no ***, ***, ***"


def test_journal_and_lines_of_a_batch(clock: Clock, world: World, tmp_path: Path) -> None:
    """The files of a batch whose provider repeats its key hold none."""
    world.model("m", Act(status=400, message=f"bad {KEY} {SPELLINGS['percent'](KEY)}"))
    (tmp_path / "in.jsonl").write_text('{"id": "1", "prompt": "x"}\n{"id": "2", "prompt": "y"}\n')

    async def main() -> None:
        config = world.config(providers={"sim": {"key": f"env:{VARIABLE}"}}, tasks={"default": ["m"]})
        async with Router(config, transport=world.transport()) as router:
            await batch.run(router, tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    clock.run(main())
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    for path in written:
        search(path.name, path.read_bytes())  # the plugin fails this test where it finds something
    assert any(b"bad *** ***" in path.read_bytes() for path in written)
