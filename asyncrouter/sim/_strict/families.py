"""What OpenAI's, Anthropic's and Google's families of models refuse, by the numbers in their ids.

Written apart from the router's own table, so that a mistake there is not one here too. An id without a known family
refuses nothing on its account. Sources: litellm PR 34569, livekit PR 7169, bolna PR 1019; anthropic 2.14.0, types, and
inspect_ai PR 5176; pydantic-ai-slim 2.68, profiles.
"""

from __future__ import annotations

import re

_GPT = re.compile(r"(?<![a-z])gpt-(\d)(?:[.-](\d))?(?!\d)(?:-([a-z]+))?")
_O = re.compile(r"^o(\d)(?:-([a-z]+))?(?![a-z0-9])")
_CLAUDE = re.compile(r"claude-([a-z]+)-(\d+)(?:[.-](\d{1,2}))?(?!\d)")
_GEMINI = re.compile(r"gemini-(\d+)")


def gpt(model: str) -> tuple[int, int, str] | None:
    """Major and minor number of a GPT, and the word behind them."""
    found = _GPT.search(model.lower())
    return (int(found[1]), int(found[2] or 0), found[3] or "") if found else None


def claude(model: str) -> tuple[str, int, int] | None:
    """The line of a Claude, and its major and minor number."""
    found = _CLAUDE.search(model.lower())
    return (found[1], int(found[2]), int(found[3] or 0)) if found else None


def demands_signatures(model: str) -> bool:
    """Whether Gemini demands the signature of the thoughts before a function call: from version 3 on."""
    found = _GEMINI.search(model.lower())
    return found is None or int(found[1]) >= 3


def reasons_at(model: str, effort: object) -> bool:
    """Whether a model of OpenAI reasons at this effort (`None`: not given), and so takes no sampling parameters."""
    if _O.match(model.lower()):
        return True
    found = gpt(model)
    if found is None or found[0] < 5 or found[2] == "chat":
        return False
    by_default = found[:2] == (5, 0) or found[:2] >= (5, 5)
    return by_default if effort is None else effort != "none"


def takes_chat_tools(model: str, effort: object) -> bool:
    """Whether a model of OpenAI takes function tools on Chat Completions at this effort (`None`: not given)."""
    found = gpt(model)
    if found is None or found[:2] < (5, 2):
        return True
    major, minor, word = found
    if (major, minor, word) == (6, 0, "astra") or ((major, minor) >= (6, 1) and word != "terra"):
        return False
    if (major, minor) in ((5, 2), (5, 4)):
        return effort in (None, "none")
    return (major, minor) == (5, 3) or effort == "none"


def takes_sampling(model: str) -> bool:
    """Whether a Claude takes `temperature`, `top_p` and `top_k`: before 4.7."""
    found = claude(model)
    return found is None or found[1:] < (4, 7)


def takes_prefill(model: str) -> bool:
    """Whether a Claude goes on with an assistant's message that stands last: before 4.6."""
    found = claude(model)
    return found is None or found[1:] < (4, 6)


def takes_forced_tools(model: str) -> bool:
    """Whether a Claude lets the caller force a tool: not the 5.5 family, nor Fable and Mythos from 5.1 on."""
    found = claude(model)
    if found is None:
        return True
    return found[1:] < (5, 1) if found[0] in ("fable", "mythos") else found[1:] < (5, 5) or found[0] == "haiku"


def takes_thinking(model: str, kind: str) -> bool:
    """Whether a Claude takes this type of `thinking`."""
    found = claude(model)
    if found is None:
        return True
    line, version = found[0], found[1:]
    if kind == "disabled":
        return line not in ("fable", "mythos") and (version < (5, 5) or line == "haiku")
    if kind == "enabled":
        return version < (4, 7)
    return kind != "adaptive" or version >= (4, 6)
