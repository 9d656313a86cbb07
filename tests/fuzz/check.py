"""Checks what must hold of the decoders and the classifier, however bad the bytes are.

No exception; the same answer however the bytes are cut; nothing changed by bytes after `close()`; chunks that add up
to the reply; a success with a good end, whose calls can be made; a cut answer that is the whole one or none; and, with
a vendor's client at hand, no success that the client reads otherwise.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

from asyncrouter._config.catalog import Provider
from asyncrouter._errors import AttemptError
from asyncrouter._wire.decoding.ends import is_broken, is_word
from asyncrouter._wire.decoding.first_bytes import without_lead
from asyncrouter._wire.decoding.surrogates import is_json
from asyncrouter._wire.failure.retry_after import parse_retry_after, retry_after_in_text
from asyncrouter._wire.registry import wire_for
from tests.fuzz.mutate import mutate, mutate_text
from tests.helpers.decoding import state

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from asyncrouter._types import Reply
    from asyncrouter._wire.api import Decoder
    from tests.fuzz.seeds import Answer, Failure

Outcome = Literal["error", "the same answer", "another answer", "classified"]
"""What came of an input."""

CUT = 0.5
"""The share of the shapes from the field that are only cut, so that the whole or nothing must be read."""

ANTHROPICS = frozenset({"pause_turn", "refusal"})
"""Words that have a meaning of their own on one wire."""

WALL = 1.8e9
"""The wall clock, in seconds since the epoch (January 2027)."""

WHOLE_EVENTS = re.compile(rb"(?s)(.*(?:\r\n\r\n|\n\n|\r\r)).*")
"""Matches a stream; the group is everything up to its last blank line."""

END_MARK = re.compile(rb"data:\s*\[DONE\]\s*$")
"""Matches the mark with which a stream of Chat Completions ends."""

PROVIDERS = {
    "openai": Provider(name="p", base_url="http://h/v1"),
    "anthropic": Provider(name="p", base_url="http://h/v1", wire="anthropic"),
    "gemini": Provider(name="p", base_url="http://h/v1", wire="gemini"),
    "responses": Provider(name="p", base_url="http://h/v1", wire="responses"),
}
WIRES = {name: wire_for(provider, lambda: WALL) for name, provider in PROVIDERS.items()}


class Read(NamedTuple):
    """What an answer says. `finish` is `None` where a vendor's client gives no reason."""

    text: str
    calls: list[tuple[object, object]]
    """Names and arguments."""
    finish: str | None


if TYPE_CHECKING:
    Reader = Callable[[Answer, bytes], Read]
    """A vendor's client: reads the bytes in the place of this answer's, and raises whatever the client raises."""


class Wrong(Exception):
    """Something that must hold does not; the damaged input is the second argument."""


def check_answer(answer: Answer, random: Random, reader: Reader | None = None) -> Outcome:
    """Damage a success and decode it; if it still is one, `reader` must read the same."""
    cut = answer.shape and random.random() < CUT
    body = answer.body[: random.randrange(len(answer.body) + 1)] if cut else mutate(answer.body, random)
    try:
        outcome = _check_decoding(answer, body, random, None if answer.shape else reader)
        assert not (cut and outcome == "another answer"), "a cut answer is another one"
        return outcome
    except Exception as error:
        raise Wrong(f"{type(error).__name__}: {error}", body) from error


def check_failure(failure: Failure, random: Random) -> Outcome:
    """Damage the body and the headers of an error and classify it, as a failed response and inside a success."""
    body = mutate(failure.body, random)
    headers = {name: mutate_text(value, random) for name, value in failure.headers.items()}
    status = random.choice((failure.status, failure.status, random.randrange(300, 600), random.randrange(-1, 1000)))
    try:
        _check_classifying(status, headers, body, random)
    except Exception as error:
        raise Wrong(f"{type(error).__name__}: {error}; status {status}, headers {headers}", body) from error
    return "classified"


