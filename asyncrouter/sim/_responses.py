"""OpenAI's newer wire: the events, bodies and errors of the Responses API.

Shapes: OpenAI's API reference, "Responses" and "Streaming events"; the three forms of an error inside a 200 as clients
have met them (flat as documented, nested, and in `response.failed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._encoder import CREATED, Encoder, Piece, joined
from asyncrouter.sim._retry_after import in_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ITEM_TYPES = {
    "reasoning": "reasoning", "call": "function_call", "arguments": "function_call", "picture": "image_generation_call",
}
"""The types of output items, by kind of content; any other kind belongs to a message."""
_ID_PREFIXES = {"reasoning": "rs", "function_call": "fc", "message": "msg", "image_generation_call": "ig"}
"""How the ids of the items of each type begin."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by the words of Chat Completions."""
_STATUSES = frozenset({"failed", "cancelled"})
"""The finish reasons of an act that are statuses of a response here."""


class ResponsesEncoder(Encoder):
    """Encodes the Responses API. A stream announces each output item, lets it grow and gives it once more as a whole.

    Its last event says how the answer ended and holds the whole response, with the usage; nothing comes after it.
    """

    wire = "responses"
    interruptions = ("cancelled",)
    _sequence = 0
    _items: list[dict[str, object]]
    _open: list[Piece]

    def opening(self) -> bytes:
        """The events `response.created` and `response.in_progress`."""
        self._items, self._open = [], []
        begun = self._response("in_progress", [], ())
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def content(self, piece: Piece) -> bytes:
        """The delta of one content, after the events that end one item and announce another where it needs another."""
        data = b"" if self._open and _belongs_to(self._open[-1], piece) else self._end_item() + self._begin_item(piece)
        self._open.append(piece)
        if piece.kind in ("call", "picture"):
            return data
        return data + self._event(_delta_type(piece), **self._place(piece), delta=piece.text, **_logprobs(piece))

    def text_event(self, text: bytes) -> bytes:
        """A delta whose text is exactly these bytes, even if they are no UTF-8."""
        data = self.content(Piece("text", "\x01")).replace(b"\\u0001", text)
        self._open[-1] = Piece("text", "")  # what it is given as a whole has nothing of these bytes
        return data

    def closing(self) -> bytes:
        """The end of the last item, and the event that holds the whole response, as far as the act sends it."""
        data = self._end_item()
        if not self.sends_finish_reason:
            return data
        response = self._document(self.pieces, self.finish_reason)
        return data + self._event(f"response.{response['status']}", response=response) * (1 + (self.end_count == 2))

    def error_event(self) -> bytes:
        """An error in the middle of a stream: flat, in style "openrouter" nested, in style "bare" a failed response."""
        if self.act.style == "openrouter":
            return self._event("error", error=self._error(), error_type=self._error_text().kind)
        if self.act.style == "bare":
            return self._event("response.failed", response=self._failed(()))
        return self._event("error", **self._flat_error(), param=None)

    def body(self, count: int | None = None) -> bytes:
        """The answer as one JSON body; with a `count`, the response that failed after so many contents."""
        if count is None:
            return super().body()
        return self.error_body() if self.act.style == "openrouter" else orjson.dumps(self._failed(self.pieces[:count]))

    def error_body(self) -> bytes:
        """The body of an error response."""
        error: dict[str, object] = {"error": self._error()}
        if self.act.style == "openrouter":
            error |= {"metadata": None, "error_type": self._error_text().kind}
        return orjson.dumps(error)

    def usage(self, pieces: Sequence[Piece]) -> Mapping[str, object]:
        """The usage: one token for each word of the prompt and for each of these contents."""
        if not isinstance(self.act.usage, bool):
            return self.act.usage
        usage: dict[str, object] = {
            "input_tokens": self.prompt_tokens, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": len(pieces),
            "output_tokens_details": {"reasoning_tokens": sum(piece.kind == "reasoning" for piece in pieces)},
            "total_tokens": self.prompt_tokens + len(pieces),
        }
        return usage if self.act.cost is None else usage | {"cost": self.act.cost}

    def _begin_item(self, piece: Piece) -> bytes:
        """The events that announce an item, and the part of it that grows first."""
        item = self._item([piece._replace(text="")], len(self._items), whole=False)
        self._items.append(item)
        data = self._event("response.output_item.added", output_index=len(self._items) - 1, item=item)
        if item["type"] == "message":
            part = _part(piece._replace(text=""))
            data += self._event("response.content_part.added", **self._place(piece), part=part)
        elif item["type"] == "reasoning":
            part = _summary("")
            data += self._event("response.reasoning_summary_part.added", **self._place(piece), part=part)
        return data

    def _end_item(self) -> bytes:
        """The events that give the text, the part and the item that have grown once more as a whole."""
        if not self._open:
            return b""
        index, [*pieces], self._open = len(self._items) - 1, self._open, []
        [piece] = joined(pieces)
        item = self._items[index] = self._item([piece], index, whole=True)
        if piece.kind == "picture":
            return self._event("response.output_item.done", output_index=index, item=item)
        place, done = self._place(piece), _delta_type(piece).replace(".delta", ".done")
        name = {"refusal": "refusal", "arguments": "arguments"}.get(piece.kind, "text")
        data = self._event(done, **place, **{name: piece.text}, **_logprobs(piece))
        if item["type"] == "message":
            data += self._event("response.content_part.done", **place, part=_part(piece))
        elif item["type"] == "reasoning":
            part = _summary(piece.text)
            data += self._event("response.reasoning_summary_part.done", **place, part=part)
        return data + self._event("response.output_item.done", output_index=index, item=item)

    def _place(self, piece: Piece) -> dict[str, object]:
        """The fields of a delta that say where it belongs."""
        index = len(self._items) - 1
        place: dict[str, object] = {"item_id": self._items[index]["id"], "output_index": index}
        if piece.kind == "reasoning":
            return place | {"summary_index": 0}
        return place if piece.kind in ("call", "arguments") else place | {"content_index": 0}

    def _item(self, pieces: Sequence[Piece], index: int, *, whole: bool) -> dict[str, object]:
        """The item of these contents, which all belong to it."""
        piece = pieces[0]
        kind = _ITEM_TYPES.get(piece.kind, "message")
        item: dict[str, object] = {"type": kind, "id": f"{_ID_PREFIXES[kind]}_sim{self.number}x{index}"}
        if kind == "reasoning":
            summary = [_summary(piece.text)] if whole else []
            return item | {"summary": summary, "encrypted_content": self.signature(piece.text) if whole else ""}
        item["status"] = "completed" if whole else "in_progress"
        if kind == "image_generation_call":
            return item | {"result": piece.text if whole else None}
        if kind == "function_call":
            return item | {"call_id": piece.id, "name": piece.name, "arguments": piece.text}
        return item | {"role": "assistant", "content": [_part(piece) for piece in pieces] if whole else []}

    def _document(self, pieces: Sequence[Piece], finish_reason: str) -> Mapping[str, object]:
        output = [self._item([piece], index, whole=True) for index, piece in enumerate(joined(pieces))]
        if finish_reason in _STATUSES:
            return self._response(finish_reason, output, pieces)
        if finish_reason in ("stop", "tool_calls"):
            return self._response("completed" if self.sends_finish_reason else "in_progress", output, pieces)
        reason = {"reason": _INCOMPLETE.get(finish_reason, finish_reason)}
        return self._response("incomplete", output, pieces) | {"incomplete_details": reason}

    def _failed(self, pieces: Sequence[Piece]) -> Mapping[str, object]:
        return dict(self._document(pieces, "failed")) | {"error": self._flat_error()}

    def _response(self, status: str, output: Sequence[object], pieces: Sequence[Piece]) -> dict[str, object]:
        counted = status != "in_progress" and self.act.usage is not False
        return {
            "id": f"resp_sim{self.number}", "object": "response", "created_at": CREATED, "status": status,
            "model": self._model, "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
            "output": output, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [],
            "top_p": 1.0, "store": False, "usage": self.usage(pieces) if counted else None,
        }

    def _flat_error(self) -> dict[str, object]:
        text = self._error_text()
        return {"code": text.code or text.kind, "message": text.message}

    def _error(self) -> dict[str, object]:
        text, pause = self._error_text(), in_body(self.act, self.wire)
        error: dict[str, object] = {
            "message": text.message, "type": text.kind, "param": self.act.param, "code": text.code,
        }
        if self.act.style == "openrouter":
            error = {"code": text.status if text.code is None else text.code, "message": text.message}
        if pause is not None:
            error["retry_after"] = pause
        return error if self.act.metadata is None else error | {"metadata": self.act.metadata}

    def _event(self, kind: str, **fields: object) -> bytes:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(event))


def _belongs_to(newest: Piece, piece: Piece) -> bool:
    """Whether a piece belongs to the item, and the part of it, that this one has grown last."""
    if piece.kind == "arguments":
        return newest.kind == "call" and newest.call == piece.call
    return newest.kind == piece.kind and piece.kind not in ("call", "picture")


def _delta_type(piece: Piece) -> str:
    match piece.kind:
        case "reasoning":
            return "response.reasoning_summary_text.delta"
        case "refusal":
            return "response.refusal.delta"
        case "call" | "arguments":
            return "response.function_call_arguments.delta"
    return "response.output_text.delta"


def _logprobs(piece: Piece) -> dict[str, object]:
    """The field that the events of a text have and those of other contents have not."""
    return {"logprobs": []} if piece.kind == "text" else {}


def _summary(text: str) -> dict[str, object]:
    """A part of the summary of an item of reasoning."""
    return {"type": "summary_text", "text": text}


def _part(piece: Piece) -> dict[str, object]:
    """A part of a message."""
    if piece.kind == "refusal":
        return {"type": "refusal", "refusal": piece.text}
    return {"type": "output_text", "text": piece.text, "annotations": [], "logprobs": []}
