"""The commonest completion, read directly: one choice, one text, its end, and nothing beside them.

Putting an answer together from its pieces takes four times as long. Whatever is not plain goes that way (`assemble`),
and what is plain would come out of it the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.openai.choice import FINISH
from asyncrouter._wire.openai.usage import read_usage

if TYPE_CHECKING:
    from asyncrouter._types import Message, Reply


def write_plain(document: Message, reply: Reply) -> bool:
    """Put a plain completion into `reply`; false, and nothing is done, if it is not one."""
    choices = document.get("choices")
    if type(choices) is not list or len(choices) != 1 or document.get("error") or document.get("x_groq"):
        return False
    choice = choices[0]
    if type(choice) is not dict or type(message := choice.get("message")) is not dict:
        return False
    text, finish = message.get("content"), choice.get("finish_reason")
    if not (type(text) is str and text and type(finish) is str and finish) or finish == "error":
        return False
    # What is null, 0, "" or empty says nothing: an index, a refusal that was none, a list of no tool calls.
    for key, value in choice.items():
        if value and key not in ("message", "finish_reason", "native_finish_reason"):
            return False
    for key, value in message.items():
        if value and key not in ("content", "role"):
            return False
    served, usage = document.get("model"), document.get("usage")
    reply.text = text
    reply.finish_reason = FINISH.get(finish) or FINISH.get(finish.lower(), "stop")
    reply.served_model = served if type(served) is str else None
    reply.usage = read_usage(usage if type(usage) is dict else None)
    reply._build_raw = document.copy  # not a lambda: replies cross processes
    return True
