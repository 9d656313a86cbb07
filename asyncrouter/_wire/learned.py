"""Remembers which parameters a provider has refused for a model, and writes later requests without them.

A provider that names what it does not take has said how to be asked: the parameter is left out from then on, or written
as the provider wants it (under another name, the nearest value that it takes, at most so much). That holds for this
model, until the router is closed. The prompt, and what would make the answer another one (tools, a format, several
answers), is never left out.

If the provider complains about a parameter that was left out, it meant something else, and the parameter is sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.families import EFFORTS, closest_effort

if TYPE_CHECKING:
    from asyncrouter._types import Message
    from asyncrouter._wire.failure.complaint import Complaint

    Path = tuple[str, ...]
    """The fields that lead to a parameter in a request's body; a list on the way stands for each of its items."""

PROMPT: Final = frozenset({
    "model", "messages", "input", "contents", "system", "systemInstruction", "system_instruction", "instructions",
    "previous_response_id", "conversation", "prompt",
})
"""Fields of a body that no wire leaves out, nor anything within them."""

_ESSENTIAL: Final[frozenset[Path]] = frozenset({
    ("tools",), ("functions",), ("n",), ("modalities",), ("audio",), ("max_tokens",), ("response_format",), ("text",),
    ("max_completion_tokens",), ("max_output_tokens",),
    ("text", "format"), ("output_config",), ("output_config", "format"), ("generationConfig",),
    ("generationConfig", "candidateCount"), ("generationConfig", "responseModalities"),
    ("generationConfig", "responseMimeType"), ("generationConfig", "responseSchema"),
    ("generationConfig", "responseJsonSchema"),
})
"""Parameters without which the answer would be another one. A limit may be lowered or renamed, but not left out."""

_OF_TOOLS: Final = frozenset({"strict", "cache_control"})
"""Fields within tools that can be left out."""

_CONTAINERS: Final = (
    "generationConfig", "thinkingConfig", "output_config", "reasoning", "text", "thinking", "stream_options",
)
"""Objects in which a parameter is looked for that the provider names without them."""

_NEEDS: Final = (("stream_options", "stream"), ("top_logprobs", "logprobs"))
"""Parameters that are refused without another one."""

_MAX_OF_MODEL: Final = 32
"""Parameters that are remembered for one model."""


class Rewrite(NamedTuple):
    """How a parameter is written from now on: it is left out, unless one of these says something else."""

    allowed: tuple[str, ...] = ()
    """The values that are taken; of efforts the nearest is sent."""
    instead: str = ""
    """The name that is taken."""
    most: int | None = None
    """The greatest value that is taken."""
    with_tools: bool = False
    """Whether this is so only in requests with tools; then the allowed value is also put in where there was none."""

    def described(self, name: str) -> str:
        """What a person should know about it."""
        if self.instead:
            return f"{name} is sent as {self.instead} from now on, as this model wants it"
        if self.most is not None:
            return f"{name} is at most {self.most} for this model; a greater one is lowered from now on"
        if self.allowed:
            where = " beside tools" if self.with_tools else ""
            return f"{name} may only be {' or '.join(self.allowed)} for this model{where}, and is so from now on"
        return f"{name} is refused by this model and left out from now on; drop = [{name!r}] says so from the start"


class Learned:
    """What the models of one provider have refused."""

    __slots__ = ("_by_model",)

    def __init__(self) -> None:
        self._by_model: dict[str, dict[Path, Rewrite]] = {}

    def __repr__(self) -> str:
        return f"<Learned about {len(self._by_model)} models>"

    def learn(self, model_id: str, body: Message, complaint: Complaint) -> str | None:
        """Remember why a request with this body was refused; the warning to give, `None` if nothing can be changed."""
        rewrites, keys = self._by_model.get(model_id, {}), _keys(complaint.name)
        if not keys or keys[0] in PROMPT:
            return None
        path = _find(body, keys)
        if path is None and complaint.with_tools and complaint.name.isidentifier() and body.get("tools"):
            path = (complaint.name,)
        if path is None:
            self._forget(model_id, keys[-1])
            return None
        rewrite = _rewrite(complaint, _value_at(body, path))
        if rewrite is None or not _may_change(path, rewrite) or len(rewrites) >= _MAX_OF_MODEL:
            return None
        if model_id not in self._by_model and len(self._by_model) >= MAX_NAMES:
            del self._by_model[next(iter(self._by_model))]
        self._by_model.setdefault(model_id, rewrites)[path] = rewrite
        return rewrite.described(".".join(path))

    def apply(self, model_id: str, body: Message) -> None:
        """Change a request's body accordingly. What belongs to the caller is copied, never changed."""
        for path, rewrite in self._by_model.get(model_id, {}).items():
            if rewrite.with_tools and not body.get("tools"):
                continue
            if rewrite.with_tools and len(path) == 1:
                body[path[0]] = rewrite.allowed[0]
                continue
            changed = _changed(body, path, rewrite)
            if isinstance(changed, dict) and changed is not body:
                body.clear()
                body.update(changed)
        for name, needed in _NEEDS:
            if needed not in body:
                body.pop(name, None)

    def _forget(self, model_id: str, key: str) -> None:
        """Forget a parameter that was left out in vain."""
        rewrites = self._by_model.get(model_id, {})
        for path in [path for path in rewrites if _plain(path[-1]) == _plain(key)]:
            del rewrites[path]
        if not rewrites:
            self._by_model.pop(model_id, None)