def decoder_of(answer: Answer) -> Decoder:
    """A new decoder for this answer's wire and content type."""
    return WIRES[answer.wire].decoder({"content-type": answer.content_type}, answer.params)


def _check_decoding(answer: Answer, body: bytes, random: Random, reader: Reader | None) -> Outcome:
    decoder, pieces = decoder_of(answer), []
    text = calls = ""
    for piece in _cut(body, random):
        decoder.feed(piece, pieces)
        if random.random() < 0.05:
            _read_everything(decoder)
    error = decoder.close()
    assert decoder.characters >= decoder.content, "a content without a character"
    _read_everything(decoder)
    if random.random() < 0.2:
        whole = decoder_of(answer)
        whole.feed(body)
        whole.close()
        assert state(decoder) == state(whole), "cut otherwise, it is another answer"
    if random.random() < 0.05:
        before = state(decoder)
        decoder.feed(answer.body, pieces)
        assert state(decoder) == before, "bytes after close() changed the answer"
    if error is not None:
        assert isinstance(error, AttemptError)
        str(error), repr(error)
        return "error"
    reply = decoder.reply
    if answer.content_type != "application/json" or pieces:
        pieces.append(decoder.final())
        text = "".join(piece.text for piece in pieces)
        calls = "".join(_arguments(call) for piece in pieces for call in piece.tool_calls)
        assert reply.text == text, "the chunks are not the reply's text"
        assert not calls or sorted(calls) == sorted("".join(map(_arguments, reply.tool_calls))), "nor its arguments"
    _check_success(reply)
    ours = _read_reply(answer, reply)
    if reader is not None:
        _compare(answer, body, ours, reader)
    return "the same answer" if ours == _undamaged(answer) else "another answer"


def _check_success(reply: Reply) -> None:
    """A success ends well, and each of its calls can be made: it has a name, an id of its own and an object."""
    choice = reply.raw["choices"][0]  # type: ignore[index]
    word = native = choice.get("native_finish_reason")
    if not native or reply.finish_reason in {"length", "content_filter"}:  # the vendor's word says why a gateway cut it
        word = choice.get("finish_reason")
    if is_word(word) and word not in ANTHROPICS:
        assert not is_broken(word), f"it ended with {word!r}"
    functions = [call for call in reply.tool_calls if call.get("type") == "function"]
    ids = [call["id"] for call in functions]
    assert "" not in ids, "a call without an id"
    assert len(set(ids)) == len(ids), f"the ids of its calls are {ids}"
    for call in functions[:-1] if reply.finish_reason == "length" else functions:
        function = call["function"]
        assert function["name"], "a call without a name"
        told = function["arguments"].strip() or "{}"
        assert told == "null" or (told.startswith("{") and is_json(told)), f"its arguments are {told!r:.80}"


def _compare(answer: Answer, body: bytes, ours: Read, reader: Reader) -> None:
    """A success is right if the official client reads the same in these bytes."""
    theirs = _theirs(answer, body, ours, reader)
    if ours == theirs or (answer.wire == "responses" and _without_space(ours) == _without_space(theirs)):
        return
    # The last line end may be missing, and what was cut off after the answer's end is no part of it.
    readings = [body + b"\n\n", WHOLE_EVENTS.sub(rb"\1", body)]
    # Nor are a comment before a document, and a stream's mark of its end after one.
    readings += [without_lead(body), END_MARK.sub(b"", body)]
    if ours.finish == "length":  # tokens ran out in the arguments of a tool call
        readings.append(_without_last_input(body))
    others = [_theirs(answer, read, ours, reader) for read in readings]
    assert ours in others, f"a success that the SDK reads otherwise: {ours}, and the SDK {theirs}"


def _without_space(read: Read | str) -> object:
    """The same without white space in its text: where a response has less of it than its deltas, the deltas count."""
    return read._replace(text="".join(read.text.split())) if isinstance(read, Read) else read


