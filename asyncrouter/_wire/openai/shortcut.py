"""Reads the most common completion directly: one choice with a text, a finish reason, and nothing else.

Why it exists. Nearly every unstreamed answer has this shape, and a `CompletionBuilder` takes four times as long to read
it. The shortcut is only an optimisation: for every document it accepts, it writes into the reply exactly what the
builder would, and it accepts a document only when it has looked at every field that could change that. Anything else,
an error, a tool call, reasoning, a field it does not know, is left to the builder, and the reply is untouched.
`tests/wire/test_shortcut.py` holds both ways against each other over all fields and many odd values.

Fields that hold null, 0, "", or an empty list count as absent, as they do for the builder: hosts write
`"refusal": null` and `"tool_calls": []` into plain answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.decoding.ends import is_broken, is_word
from asyncrouter._wire.decoding.markup import may_be_markup
from asyncrouter._wire.openai.finish import FINISH, finish_reason
from asyncrouter._wire.openai.usage import read_usage

if TYPE_CHECKING:
    from asyncrouter._types import Message, Reply

_CHOICE_FIELDS = frozenset({"message", "finish_reason", "native_finish_reason"})
"""The fields that a plain completion's choice may have."""

_MESSAGE_FIELDS = frozenset({"content", "role"})
"""The fields that its message may have."""



def write_plain(document: Message, reply: Reply) -> bool:
    """Write a plain completion into `reply`; false, with nothing written, if it is not one."""
    choices = document.get("choices")
    if type(choices) is not list or len(choices) != 1 or type(choice := choices[0]) is not dict:
        return False
    if document.get("error") or document.get("x_groq") or document.get("base_resp"):
        return False
    message, finish = choice.get("message"), choice.get("finish_reason")
    if type(message) is not dict or not (_holds_only(_CHOICE_FIELDS, choice) and _holds_only(_MESSAGE_FIELDS, message)):
        return False
    text = message.get("content")
    if not (type(text) is str and text and type(finish) is str and finish):
        return False
    if finish == "tool_calls" or may_be_markup(text):
        return False
    if finish not in FINISH and (not is_word(finish) or is_broken(finish)):
        return False
    if (native := choice.get("native_finish_reason")) and not (type(native) is str and not is_broken(native)):
        return False
    served, usage = document.get("model"), document.get("usage")
    reply.text = text
    reply.finish_reason = FINISH.get(finish) or finish_reason(finish)
    reply.served_model = served if type(served) is str else None
    reply.usage = read_usage(usage if type(usage) is dict else None, document.get("service_tier"))
    reply._build_raw = document.copy  # not a lambda: replies cross processes
    return True


def _holds_only(names: frozenset[str], fields: Message) -> bool:
    """Whether all other fields are null, 0 or empty."""
    return not any(map(fields.get, fields.keys() - names))  # a loop takes three times as long
