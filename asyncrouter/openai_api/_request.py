"""Reads the body and the header fields of a request as arguments of `Router.chat`, `stream` and `embed`."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from asyncrouter import ConfigError
from asyncrouter.openai_api._failure import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter import Config

    MayUse = Callable[[str], bool]

MAX_CHAIN: Final = 20
"""Models in a chain that a request names: more than anybody would try, and each costs a plan."""
MAX_SHOWN: Final = 200
"""Characters of a client's name that an answer repeats."""
MAX_LISTED: Final = 20
"""Tasks, or tiers, that an answer lists."""
_KINDS: Final = frozenset({"task", "tier"})
_OURS: Final = "x-asyncrouter-"
_TASK, _DEADLINE, _SESSION = f"{_OURS}task", f"{_OURS}deadline", f"{_OURS}session"
"""The header fields of a request that mean something here."""


class ChatRequest(NamedTuple):
    """The arguments of a chat.

    - `messages`: as they came; the router checks them.
    - `options`: arguments of `Router.chat` and `stream`: which models, and the deadline.
    - `params`: parameters for the provider.
    - `stream`, `usage`: whether events are asked for, and among them one with the usage.
    """

    messages: Any
    options: dict[str, Any]
    params: dict[str, Any]
    stream: bool
    usage: bool


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises `Problem`."""
    try:
        found = orjson.loads(body)
    except ValueError as error:  # its message has the place, and nothing of the text
        raise Problem(400, f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Problem(400, f"the body: expected a JSON object, got {_kind(found)}")
    return found


def read_chat(fields: dict[str, Any], options: dict[str, Any], *, trusted: bool) -> ChatRequest:
    """The arguments of a chat; `options` are those of the header fields and the model. Raises `Problem`."""
    messages, wanted = fields.pop("messages", None), fields.pop("stream_options", None)
    if not isinstance(messages, list):
        raise Problem(400, f"messages: expected a list of messages, got {_kind(messages)}", param="messages")
    stream = fields.pop("stream", None)
    if stream is not None and not isinstance(stream, bool):
        raise Problem(400, f"stream: expected true or false, got {_kind(stream)}", param="stream")
    if wanted is not None and not isinstance(wanted, dict):
        raise Problem(400, f"stream_options: expected an object, got {_kind(wanted)}", param="stream_options")
    if stream and fields.get("n") not in {None, 1}:
        raise Problem(400, "n: a streamed answer has one choice; ask without stream for several", param="n")
    shape = fields.get("response_format")
    if isinstance(shape, dict) and shape.get("type") == "json_schema" and (trusted or not has_pattern(shape)):
        options["response_format"] = fields.pop("response_format")  # as an argument it is checked by the router
    return ChatRequest(messages, options, fields, bool(stream), bool(wanted and wanted.get("include_usage")))


def read_options(headers: Mapping[str, str], longest: float) -> dict[str, Any]:
    """The options in a request's header fields; `longest` is the longest deadline, in seconds. Raises `Problem`."""
    options: dict[str, Any] = {}
    if longest < inf:
        options["deadline"] = longest
    for name, value in headers.items():
        if name[:1] not in "xX" or not (lower := name.lower()).startswith(_OURS):
            continue
        if lower == _TASK:
            options["task"] = value
        elif lower == _DEADLINE:
            options["deadline"] = min(_seconds(value), longest)
        elif lower == _SESSION:
            options["session"] = value
        else:
            raise Problem(400, f"{lower[:60]}: unknown; there are {_TASK}, {_DEADLINE} and {_SESSION}")
    return options


def read_model(config: Config, given: object, options: dict[str, Any], may_use: MayUse | None) -> str:
    """Add to `options` what a request's `model` stands for, and return it as text.

    Raises `Problem`: 400 without a name, 404 for a task that is none or a name that the client may not use.
    """
    if not isinstance(given, str) or not given.strip():
        raise Problem(400, "model: expected a model, task:NAME, tier:NAME, or models as a,b", param="model")
    name = given.strip()
    kind, _, rest = name.partition(":")
    names = [name]
    if name not in config.models and kind in _KINDS and kind not in config.providers:
        options[kind] = rest
    elif "," in name and name not in config.models:
        names = options["chain"] = [part.strip() for part in name.split(",")]
    else:
        options["model"] = name
    if len(names) > MAX_CHAIN or not all(names):
        raise Problem(400, f"model: expected at most {MAX_CHAIN} names with commas between", param="model")
    task = options.get("task")
    if task is not None and task not in config.tasks and config.unknown_task != "default":
        raise unknown_name(config, f"task:{task}", may_use)
    for used in (*names, *([] if task is None else [f"task:{task}"])):
        if may_use is not None and not may_use(used):
            raise unknown_name(config, used, may_use)
    return name


def unknown_name(config: Config, name: str, may_use: MayUse | None) -> Problem:
    """The answer to a name that is none, or none for this client: it looks the same. It says what there is."""
    kind, _, rest = name.partition(":")
    if kind not in _KINDS:
        problem, cure = f"unknown model {name[:MAX_SHOWN]!r}", "GET /v1/models lists those that there are"
    else:
        tables = config.tasks if kind == "task" else config.tiers
        known = [one for one in tables if may_use is None or may_use(f"{kind}:{one}")]
        problem = f"unknown {kind} {rest[:MAX_SHOWN]!r}"
        cure = f"there {'are' if known else 'is'} {', '.join(known[:MAX_LISTED]) or 'none'}"
        cure += ", …" if len(known) > MAX_LISTED else ""
    return Problem(404, f"{problem}; {cure}", "model_not_found", "model")


def is_unknown(config: Config, name: str) -> bool:
    """Whether a name that made a call fail stands for no model, task or tier."""
    kind, _, rest = name.partition(":")
    if kind in _KINDS and name not in config.models:
        return rest not in (config.tasks if kind == "task" else config.tiers)
    try:
        for part in [name] if name in config.models else name.split(","):
            config.model(part.strip())
    except ConfigError:
        return True
    return False


def has_pattern(value: object) -> bool:
    """Whether a regular expression stands in a schema: one from outside may take for ever on an answer."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "pattern" in found or "patternProperties" in found:
                return True
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
    return False


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not isfinite(seconds) or seconds <= 0:
        raise Problem(400, f"{_DEADLINE}: expected seconds above 0, got {value[:40]!r}")
    return seconds


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")
