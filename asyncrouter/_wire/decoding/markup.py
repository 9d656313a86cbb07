"""Recognises what a server has left in the text of an answer: thoughts, or tool calls, in the model's own markup.

Models write both as text. A server that has a parser for the model's markup takes them out; one that has none, or whose
parser has failed, passes them on as if they were the answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from asyncrouter._errors import BadReply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_THOUGHTS: Final = (
    *((f"<{tag}>", f"</{tag}>") for tag in ("think", "thinking", "thought", "reasoning", "seed:think")),
    ("[think]", "[/think]"), ("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"), ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
)
"""How thoughts begin and end, in lower case: Qwen and DeepSeek, Seed, Magistral, Kimi, OpenThinker, Command, Gemma,
gpt-oss."""

_OPENINGS: Final = tuple(opening for opening, _ in _THOUGHTS)
_CLOSINGS: Final = tuple(closing for _, closing in _THOUGHTS)
_LONGEST: Final = max(map(len, (*_OPENINGS, *_CLOSINGS)))

_CALL: Final = re.compile(
    r"^(?:<(?:\w+:)?(?:tool_?calls?|function_calls?|longcat_tool_call|(?:invoke|function)(?: name)?=)"
    r"|<[|｜](?:DSML[|｜]|tool[_▁]calls?|python_tag|action_start|open\|>tool|channel\|>commentary to=)"
    r"|\[TOOL_CALLS\])",
    re.IGNORECASE | re.MULTILINE,
)
"""How a line begins with a tool call: Hermes, Qwen, GLM, Nemotron, MiniMax, Seed, Claude, LongCat; DeepSeek, Kimi,
Gemma, Llama, InternLM, gpt-oss; Mistral."""

_BLANKS: Final = (
    " \t\n\r\f\v\u0085\u00a0\u00ad\u115f\u1160\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u2061\u2062\u2063\u2064\u2800\u3000\u3164\ufe0f\ufeff\uffa0"
)
"""Characters of which nothing is seen."""
_FIRST: Final = frozenset("<◁[" + _BLANKS)
_LAST: Final = frozenset(">▷]" + _BLANKS)
"""The first and the last characters of texts that are looked at more closely."""


def is_blank(text: str) -> bool:
    """Whether there is nothing to be seen in a text."""
    return not text.strip(_BLANKS)


def may_be_markup(text: str) -> bool:
    """Whether a text begins or ends in such a way that the other functions have to look at it; it is quick to say."""
    if text and text[0] not in _FIRST and text[-1] not in _LAST:
        return False  # nearly every answer; stripping takes ten times as long
    bare = text.strip(_BLANKS)
    return not bare or bare[0] in "<◁" or bare[-1] in ">▷" or bare.startswith("[T") or bare.endswith(("}]", "THINK]"))


def is_only_thought(text: str, *, cut: bool) -> bool:
    """Whether a text is nothing but thoughts; `cut`: the limit of tokens ended it.

    Where the prompt has opened the thoughts already the text has their end alone.
    """
    if not may_be_markup(text):
        return False
    bare = text.strip(_BLANKS)
    head, tail = bare[:_LONGEST].lower(), bare[-_LONGEST:].lower()
    if not (head.startswith(_OPENINGS) or tail.endswith(_CLOSINGS)):
        return False
    bare = bare.lower()
    for opening, closing in _THOUGHTS:
        if head.startswith(opening):
            _, closed, answer = bare.rpartition(closing)
            return is_blank(answer) if closed else cut
        if tail.endswith(closing):
            return opening not in bare
    return False


def call_left_in(text: str, params: Mapping[str, object], request_id: str | None) -> BadReply | None:
    """The error for an answer without tool calls in whose text one of the offered tools is called.

    A text that explains the markup is an answer: it has it in a block of code, or goes on after it.
    """
    if not params.get("tools") or not may_be_markup(text):
        return None
    bare = text.strip(_BLANKS)
    found = _CALL.search(bare)
    if found is None or (found.start() and (not bare.endswith((">", "]")) or "```" in bare[: found.start()])):
        return None
    called = any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", bare[found.start() :]) for name in _names(params))
    return BadReply("a tool call that the server has left in the text", request_id=request_id) if called else None


def is_tool_name(name: str) -> bool:
    """Whether a tool can have this name; gpt-oss servers leave the end of the model's header in some."""
    return bool(name) and "<|" not in name


def _names(params: Mapping[str, object]) -> Iterator[str]:
    tools = params.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        for place in (function, tool):
            if isinstance(place, dict) and isinstance(name := place.get("name"), str) and name:
                yield name