def _without_last_input(body: bytes) -> bytes:
    """Without the input of Anthropic's last block, which may be cut where that client cannot read on."""
    begun = re.findall(rb'"content_block_start","index": ?(\d+)', body)
    if not begun:
        return body
    piece = rb'("index": ?%b,"delta": ?\{"type": ?"input_json_delta","partial_json": ?)"(?:[^"\\]|\\.)*"' % begun[-1]
    return re.sub(piece, rb'\1""', body)


def _undamaged(answer: Answer) -> Read | None:
    """What the answer says without damage."""
    if answer.name not in _UNDAMAGED:
        decoder = decoder_of(answer)
        decoder.feed(answer.body)
        error = decoder.close()
        _UNDAMAGED[answer.name] = _read_reply(answer, decoder.reply) if error is None else None
    return _UNDAMAGED[answer.name]


_UNDAMAGED: dict[str, Read | None] = {}


def _theirs(answer: Answer, body: bytes, ours: Read, reader: Reader) -> Read | str:
    try:
        theirs = reader(answer, body)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _without_cut_arguments(theirs._replace(finish=theirs.finish or ours.finish))  # [DONE] is an end as well


def _without_cut_arguments(read: Read) -> Read:
    """The same without the last call's arguments where they may be cut: the SDKs repair them."""
    if read.finish == "length" and read.calls:
        read = read._replace(calls=[*read.calls[:-1], (read.calls[-1][0], None)])
    return read


def _read_reply(answer: Answer, reply: Reply) -> Read:
    calls: list[tuple[object, object]] = []
    for call in reply.tool_calls:
        function = call["function"]
        arguments: object = function["arguments"]
        if answer.wire != "openai":
            with contextlib.suppress(ValueError):  # cut
                arguments = orjson.loads(function["arguments"])
        calls.append((function["name"], arguments))
    return _without_cut_arguments(Read(reply.text, calls, reply.finish_reason))


def _read_everything(decoder: Decoder) -> None:
    """Read everything that may be read at any time."""
    decoder.reply.raw, decoder.content, decoder.cost_usd, decoder.done, decoder.skipped, repr(decoder), decoder.final()


def _arguments(call: dict[str, object]) -> str:
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return arguments if isinstance(arguments, str) else ""


def _cut(body: bytes, random: Random) -> list[bytes]:
    """The body in one piece, in a few, or in many small ones."""
    if random.random() < 0.3 or not body:
        return [body]
    if random.random() < 0.1:
        size = random.randrange(1, 20)
        return [body[start : start + size] for start in range(0, len(body), size)]
    places = sorted(random.randrange(len(body) + 1) for _ in range(random.randrange(1, 5)))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def _check_classifying(status: int, headers: dict[str, str], body: bytes, random: Random) -> None:
    wire = WIRES[random.choice(list(WIRES))]
    errors = [wire.failure(status, headers, body)]
    decoder = wire.decoder({"content-type": random.choice(("application/json", "text/event-stream"))}, {})
    decoder.feed(body)
    if (inside := decoder.close()) is not None:
        errors.append(inside)
    for error in errors:
        assert isinstance(error, AttemptError)
        str(error), repr(error)
        assert "\n" not in error.message, "a message of more than one line"
        assert len(error.message) < 1000, "an endless message"
        assert error.retry_after is None or 0 <= error.retry_after < math.inf, f"a pause of {error.retry_after}"
    text = body.decode("utf-8", "replace")
    for pause in (parse_retry_after(text, lambda: WALL), retry_after_in_text(text[:500]), *_pauses(headers)):
        assert pause is None or 0 <= pause < math.inf, f"a pause of {pause}"


def _pauses(headers: dict[str, str]) -> list[float | None]:
    return [parse_retry_after(value, lambda: WALL) for value in headers.values()]
