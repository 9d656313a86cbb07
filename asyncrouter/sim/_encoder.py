"""What every wire's encoder has in common: one request's answer, or its error, as the bytes of a provider.

An encoder has no clock. It says what the bytes of each content, of the end, of an error are; `_bodies` says when they
come and what goes wrong with them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

from asyncrouter.sim._request import max_answer_tokens, prompt_tokens
from asyncrouter.sim._retry_after import in_message
from asyncrouter.sim._strict.complaint import signature_of
from asyncrouter.sim._vendor_errors import error_text, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim._request import Wire
    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim._vendor_errors import ErrorText
    from asyncrouter.sim.act import Act

CREATED = 1_767_225_600
"""The time stamp in every answer, in seconds since the epoch: 2026-01-01 00:00 UTC, where a `Clock` begins."""
HTML_PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"
"""The body of fault "html"."""
_FILLER = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs", "far", "away"]
"""The words of an answer whose text an act does not give, again and again."""


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
"""A picture of one pixel, as base64."""
_BAD_CALL: Sequence[Mapping[str, object]] = ({"name": "look", "arguments": '{"at":"sky"}'},)
"""The tool call of fault "bad_arguments" where an act has none."""


class Piece(NamedTuple):
    """One content of an answer: a word, a tool call's name ("call"), its arguments as JSON, or a picture as base64.

    A tool call has the index `call`, a `name` and an `id`, in both of its pieces.
    """

    kind: Literal["reasoning", "refusal", "text", "call", "arguments", "picture"]
    text: str
    call: int = 0
    name: str = ""
    id: str = ""


class Encoder:
    """Encodes the response to one request. Each wire has a subclass; `pieces` are the contents of the answer.

    `status` is that of the response, `streaming` whether it is a stream, `truncated` whether the request's limit of
    tokens ends the answer.
    """

    wire: Wire
    event_end = b"\n\n"
    """The bytes that end an event of a stream."""
    keep_alive = b": keep-alive\n\n"
    """What a server sends to keep a silent stream open."""
    interruptions: tuple[str, ...] = ("abort",)
    """The finish reasons of fault "interrupted", in turn."""
    id_header: str | None = "x-request-id"
    """The response header with the request's id; `None`: there is none."""

    def __init__(self, act: Act, request: LoggedRequest) -> None:
        self.act = act
        self.number: int = request.number
        self.status: int = status_of(act, self.wire)
        self.streaming: bool = request.stream and act.streams and self.status == 200 and "one_body" not in act.sse
        self.asked_for_stream: bool = request.stream
        limit = max_answer_tokens(self.wire, request.body)
        self.pieces: Sequence[Piece] = () if act.blocked else self._pieces()
        self.truncated: bool = limit is not None and limit < len(self.pieces)
        if self.truncated:
            self.pieces = self.pieces[:limit]
        self._model = act.served_model or request.model
        self._asked_model, self._strict = request.model, request.strict
        self._request_body = request.body
        self._prompt_tokens: int | None = None
        self._interruption: str | None = None

    @property
    def request_body(self) -> Mapping[str, object]:
        """The body of the request."""
        return self._request_body

    @property
    def prompt_tokens(self) -> int:
        """The length of the prompt in tokens."""
        if self._prompt_tokens is None:
            self._prompt_tokens = prompt_tokens(self._request_body)
        return self._prompt_tokens

    def opening(self) -> bytes:
        """The events of a stream before its first content."""
        return b""

    def content(self, piece: Piece) -> bytes:
        """The event, or the events, of one content."""
        raise NotImplementedError

    def text_event(self, text: bytes) -> bytes:
        """An event whose text is exactly these bytes, even if they are no UTF-8."""
        raise NotImplementedError

    def text_body(self, text: bytes) -> bytes:
        """A whole body whose text is exactly these bytes, even if they are no UTF-8."""
        framed = orjson.dumps(self._document((Piece("text", "\x01"),), "stop"))
        return framed.replace(b"\\u0001", text, 1)

    def malformed_event(self) -> bytes:
        """An event that is no JSON."""
        return b'data: {"id":"sim","text":"' + self.event_end

    def closing(self) -> bytes:
        """The events after the last content: finish reason, usage, end of stream, as far as the act sends them."""
        raise NotImplementedError

    def interrupt(self, count: int) -> None:
        """End the answer after so many contents, with a finish reason that says that it broke off."""
        self.pieces = self.pieces[:count]
        self._interruption = self.act.finish_reason or self.interruptions[self.number % len(self.interruptions)]

    def early_end(self) -> bytes:
        """The finish reason before the answer has ended; nothing on a wire where it comes with the whole answer."""
        return b""

    def error_event(self) -> bytes:
        """An error in the middle of a stream."""
        return b"data: " + self.error_body() + self.event_end

    def body(self, count: int | None = None) -> bytes:
        """The answer as one JSON body; with a `count`, as it is when an error struck after so many contents."""
        if count is not None:
            return self.error_body()
        return orjson.dumps(self._document(self.pieces, self.finish_reason))

    def error_body(self) -> bytes:
        """The body of an error response."""
        raise NotImplementedError

    def signature(self, text: str) -> str:
        """The signature of these thoughts, or the blob they are encrypted in: base64 that only this vendor can read."""
        return "c2lt" if self._strict is None else signature_of(self.wire, self._asked_model, text)

    @property
    def finish_reason(self) -> str:
        """Why the answer ends, in the words of Chat Completions, or as the act says it."""
        act = self.act
        if self._interruption is not None:
            return self._interruption
        if act.finish_reason is not None:
            return act.finish_reason
        if act.blocked or (act.refusal and self.wire not in ("openai", "responses")):  # they have a field
            return "content_filter"
        calls = act.tool_calls or act.fault == "bad_arguments"
        return "length" if self.truncated else "tool_calls" if calls else "stop"

    @property
    def sends_finish_reason(self) -> bool:
        """Whether the finish reason is sent."""
        return self.act.fault not in ("no_finish", "no_end")

    @property
    def end_count(self) -> int:
        """How often the end of the stream is announced, normally once."""
        return 0 if self.act.fault in ("no_done", "no_end") else 2 if "two_done" in self.act.sse else 1

    def _document(self, pieces: Sequence[Piece], finish_reason: str) -> Mapping[str, object]:
        """An answer of these contents as one JSON document."""
        raise NotImplementedError

    def _pieces(self) -> Sequence[Piece]:
        act = self.act
        tokens = 0 if act.tool_calls or act.refusal or act.pictures else act.tokens
        found = _text_pieces(act.text, tokens, act.reasoning, act.refusal)
        if act.fault == "thoughts_only":
            return tuple(piece._replace(kind="reasoning") for piece in found)
        if given := act.tool_calls or (_BAD_CALL if act.fault == "bad_arguments" else ()):
            calls = (piece for index, call in enumerate(given) for piece in _call_pieces(index, call))
            found = (*found, *map(_without_end, calls)) if act.fault == "bad_arguments" else (*found, *calls)
        return (*found, *[Piece("picture", PNG)] * act.pictures) if act.pictures else found

    def _error_text(self) -> ErrorText:
        text, sentence = error_text(self.act, self.wire), in_message(self.act, self.wire)
        return text._replace(message=text.message + sentence) if sentence else text


