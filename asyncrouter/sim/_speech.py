"""What a simulated server says about one request, before any wire has worded it: its contents, counts and endings."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

from asyncrouter.sim._errors import status_of, words_of
from asyncrouter.sim._pauses import in_words
from asyncrouter.sim._prompt import most_tokens, prompt_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim._errors import Words
    from asyncrouter.sim._prompt import Wire
    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim.act import Act

CREATED = 1_767_225_600
HTML = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs", "far", "away"]


class Piece(NamedTuple):
    """One content: a word, or the name or the arguments of the `call`-th tool call, called `name`, with this `id`."""

    kind: Literal["reasoning", "refusal", "text", "call", "arguments"]
    text: str
    call: int = 0
    name: str = ""
    id: str = ""


class Speech:
    """What every server says of one request, whatever its language."""

    wire: Wire
    end = b"\n\n"
    """The end of an event."""
    keepalive = b": keep-alive\n\n"
    """What is sent while there is nothing to say."""
    id_header: str | None = "x-request-id"

    def __init__(self, act: Act, seen: Seen) -> None:
        self.act = act
        self.number = seen.number
        self.status = status_of(act, self.wire)
        self.streaming = seen.stream and act.streams and self.status == 200
        most = most_tokens(self.wire, seen.body)
        self.pieces: Sequence[Piece] = () if act.blocked else self._pieces()
        self.short = most is not None and most < len(self.pieces)
        if self.short:
            self.pieces = self.pieces[:most]
        self._model = act.served_model or seen.model
        self._body = seen.body
        self._read: int | None = None

    @property
    def read(self) -> int:
        """Tokens of the prompt."""
        if self._read is None:
            self._read = prompt_tokens(self._body)
        return self._read

    def opening(self) -> bytes:
        """What comes before any content."""
        return b""

    def content(self, piece: Piece) -> bytes:
        """The event, or events, of one content."""
        raise NotImplementedError

    def text_event(self, text: bytes) -> bytes:
        """An event with a text of exactly these bytes, whatever they are."""
        raise NotImplementedError

    def text_body(self, text: bytes) -> bytes:
        """A whole body with a text of exactly these bytes, whatever they are."""
        framed = orjson.dumps(self._whole((Piece("text", "\x01"),), "stop"))
        return framed.replace(b"\\u0001", text, 1)

    def malformed(self) -> bytes:
        """An event that is no JSON."""
        return b'data: {"id":"sim","text":"' + self.end

    def closing(self) -> bytes:
        """Finish reason, usage and the last word, as far as the act sends them."""
        raise NotImplementedError

    def error_event(self) -> bytes:
        """An error in the middle of a stream."""
        return b"data: " + self.failure() + self.end

    def whole(self, count: int | None = None) -> bytes:
        """The one JSON body; with a `count`, as it is when an error struck after so many contents."""
        if count is not None:
            return self.failure()
        return orjson.dumps(self._whole(self.pieces, self.finish))

    def failure(self) -> bytes:
        """The body of an error response."""
        raise NotImplementedError

    @property
    def finish(self) -> str:
        """Why the answer ends, in the words of Chat Completions or in those of the act."""
        act = self.act
        if act.finish_reason is not None:
            return act.finish_reason
        if act.blocked or (act.refusal and self.wire != "openai"):  # there it is a field of its own
            return "content_filter"
        return "length" if self.short else "tool_calls" if act.tool_calls else "stop"

    @property
    def finishes(self) -> bool:
        """Whether it says why it ends."""
        return self.act.fault not in ("no_finish", "no_end")

    @property
    def ends(self) -> int:
        """How often it says that this was all."""
        return 0 if self.act.fault in ("no_done", "no_end") else 2 if "two_done" in self.act.sse else 1

    def _whole(self, pieces: Sequence[Piece], finish: str) -> Mapping[str, object]:
        """The answer as one document."""
        raise NotImplementedError

    def _pieces(self) -> Sequence[Piece]:
        act = self.act
        tokens = 0 if act.tool_calls or act.refusal else act.tokens
        found = _spoken(act.text, tokens, act.reasoning, act.refusal)
        if act.tool_calls:
            found = (*found, *(piece for index, call in enumerate(act.tool_calls) for piece in _called(index, call)))
        return found

    def _words(self) -> Words:
        words, told = words_of(self.act, self.wire), in_words(self.act, self.wire)
        return words._replace(message=words.message + told) if told else words


@lru_cache(maxsize=256)
def _spoken(text: str | None, tokens: int, reasoning: str, refusal: str) -> tuple[Piece, ...]:
    said = filler(tokens) if text is None else text
    return (
        *(Piece("reasoning", word) for word in words(reasoning)),
        *(Piece("refusal", word) for word in words(refusal)),
        *(Piece("text", word) for word in words(said)),
    )


def _called(index: int, call: Mapping[str, object]) -> tuple[Piece, Piece]:
    given, name = call.get("arguments", "{}"), str(call["name"])
    arguments = given if isinstance(given, str) else orjson.dumps(given).decode()
    told = str(call.get("id", f"call_{index}"))
    return Piece("call", name, index, name, told), Piece("arguments", arguments, index, name, told)


def words(text: str) -> list[str]:
    """A text as the words a model would send one by one; joined again they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text)


def filler(tokens: int) -> str:
    """A text of that many words."""
    return " ".join(_WORDS[index % len(_WORDS)] for index in range(tokens))


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces put together: a run of words of one kind is one, a tool call its arguments."""
    found: list[Piece] = []
    run: list[str] = []
    for index, piece in enumerate(pieces):
        after = pieces[index + 1].kind if index + 1 < len(pieces) else None
        if piece.kind == "call":
            if after != "arguments":  # cut off behind its name
                found.append(piece._replace(kind="arguments", text=""))
        elif piece.kind == after and after != "arguments":
            run.append(piece.text)
        else:
            found.append(piece._replace(text="".join([*run, piece.text])))
            run.clear()
    return found
