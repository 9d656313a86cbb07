"""What the word with which a provider ends an answer means: one table for all wires.

Providers agree on few of these words, and gateways pass on those of others: Google's words come through compatible
endpoints of Chat Completions, Anthropic's through Bedrock. So a word is read by its meaning. The exact words are looked
up first; of any other word the parts decide, the worst meaning first, because half an answer that passes for a whole
one is the greater harm. Case, hyphens, underscores and blanks make no difference.

A wire may have its own meaning for a word of its own API; that comes before this table.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import FinishReason

End = Literal["stop", "length", "tool_calls", "content_filter", "interrupted", "malformed", "other"]
"""What an end word means. "interrupted" (the provider broke off) and "malformed" (the model wrote something unusable)
are no ends of an answer; "other" is a word that nobody knows."""

_NO_WORDS: Final = frozenset({
    "", "null", "none", "unspecified", "finishreasonunspecified", "reasoninvalid", "notfinished", "unfinished",
    "inprogress", "reasonunspecified", "blockreasonunspecified", "blockedreasonunspecified", "unset", "undefined",
    "pending", "running", "generating", "streaming", "processing", "ongoing",
})
"""Words that stand for an absent one: protobuf's first value of an enum, and those of an answer that goes on."""

_WORDS: Final[Mapping[str, End]] = {
    "stop": "stop", "eos": "stop", "eostoken": "stop", "endturn": "stop", "endofturn": "stop", "endoftext": "stop",
    "stopsequence": "stop", "stoptoken": "stop", "stopword": "stop", "stopstr": "stop", "pauseturn": "stop",
    "complete": "stop", "completed": "stop", "finish": "stop", "finished": "stop", "done": "stop", "normal": "stop",
    "success": "stop", "stopped": "stop", "stopcriteriamet": "stop", "reasonstop": "stop", "finishreasonstop": "stop",
    "end": "stop", "ended": "stop", "ok": "stop", "final": "stop", "eot": "stop", "eotid": "stop", "imend": "stop",
    "s": "stop", "return": "stop", "matchedstop": "stop", "eosfound": "stop", "stopeos": "stop", "stopbyeos": "stop",
    "endid": "stop", "kendid": "stop", "eosid": "stop", "eotoken": "stop", "eottoken": "stop", "stopid": "stop",
    "endtoken": "stop", "finisheos": "stop", "messagestop": "stop", "finalanswer": "stop", "agentfinish": "stop",
    "compaction": "stop",
    "length": "length", "maxtokens": "length", "maxoutputtokens": "length", "modellength": "length",
    "modelcontextwindowexceeded": "length", "continuation": "length", "limit": "length", "errorlimit": "length",
    "max": "length", "tokens": "length", "budget": "length", "context": "length",
    "toolcalls": "tool_calls", "toolcall": "tool_calls", "tooluse": "tool_calls", "functioncall": "tool_calls",
    "functioncalls": "tool_calls", "tool": "tool_calls", "tools": "tool_calls", "call": "tool_calls",
    "requiresaction": "tool_calls", "function": "tool_calls", "action": "tool_calls", "awaitingtool": "tool_calls",
    "contentfilter": "content_filter", "refusal": "content_filter", "safety": "content_filter",
    "sensitive": "content_filter", "recitation": "content_filter", "prohibitedcontent": "content_filter",
    "blocklist": "content_filter", "spii": "content_filter", "language": "content_filter",
    "escalation": "content_filter", "modelarmor": "content_filter", "pii": "content_filter", "hap": "content_filter",
    "hate": "content_filter", "privacy": "content_filter",
    "noimage": "interrupted", "imageother": "interrupted", "other": "interrupted", "load": "interrupted",
    "incomplete": "interrupted", "internal": "interrupted", "oom": "interrupted", "dataloss": "interrupted",
    "queued": "interrupted", "partial": "interrupted", "dead": "interrupted", "died": "interrupted",
    "paused": "interrupted", "sleep": "interrupted", "hung": "interrupted", "eof": "interrupted",
    "upstream": "interrupted", "backend": "interrupted", "fault": "interrupted",
    "ragquerywhenragdisabled": "interrupted",
    "nan": "malformed",
}
"""The meaning of the words that are in use, without case and punctuation.

Together, Hugging Face, watsonx: eos, eos_token; Cohere: COMPLETE, ERROR_LIMIT (the context window); llama.cpp: limit;
Mistral: model_length; Zhipu: sensitive, model_context_window_exceeded; Ollama: load; watsonx: hap; TensorRT-LLM:
kEND_ID; Anthropic: compaction, after which a conversation goes on as after pause_turn; Google: the words in capitals,
whose OTHER is a failure of which it does not say more. Some hosts give the token that ended the text: `</s>`,
`<|im_end|>`, `<|eot_id|>`, `<|call|>`.
"""