@lru_cache(maxsize=256)
def _text_pieces(text: str | None, tokens: int, reasoning: str, refusal: str) -> tuple[Piece, ...]:
    return (
        *(Piece("reasoning", word) for word in words(reasoning)),
        *(Piece("refusal", word) for word in words(refusal)),
        *(Piece("text", word) for word in words(filler(tokens) if text is None else text)),
    )


def _call_pieces(index: int, call: Mapping[str, object]) -> tuple[Piece, Piece]:
    given, name = call.get("arguments", "{}"), str(call["name"])
    arguments = given if isinstance(given, str) else orjson.dumps(given).decode()
    id = str(call.get("id", f"call_{index}"))  # noqa: A001  # as the field
    return Piece("call", name, index, name, id), Piece("arguments", arguments, index, name, id)


def _without_end(piece: Piece) -> Piece:
    """The arguments of a call without their last character."""
    return piece._replace(text=piece.text[:-1]) if piece.kind == "arguments" else piece


def words(text: str) -> list[str]:
    """A text split into words with the spaces before them; joined again they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text)


def filler(tokens: int) -> str:
    """A text of that many words."""
    return " ".join(_FILLER[index % len(_FILLER)] for index in range(tokens))


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces as a whole body has them: words of one kind in a row are one piece, a tool call is its arguments."""
    found: list[Piece] = []
    run: list[str] = []
    for index, piece in enumerate(pieces):
        after = pieces[index + 1].kind if index + 1 < len(pieces) else None
        if piece.kind == "call":
            if after != "arguments":  # the answer ends after its name
                found.append(piece._replace(kind="arguments", text=""))
        elif piece.kind == after and after not in ("arguments", "picture"):
            run.append(piece.text)
        else:
            found.append(piece._replace(text="".join([*run, piece.text])))
            run.clear()
    return found
