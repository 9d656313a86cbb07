"""Collects one choice of a Chat Completions answer, from its deltas or from a whole message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Chunk
from asyncrouter._wire.decoding.ends import is_broken, is_word
from asyncrouter._wire.decoding.markup import is_blank, is_only_thought
from asyncrouter._wire.openai.finish import finish_reason
from asyncrouter._wire.openai.other_fields import OtherFields, has_media
from asyncrouter._wire.openai.reasoning_details import ReasoningDetails
from asyncrouter._wire.openai.repeated_text import RepeatedTexts, may_repeat
from asyncrouter._wire.openai.thinking_blocks import ThinkingBlocks
from asyncrouter._wire.openai.tool_calls import ToolCalls

if TYPE_CHECKING:
    from asyncrouter._types import FinishReason, Message

_REASONING_KEYS = ("reasoning", "reasoning_content", "reasoning_text", "thinking")
"""Names of the field that holds reasoning: OpenRouter's, Groq's and Ollama's; DeepSeek's and vLLM's; those of
others."""

_THOUGHTS = ("thinking", "reasoning", "thought")
"""What the type of a part says that is a thought, and no part of the answer."""

_TEXT_KEYS = frozenset({"content", "refusal", *_REASONING_KEYS})
"""Fields of a delta that hold text, in pieces."""


class Choice:
    """One choice so far. Texts are kept as lists of pieces, under the names they came with, and joined on demand.

    `serial` is text that no other choice has, for the ids of tool calls; `repeats_after` counts the pieces of a text
    from which on one more can be all of them again.
    """

    __slots__ = (
        "_is_messages", "_repeated", "_repeats_after", "broken", "details", "finish", "has_ended", "logprobs",
        "malformed", "media", "other", "pieces", "rest", "thinking", "tool_calls",
    )

    def __init__(self, serial: str = "", repeats_after: int = 1) -> None:
        self._is_messages = False  # the pieces come as messages instead of deltas
        self._repeats_after = repeats_after
        self._repeated: RepeatedTexts | None = None  # of the first piece that may be a repetition, and those after it
        self.malformed = ""
        """Which part had a type in which nothing can be read; "" for none."""
        self.pieces: dict[str, list[str]] = {"content": []}
        self.tool_calls = ToolCalls(serial)
        self.details: ReasoningDetails | None = None
        self.thinking: ThinkingBlocks | None = None
        self.logprobs: dict[str, list[object]] = {}
        self.finish: str | None = None
        """The finish reason in the host's words, `None` until it has come."""
        self.has_ended = False
        """Whether the finish reason stands: content after it takes the end back."""
        self.broken = ""
        """The finish reason that said that the answer is not whole; "" for none. No later one mends it."""
        self.media = False
        """Whether there is a picture or sound in it."""
        self.other = OtherFields()  # fields of the message that are no text and no call
        self.rest: Message = {}  # the same of the choice itself

    def __repr__(self) -> str:
        finish = self.finish or "unfinished"
        return f"<Choice {len(self.text)} characters, {len(self.tool_calls)} tool calls, {finish}>"

    @property
    def text(self) -> str:
        """The text, followed by the words of a refusal, which have a field of their own on the wire."""
        return self._joined("content") + self._joined("refusal")

    @property
    def reasoning(self) -> str:
        """The reasoning, from whichever field has it."""
        return next((joined for key in _REASONING_KEYS if (joined := self._joined(key))), "")

    @property
    def finish_reason(self) -> FinishReason:
        """The finish reason in our words."""
        if self.finish:
            return finish_reason(self.finish)
        return "tool_calls" if self.tool_calls else "stop"

    @property
    def is_answer(self) -> bool:
        """Whether there is more in it than thoughts and blanks."""
        if self.media or self.tool_calls:
            return True
        text = self.text
        return not is_blank(text) and not is_only_thought(text, cut=self.finish_reason == "length")

    @property
    def has_thoughts(self) -> bool:
        """Whether the model has shown any thoughts."""
        if self.reasoning or self.details is not None or self.thinking is not None:
            return True
        return is_only_thought(self.text, cut=self.finish_reason == "length")

    @property
    def holds_back(self) -> bool:
        """Whether the next piece of text has to be looked at for a repetition."""
        return self._repeated is not None and self._repeated.is_waiting

    @property
    def is_undecided(self) -> bool:
        """Whether pieces of text are held back that are new if nothing follows."""
        return self._repeated is not None and self._repeated.is_undecided

    def add(self, choice: Message, chunks: list[Chunk] | None, *, in_document: bool = False) -> int:
        """Add the choice's next piece, or the whole of it; the characters of the content that it brought."""
        delta, message = choice.get("delta"), choice.get("message")
        if in_document and message:
            delta = None
        brought = 0
        if isinstance(delta, dict) and (delta or message is None):
            brought = self._add_delta(delta, chunks, whole=in_document)
        elif delta is not None and (delta or message is None):
            self.malformed = "a message"
        if isinstance(message, dict):
            brought += self._add_message(message, chunks, in_document=in_document)
        elif message is not None:
            self.malformed = "a message"
        if self._repeated is not None and (self.has_ended or is_word(choice.get("finish_reason"))):
            brought += self._release_texts(self._repeated, chunks)
        self._add_end(choice, brought=brought > 0)
        if self.has_ended and self.tool_calls and (rest := self.tool_calls.release()) and chunks is not None:
            chunks.append(Chunk("", "", tuple(rest)))
        return brought

    def raw(self, index: int) -> Message:
        """The choice as an unstreamed answer has it."""
        message: Message = {"role": "assistant", "content": self._joined("content") or None}
        message |= {key: self._joined(key) for key in self.pieces if key != "content"}
        message |= self.other.joined()
        if self.details is not None:
            message["reasoning_details"] = self.details.joined()
        if self.thinking is not None:
            message["thinking_blocks"] = self.thinking.joined()
        if self.tool_calls:
            message["tool_calls"] = list(self.tool_calls.joined())
        raw: Message = {"index": index, "message": message, "finish_reason": self.finish}
        if self.logprobs:
            raw["logprobs"] = self.logprobs
        return raw | self.rest

    def _add_end(self, choice: Message, *, brought: bool) -> None:
        """Add the fields beside the message: first of all the finish reason, which content after it takes back."""
        if brought:
            self.has_ended = False
        for key, value in choice.items():
            if key == "finish_reason":
                if is_word(value):
                    self.finish, self.has_ended = value, True
                    if is_broken(value):
                        self.broken = self.broken or value
                elif value and not isinstance(value, str):
                    self.malformed = "a finish reason"
            elif key == "logprobs":
                self._add_logprobs(value)
            elif value is not None and key not in {"index", "delta", "message"}:
                self.rest[key] = value

    @property
    def broken_natively(self) -> str:
        """The vendor's own word, passed on by a gateway, if it says that the answer is not whole; "" if not.

        It counts beside a good end only: of a gateway's "length" and "content_filter" it gives the reason.
        """
        native = self.rest.get("native_finish_reason")
        if self.finish_reason in {"stop", "tool_calls"} and is_word(native) and is_broken(native):
            return native
        return ""

    def _add_message(self, message: Message, chunks: list[Chunk] | None, *, in_document: bool) -> int:
        """Add a whole message. Some hosts put one where a delta belongs; some repeat all deltas in one at the end."""
        if in_document:
            return self._add_delta(message, chunks, whole=True)
        if not self._is_messages and (self.tool_calls or any(self.pieces.values())):
            missing = self._missing_from(message)
            brought = self._complete_calls(message.get("tool_calls"), chunks)
            return brought + self._add_delta(missing, chunks, whole=True)
        self._is_messages = True
        return self._add_delta(message, chunks, whole=True)

    def _complete_calls(self, calls: object, chunks: list[Chunk] | None) -> int:
        """Add the arguments of calls that stand only in a whole message; how many characters of them there are."""
        brought, shown = self.tool_calls.complete(calls if isinstance(calls, list) else ())
        if self.tool_calls.malformed:
            self.malformed = "a message that contradicts its deltas"
        if chunks is not None and shown:
            chunks.append(Chunk("", "", tuple(shown)))
        return brought

    def _missing_from(self, message: Message) -> Message:
        """What of a whole message, which repeats the deltas before it, none of them has brought."""
        missing: Message = {}
        for key, value in message.items():
            if key in _TEXT_KEYS and isinstance(value, str):
                come = self._joined(key) or (self.reasoning if key in _REASONING_KEYS else "")
                if len(value) > len(come) and value.startswith(come):
                    missing[key] = value[len(come) :]
                elif key == "content" and not come.startswith(value) and value.strip() not in {"", come.strip()}:
                    self.malformed = "a message that contradicts its deltas"
            elif key == "tool_calls" and isinstance(value, list):
                missing[key] = self.tool_calls.fill_up(value)
            elif not self._has(key):
                missing[key] = value
        return missing

    def _has(self, key: str) -> bool:
        held = {"reasoning_details": self.details, "thinking_blocks": self.thinking}
        return key == "function_call" or held.get(key) is not None or key in self.other or key in self.pieces

    def _add_delta(self, delta: Message, chunks: list[Chunk] | None, *, whole: bool) -> int:
        text = reasoning = ""
        calls: list[Message] = []
        called, shown = 0, False
        for key, value in delta.items():
            if not value or key == "role":  # null, "" and [] say nothing
                continue
            if key in _TEXT_KEYS:
                before, self.media = self.media, False
                more_text, more_reasoning = self._add_text(key, value)
                shown |= self.media
                self.media |= before
                text += more_text
                reasoning = reasoning or more_reasoning  # under two names it is the same
            elif key == "tool_calls":
                calls = self._objects("tool calls", value)
            elif key != "function_call":
                shown |= self._add_field(key, value)
        if not calls and (legacy := delta.get("function_call")):  # the name of tool calls before 2023-11
            calls = [{"type": "function", "function": legacy}]
            if not whole:
                calls[0]["index"] = 0
        if calls:
            called, calls = self.tool_calls.add_deltas(calls, whole=whole)
        if whole and (delta.get("function_call") or delta.get("tool_calls")):
            delta["tool_calls"] = calls  # the message says what the reply says
            delta.pop("function_call", None)
        if self.tool_calls.malformed:
            self.malformed = "a tool call"
        if chunks is not None and (text or reasoning or calls):
            chunks.append(Chunk(text, reasoning, tuple(calls)))
        return len(text) + len(reasoning) + called + shown

    def _add_text(self, key: str, value: object) -> tuple[str, str]:
        """Add one of `_TEXT_KEYS`; the text and the reasoning it brought."""
        if isinstance(value, str):
            pieces = self.pieces.setdefault(key, [])
            if self._repeated is None and may_repeat(value, pieces, self._repeats_after):
                self._repeated = RepeatedTexts(self._repeats_after)
            new = value if self._repeated is None else self._repeated.new_in(key, value, pieces)
            if new is None:
                self.malformed = "a text that contradicts what came before it"
            return self._add_piece(key, new) if new else ("", "")
        if key == "content":
            return self._add_parts(value)
        if key == "refusal":
            self.malformed = "a refusal"
        else:
            self._add_field(key, value)
        return "", ""

    def _add_piece(self, key: str, piece: str) -> tuple[str, str]:
        """Add a piece of a text; the text and the reasoning it is."""
        self.pieces[key].append(piece)
        return ("", piece) if key in _REASONING_KEYS else (piece, "")

    def _release_texts(self, repeated: RepeatedTexts, chunks: list[Chunk] | None) -> int:
        """Add the pieces that were held back and are no repetition, for the answer ends here; their characters."""
        released = [self._add_piece(key, piece) for key, piece in repeated.release().items()]
        if chunks is not None:
            chunks.extend(Chunk(text, reasoning) for text, reasoning in released)
        return sum(len(text) + len(reasoning) for text, reasoning in released)

    def _add_parts(self, content: object) -> tuple[str, str]:
        """Add a `content` that is a list of parts (Mistral's thinking models); the text and the reasoning in it."""
        texts, thoughts, refusals = list[str](), list[str](), list[str]()
        for part in self._objects("content", content):
            kind = part.get("type")
            if isinstance(kind, str) and any(word in kind for word in _THOUGHTS):
                thoughts.append(_thinking_text(part))
            elif isinstance(text := part.get("text"), str):
                texts.append(text)
            elif isinstance(refusal := part.get("refusal"), str):
                refusals.append(refusal)
            elif part:
                self._add_field("images" if part.get("type") == "image_url" else "parts", [part])
        text, reasoning, refused = "".join(texts), "".join(thoughts), "".join(refusals)
        if text:
            self.pieces["content"].append(text)
        if reasoning:
            self.pieces.setdefault("reasoning", []).append(reasoning)
        if refused:
            self.pieces.setdefault("refusal", []).append(refused)
        return text + refused, reasoning

    def _add_field(self, key: str, value: object) -> bool:
        """Keep a field that is no text and no call; whether it is a picture or sound."""
        if key == "reasoning_details" and isinstance(value, list):
            self.details = self.details or ReasoningDetails()
            self.details.add(value)
            return False
        if key == "thinking_blocks" and isinstance(value, list):
            self.thinking = self.thinking or ThinkingBlocks()
            self.thinking.add(value)
            return False
        self.other.add(key, value)
        shown = has_media(key, value)
        self.media |= shown
        return shown

    def _add_logprobs(self, value: object) -> None:
        if isinstance(value, dict):
            for key, tokens in value.items():
                if isinstance(tokens, list):
                    self.logprobs.setdefault(key, []).extend(tokens)

    def _objects(self, what: str, value: object) -> list[Message]:
        """The objects in a list, or the one in its place; anything else is lost, and the answer with it."""
        listed = [value] if isinstance(value, dict) and "type" in value else value
        found = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
        if not isinstance(listed, list) or len(found) != len(listed):
            self.malformed = what
        return found

    def _joined(self, key: str) -> str:
        pieces = self.pieces.get(key)
        if not pieces:
            return ""
        if len(pieces) > 2:
            # Joined once, however often it is asked for; that there was more than one piece stays known.
            pieces[1:] = ["".join(pieces[1:])]
        return "".join(pieces)


def _thinking_text(part: Message) -> str:
    """The text of a part that is a thought: a string, or a list of text parts."""
    thinking = next((part[name] for name in ("thinking", *_REASONING_KEYS, "summary", "text") if part.get(name)), None)
    if isinstance(thinking, str):
        return thinking
    parts = [part for part in thinking if isinstance(part, dict)] if isinstance(thinking, list) else []
    return "".join(text for part in parts if isinstance(text := part.get("text"), str))
