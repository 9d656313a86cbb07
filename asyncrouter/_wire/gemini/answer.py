"""An answer of Google's generateContent, whole or fragment by fragment, retold as Chat Completions chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import BadReply, Refused, Rejected, Unauthorized
from asyncrouter._wire.decoding.not_an_answer import bare_fault
from asyncrouter._wire.failure.error_body import one_line, part
from asyncrouter._wire.openai.answer import Answer
from asyncrouter._wire.openai.usage import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Chunk, FinishReason, Message, Reply

FINISH: Mapping[str, FinishReason] = {
    "STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length",
    "SAFETY": "content_filter", "RECITATION": "content_filter", "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter", "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter", "ESCALATION": "content_filter", "MODEL_ARMOR": "content_filter",
}
"""Reasons to finish an answer. One we do not know counts as "stop"."""

BROKEN: Mapping[str, type[AttemptError]] = {
    "MALFORMED_FUNCTION_CALL": BadReply, "UNEXPECTED_TOOL_CALL": BadReply, "TOO_MANY_TOOL_CALLS": BadReply,
    "MALFORMED_RESPONSE": BadReply, "OTHER": BadReply, "IMAGE_OTHER": BadReply, "NO_IMAGE": BadReply,
    "MISSING_THOUGHT_SIGNATURE": Rejected, "PUP_LIMITED_DISABLED": Unauthorized,
}
"""Reasons that say there is no whole answer, whatever has come."""

_NO_REASON = (None, "", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
_OURS = frozenset({"content", "finishReason", "index", "delta", "message", "error", "logprobs", "finish_reason"})


class GeminiDraft(Answer):
    """An answer as far as it has come. `now` is the wall clock; `raw` is dated with its second."""

    __slots__ = ("_counts", "_named", "_wrong")

    _done_ends = False  # whoever says it, it is not Google

    def __init__(self, now: float) -> None:
        super().__init__()
        self._counts: Message | None = None
        self.envelope = {"id": "", "created": int(now)}
        self._named = f"{now * 1e6:.0f}"  # what ids of tool calls are made of
        self._wrong: tuple[type[AttemptError], str, str] | None = None

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come; a prompt that is blocked has none, and is one all the same."""
        return bool(self.choices) or self._wrong is not None

    def take(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Take in one fragment, or one whole answer."""
        chunk: Message = {"error": event.get("error")}
        if isinstance(identifier := event.get("responseId"), str) and identifier:
            chunk["id"] = self._named = identifier
        if isinstance(served := event.get("modelVersion"), str):
            chunk["model"] = served
        if isinstance(counts := event.get("usageMetadata"), dict):
            self._counts = counts  # cumulative: the last ones stand
        candidates = event.get("candidates")
        listed = self._listed("candidates", candidates)
        chunk["choices"] = [self._choice(found, position) for position, found in enumerate(listed)]
        super().take(chunk, chunks)
        if "promptFeedback" in event:
            self._heed(part(event, "promptFeedback"))

    def take_whole(self, document: Message) -> None:
        """Take in an answer that came in one piece, or a fragment of one that came as a list."""
        self.take(document, None)
        if self.fault is None:
            self.fault = bare_fault(document)

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`."""
        self.usage = read_counts(self._counts)
        super().write(reply)

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        self.usage = read_counts(self._counts)
        return super().raw()

    def verdict(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else what is wrong with it."""
        request_id = request_id or str(self.envelope["id"]) or None
        if self._wrong is not None:
            kind, code, message = self._wrong
            return kind(message, code=code, request_id=request_id)
        error = super().verdict(params, request_id)
        if isinstance(error, Refused) and self.first is not None:
            error.code = str(self.first.rest.get("native_finish_reason", error.code))
        return error

    def _choice(self, candidate: Message, position: int) -> Message:
        """A candidate as a choice, with a delta of what it brings."""
        index = candidate.get("index", position)
        if type(index) is not int:  # True is an int as well
            self._break("a candidate's index")
            index = position
        held = self.choices.get(index)
        calls = len(held.calls) if held is not None else 0
        content = candidate.get("content")
        if not isinstance(content, dict | None):
            self._break("content")
        delta = self._delta(self._listed("parts", part(candidate, "content").get("parts")), calls)
        choice = {name: value for name, value in candidate.items() if name not in _OURS}
        reason = candidate.get("finishReason")
        if not isinstance(reason, str | None):
            self._break("a finish reason")
        if isinstance(reason, str) and reason not in _NO_REASON:
            reason = reason.upper()
            finish = FINISH.get(reason, "stop")
            choice["finish_reason"] = "tool_calls" if finish == "stop" and (calls or "tool_calls" in delta) else finish
            choice["native_finish_reason"] = reason
            if index == 0 and reason in BROKEN:
                told = candidate.get("finishMessage")
                self._fail_with(BROKEN[reason], reason, f"finish reason {reason}", told)
        return {**choice, "index": index, "delta": delta}

    def _listed(self, what: str, value: object) -> list[Message]:
        """A list of objects, empty when there is none; whatever else stands there is lost, and so is the answer."""
        found = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        if value is not None and not (isinstance(value, list) and len(found) == len(value)):
            self._break(what)
        return found

    def _delta(self, parts: list[Message], numbered: int) -> Message:
        text: list[str] = []
        thoughts: list[str] = []
        calls: list[Message] = []
        delta: Message = {}
        for piece in parts:
            if not isinstance(piece.get("thought"), bool | None) or {"text", "functionCall"} <= piece.keys():
                self._break("a part")  # one thing, or another?
            elif isinstance(said := piece.get("text"), str):
                (thoughts if piece.get("thought") else text).append(said)
                if "thoughtSignature" in piece:
                    delta["extra_content"] = {"google": {"thought_signature": piece["thoughtSignature"]}}
            elif isinstance(name := part(piece, "functionCall").get("name"), str) and name:
                calls.append(self._call(name, piece, numbered + len(calls)))
            elif piece.get("text") is not None or "functionCall" in piece:
                self._break("a part")
            else:
                _keep(piece, delta)
        if text:
            delta["content"] = "".join(text)
        if thoughts:
            delta["reasoning"] = "".join(thoughts)
        if calls:
            delta["tool_calls"] = calls
        return delta

    def _call(self, name: str, piece: Message, number: int) -> Message:
        """A function call. Its id is Google's or, where the model gives none, made of the answer's."""
        call = part(piece, "functionCall")
        google: Message = {}
        if (signature := piece.get("thoughtSignature")) is not None:
            google["thought_signature"] = signature
        told = call.get("id")
        if isinstance(told, str) and told:
            google["function_call_id"] = told
        else:
            told = f"call_{self._named}_{number}"
        function = {"name": name, "arguments": self._arguments(call.get("args"))}
        extra: Message = {"extra_content": {"google": google}} if google else {}
        return {"index": number, "id": told, "type": "function", "function": function, **extra}

    def _arguments(self, arguments: object) -> str:
        try:
            if isinstance(arguments, dict | None):
                return orjson.dumps(arguments or {}).decode()
        except TypeError:  # read without complaint, but nested too deep to be written
            pass
        self._break("a call's arguments")
        return "{}"

    def _heed(self, feedback: Message) -> None:
        """A prompt that is blocked has no answer; one blocked while it was being answered has a filtered one."""
        reason = feedback.get("blockReason")
        if reason in _NO_REASON:
            return
        self.ended = True
        for choice in self.choices.values():
            choice.finish = choice.finish or "content_filter"
        if not self.content:
            told = feedback.get("blockReasonMessage")
            self._fail_with(Refused, str(reason), f"the prompt was blocked: {reason}", told)

    def _fail_with(self, kind: type[AttemptError], code: str, message: str, told: object = None) -> None:
        self.ended = True
        if self._wrong is None:
            self._wrong = kind, code, one_line(f"{message}: {told}" if isinstance(told, str) and told else message)


def read_counts(counts: Message | None) -> Message | None:
    """`usageMetadata` as Chat Completions counts: thoughts are output, what a tool of Google's brought is input."""
    if counts is None or not ("promptTokenCount" in counts or "candidatesTokenCount" in counts):
        return None
    prompt = count(counts, "promptTokenCount") + count(counts, "toolUsePromptTokenCount")
    thoughts = count(counts, "thoughtsTokenCount")
    completion = count(counts, "candidatesTokenCount") + thoughts
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": count(counts, "cachedContentTokenCount")},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }


def _keep(piece: Message, delta: Message) -> None:
    """What is neither words nor a call: an image under OpenRouter's name for one, the rest under Google's."""
    data = part(piece, "inlineData")
    kind, inline = data.get("mimeType"), data.get("data")
    if isinstance(kind, str) and isinstance(inline, str) and kind.startswith("image/"):
        name, piece = "images", {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{inline}"}}
    else:
        name = "parts"
    held = delta.setdefault(name, [])
    assert isinstance(held, list)
    held.append(piece)
