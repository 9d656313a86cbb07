"""What comes from outside is shown, not obeyed: control characters and marks of direction in every text we make."""

from __future__ import annotations

import json
import logging

import pytest

from asyncrouter import (
    AllModelsFailed,
    Attempt,
    ConfigError,
    Rejected,
    Router,
    Trace,
    visible,
)
from asyncrouter._wire.registry import wire_for
from asyncrouter.batch import BatchError, InvalidInput
from asyncrouter.batch._errors import Problem, WriteFailed
from asyncrouter.bench import JsonlTrace, read_trace
from asyncrouter.sim import Act, Clock, World
from tests.fuzz.check import PROVIDERS

HIDDEN = (
    "\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\x9d\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800"
)
"""Characters that no text of ours may hold as they are."""
ATTACK = f"m\x1b[2J\x1b]0;owned\x07{HIDDEN}\u202etxt.exe"
SHOWN = (
    r"m\x1b[2J\x1b]0;owned\x07\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\x9d\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e"
    r"\u2066\u2069\ufeff\ud800\u202etxt.exe"
)


def assert_shown(text: str, *, lines: bool = False) -> None:
    """Nothing is hidden in the text; newlines are ours."""
    kept = text.replace("\n", "") if lines else text
    assert not set(HIDDEN) & set(kept), ascii(text)


@pytest.mark.parametrize(("text", "shown"), [
    (ATTACK, SHOWN),
    ("plain", "plain"),
    ("Zwölf Boxkämpfer, 日本語, नमस्ते, 👩‍👩‍👧", "Zwölf Boxkämpfer, 日本語, नमस्ते, 👩‍👩‍👧"),
    ("שלום \u200fabc", r"שלום \u200fabc"),
    ("non-breaking\u00a0blank", "non-breaking\u00a0blank"),
    ("tag\U000e0041", r"tag\U000e0041"),
    ("", ""),
])
def test_hidden_characters_are_written_as_escapes(text: str, shown: str) -> None:
    """Controls, marks of direction, line separators and halves of characters are escapes; any script is as it was."""
    assert visible(text) == shown


def test_lines_of_our_own_stay() -> None:
    """A text of several lines keeps its newlines, and only those."""
    assert visible("one\ntwo\r\n\x1b[1mthree", lines=True) == "one\ntwo\\r\n\\x1b[1mthree"


@pytest.mark.parametrize("field", ["message", "code", "request_id"])
def test_what_an_error_says_is_shown(field: str) -> None:
    """The message, the code and the request's id of an error are shown, in the fields as in `str()`."""
    error = Rejected(**{"message": "no", field: ATTACK})  # type: ignore[arg-type]  # texts
    error.model = ATTACK
    assert getattr(error, field) == SHOWN
    assert_shown(str(error))
    assert_shown(str(error.args))


def test_texts_around_errors_are_shown() -> None:
    """A configuration's error, a call's, and a timeline with them."""
    assert str(ConfigError(ATTACK, f"models.{ATTACK}")) == f"models.{SHOWN}: {SHOWN}"
    trace = Trace(None, 0.0, [Attempt(1, ATTACK, "p", "first", "failed", Rejected(ATTACK))])
    assert_shown(str(trace))
    assert_shown(str(AllModelsFailed(f"all failed: {ATTACK.replace(chr(10), '')}", trace)), lines=True)


def test_texts_of_a_batch_are_shown() -> None:
    """Names of files and what is wrong with rows."""
    assert_shown(str(BatchError(f"{ATTACK.replace(chr(10), '')}: cannot be read")))
    assert_shown(str(InvalidInput(ATTACK, [Problem(1, ATTACK)], 1)), lines=True)
    assert_shown(str(WriteFailed(ATTACK, OSError(28, "No space left"))))


@pytest.mark.parametrize("wire", sorted(PROVIDERS))
@pytest.mark.parametrize("body", [
    {"error": {"message": ATTACK, "code": ATTACK, "type": ATTACK, "param": ATTACK, "status": ATTACK}},
    {"error": ATTACK, "request_id": ATTACK},
    {"detail": [{"loc": ["body", ATTACK], "msg": ATTACK}]},
    [{"error": {"message": ATTACK, "details": [{"reason": ATTACK}], "metadata": {"raw": ATTACK}}}],
    ATTACK,
])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_words_of_a_provider_are_shown(wire: str, body: object, status: int) -> None:
    """Whatever field of an error they stand in, on every wire, with every status, and inside a 200."""
    text = body.encode("utf-8", "replace") if isinstance(body, str) else json.dumps(body).encode()
    answered = wire_for(PROVIDERS[wire], lambda: 0.0)
    headers = {"x-request-id": ATTACK, "location": f"https://h/{ATTACK}"}
    decoder = answered.decoder({"content-type": "application/json", **headers}, {})
    decoder.feed(text)
    inside = decoder.close()
    for error in (answered.failure(status, headers, text), inside):
        assert error is not None
        for said in (error.message, error.code, error.param, error.request_id, str(error)):
            assert_shown(said or "")
        assert len(error.code or "") <= 1000
    assert_shown(answered.request_id(headers) or "")


def test_the_name_of_a_model_is_shown_in_every_text(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A model's id that came from a file of rows: in the error, its timeline, the plan and the log."""
    name = ATTACK.replace("\ud800", "")
    world.model(name, Act(status=404, text=name))
    caplog.set_level(logging.DEBUG, "asyncrouter")

    async def main() -> None:
        async with Router(world.config(), transport=world.transport(), wall=clock.wall) as router:
            with pytest.raises(AllModelsFailed) as caught:
                await router.chat("Hi", model=name)
            assert_shown(str(caught.value), lines=True)
            assert_shown(str(router.explain(model=name)), lines=True)
            assert_shown(repr(router.health()))

    clock.run(main())
    assert caplog.messages
    for line in caplog.messages:
        assert_shown(line)


def test_an_unknown_task_is_shown_in_its_warning(clock: Clock, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A notice is one line, in the log as for a listener."""
    world.model("a", Act(text="yes"))
    given: list[str] = []

    def listen(event: object) -> None:
        given.extend([event.text] if hasattr(event, "text") else [])

    async def main() -> None:
        config = world.config(tasks={"default": ["a"]})
        async with Router(config, transport=world.transport(), wall=clock.wall, listeners=[listen]) as router:
            await router.chat("Hi", task=ATTACK)

    clock.run(main())
    assert given
    for text in given + caplog.messages:
        assert_shown(text)


def test_a_recorded_call_holds_nothing_hidden(clock: Clock, world: World, tmp_path: object) -> None:
    """A line of `JsonlTrace` can be shown by `cat`; read again, the name is the same."""
    name = ATTACK.replace("\ud800", "")
    world.model(name, Act(text="yes"))
    path = f"{tmp_path}/trace.jsonl"

    async def main() -> None:
        with JsonlTrace(path) as recorder:
            async with Router(
                world.config(), transport=world.transport(), wall=clock.wall, listeners=[recorder]
            ) as router:
                await router.chat("Hi", model=name)

    clock.run(main())
    with open(path, "rb") as file:
        [line] = file.read().splitlines()
    assert_shown(line.decode())
    assert read_trace(path)[0].attempts[0].model == name