_PARTS: Final[tuple[tuple[End, tuple[str, ...]], ...]] = (
    ("malformed", (
        "malform", "invalid", "unexpectedtool", "toomanytool", "unparsable", "parseerror", "corrupt", "missingthought",
        "schemaviolat", "grammarviolat", "formatviolat", "schemamismatch",
    )),
    ("content_filter", (
        "filter", "safety", "sensitive", "recitation", "prohibited", "blocklist", "blocked", "spii", "refus",
        "moderat", "policy", "guardrail", "toxic", "harm", "copyright", "unsafe", "censor", "profan", "jailbreak",
        "violen", "sexual", "inappropriate", "flagged", "nsfw", "illegal", "riskcontrol", "audit", "inspection",
        "redact", "hateful", "hatespeech", "politic", "violat", "banned", "agerestrict", "dmca",
        "csam", "piidetect",
    )),
    ("interrupted", (
        "abort", "cancel", "error", "timeout", "timedout", "timelimit", "deadline", "resource", "network", "preempt",
        "interrupt", "disconnect", "connection", "fail", "unavailable", "overload", "capacity", "ratelimit", "quota",
        "shutdown", "kill", "evict", "exception", "crash", "terminat", "expire", "memory", "incomplete", "dropped",
        "lost", "broken", "reset", "unfinished", "notfinished", "stall", "exhaust", "throttl", "gateway", "panic",
        "cudaoom", "enginedead", "workerdied", "restart", "migrat", "halt", "hangup", "hungup", "closed", "unexpected",
        "insufficient", "byuser", "userstop", "byclient", "byserver", "suspend", "drain", "reject", "denied", "retry",
        "sigterm", "maxtime", "walltime", "watchdog", "prematur", "unload", "notloaded", "turndetected", "bargein",
        "speechstarted", "forcestop", "forcedstop", "manualstop", "busy", "toomanyrequest", "outofcredit", "payment",
        "unauthorized", "superseded", "scaledown", "badrequest", "segfault", "hardwarefault", "bufferoverflow",
    )),
    ("length", ("length", "maxtoken", "maxoutput", "maxlen", "maxcontext", "maxnew", "maxturn", "maxiter", "maxstep",
                "maxcompletion", "maxseq", "maximumtoken", "outoftokens", "windowfull",
                "tokenlimit", "contextwindow", "contextlimit", "outputlimit", "contextfull", "contextexceed",
                "limitreach", "limitexceed", "maxpredicted", "toolong", "steplimit", "turnlimit", "recursionlimit",
                "maxdepth", "maxround", "budgetexceed", "budgetreach", "thinkingbudget", "truncat", "cutoff",
                "maxtool", "calllimit", "contextoverflow", "outofcontext", "exceededcontext", "contextsize",
                "maxmodel", "numpredict", "npredict", "tokensexceed", "tokenexceed", "nomoretoken")),
    ("tool_calls", ("toolcall", "tooluse", "functioncall")),
    ("stop", (
        "stopsequence", "stoptoken", "stopword", "stopstring", "stopphrase", "stopregex", "endofturn", "endturn",
        "eostoken", "natural", "responsecomplete",
    )),
)
"""Parts of words and what they mean, in the order in which they are looked for."""

_STATUS: Final = re.compile("[45][0-9][0-9]")
"""Matches the HTTP status of an error, which some gateways put there."""

_KEPT_WORDS = 512
"""How many words are remembered with their meaning: a bound, for they come from outside."""

_LONGEST_WORD = 200
"""So many characters of a word are looked at and remembered: longer ones are no words."""

FINISH_REASONS: Final[Mapping[End, FinishReason]] = {
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter",
    "other": "other",
}
"""Our finish reason for each meaning that is an end."""


def meaning(word: str) -> End:
    """What an end word means, whichever provider wrote it."""
    return _meaning(word[:_LONGEST_WORD])


@lru_cache(maxsize=_KEPT_WORDS)
def _meaning(word: str) -> End:
    bare = "".join(filter(str.isalnum, word.lower()))
    exact = _WORDS.get(bare)
    if exact is not None:
        return exact
    if _STATUS.fullmatch(bare):
        return "interrupted"
    for end, parts in _PARTS:
        if any(part in bare for part in parts):
            return end
    return "other"


def finish_of(word: str) -> FinishReason:
    """Our finish reason for an end word; "other" for one that is no end, whose answer is no reply anyway."""
    return FINISH_REASONS.get(meaning(word), "other")


def is_word(word: object) -> TypeGuard[str]:
    """Whether a provider has really said why the answer ended."""
    return isinstance(word, str) and _says_something(word[:_LONGEST_WORD])


@lru_cache(maxsize=_KEPT_WORDS)
def _says_something(word: str) -> bool:
    return "".join(filter(str.isalnum, word.lower())) not in _NO_WORDS


def is_broken(word: str) -> bool:
    """Whether the word says that there is no whole answer."""
    return meaning(word) in {"interrupted", "malformed"}