def _rewrite(complaint: Complaint, value: object) -> Rewrite | None:
    """How the parameter that had this value is to be written; `None` if nothing is known to be better."""
    if complaint.instead and complaint.instead != complaint.name:
        return Rewrite(instead=complaint.instead)
    if complaint.most is not None:
        return Rewrite(most=complaint.most) if isinstance(value, int) and value > complaint.most else None
    if complaint.allowed and isinstance(value, str | None):
        known = value in complaint.allowed
        return None if known else Rewrite(allowed=complaint.allowed, with_tools=complaint.with_tools)
    return Rewrite()


def _may_change(path: Path, rewrite: Rewrite) -> bool:
    if path[0] in PROMPT:
        return False
    if path[0] == "tools" and len(path) > 1:
        return path[-1] in _OF_TOOLS
    return path not in _ESSENTIAL or bool(rewrite.instead) or rewrite.most is not None


def _keys(name: str) -> Path:
    """The fields in a name such as `body.tools[0].function.strict`, without the numbers of items."""
    keys = name.replace("[", ".").replace("]", "").replace("/", ".").split(".")
    return tuple(key for key in keys if key and not key.isdigit() and key != "body")


def _find(body: Message, keys: Path) -> Path | None:
    """The path in the body that the provider's keys mean; `None` if there is no such field.

    Between the fields a provider may write the kind of an object: `thinking.enabled.budget_tokens`.
    """
    path: list[str] = []
    value: object = body
    for key in keys:
        value, found = _field(value, key)
        if found is not None:
            path.append(found)
        elif value == key and len(path) > 1 and key == keys[-1]:  # "thinking.type.disabled": all of `thinking`
            return tuple(path[:-1])
    if path and _plain(path[-1]) == _plain(keys[-1]):
        return tuple(path)
    return _find_inside(body, keys[-1]) if not path else None


def _find_inside(body: Message, key: str) -> Path | None:
    """The path of a field that is named without the objects around it."""
    for name in _CONTAINERS:
        inner = body.get(name)
        if isinstance(inner, dict):
            _, found = _field(inner, key)
            deeper = _find_inside(inner, key) if found is None else (found,)
            if deeper is not None:
                return name, *deeper
    return None


def _field(value: object, key: str) -> tuple[object, str | None]:
    """The value of a field of an object, or of the first object in a list that has it, and the field's own spelling.

    Without such a field it is the value itself, and `None`.
    """
    wanted = _plain(key)
    for fields in value if isinstance(value, list | tuple) else (value,):
        if isinstance(fields, dict):
            for name, inner in fields.items():
                if _plain(name) == wanted:
                    return inner, name
    return value, None


def _plain(name: str) -> str:
    """A field's name without what vendors write differently: `responseSchema`, `response_schema`."""
    return name.replace("_", "").lower()


def _value_at(value: object, path: Path) -> object:
    for key in path:
        value, found = _field(value, key)
        if found is None:
            return None
    return value


def _changed(value: object, path: Path, rewrite: Rewrite) -> object:
    """The value with the rewrite at this path: copied as far as something changes, the same object if nothing does."""
    if isinstance(value, list | tuple):
        items = [_changed(item, path, rewrite) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        return _rewritten(value, path[0], rewrite)
    inner = _changed(value[path[0]], path[1:], rewrite)
    if inner is value[path[0]]:
        return value
    copied = {**value, path[0]: inner}
    if inner == {}:
        del copied[path[0]]
    return copied


def _rewritten(fields: Message, name: str, rewrite: Rewrite) -> Message:
    """The fields with one of them left out, or written as it is taken."""
    value = fields[name]
    copied = {key: inner for key, inner in fields.items() if key != name}
    if rewrite.instead:
        copied.setdefault(rewrite.instead, value)
    elif rewrite.most is not None:
        copied[name] = min(value, rewrite.most) if isinstance(value, int) else value
    elif value in rewrite.allowed:
        copied[name] = value
    elif known := tuple(effort for effort in EFFORTS if effort in rewrite.allowed):
        copied[name] = known[0] if len(known) == 1 else closest_effort(value, known)
    return copied
