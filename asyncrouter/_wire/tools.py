"""Reads tools, `tool_choice` and `response_format` of a Chat Completions request, for wires that translate them.

As in `messages`, what is wrong by itself is a `ValueError` that begins with the path of the mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from asyncrouter._wire.messages import list_at, text_at

if TYPE_CHECKING:
    from asyncrouter._types import Message


@dataclass(slots=True)
class Tool:
    """A function the model may call.

    `parameters` is its JSON schema, empty when it takes nothing; `rest` are the fields beside the function.
    """

    name: str
    description: str = ""
    parameters: Message = field(default_factory=dict)
    strict: bool | None = None
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class ToolChoice:
    """Whether the model may, must or must not call a tool, and which: `names` is empty when all are allowed."""

    mode: Literal["auto", "required", "none"]
    names: tuple[str, ...] = ()


def read_tools(tools: object) -> list[Tool | Message]:
    """The tools of a request; one that is no function is a provider's own and stays as it is. Raises `ValueError`."""
    return [_tool(f"tools[{index}]", tool) for index, tool in enumerate(list_at("tools", tools))]


def read_tool_choice(choice: object) -> ToolChoice | Message:
    """The `tool_choice` of a request; a mapping of a provider's own stays as it is. Raises `ValueError`."""
    if choice in ("auto", "required", "none"):
        return ToolChoice(choice)
    if isinstance(choice, dict):
        if isinstance(function := choice.get("function"), dict):
            return ToolChoice("required", (text_at("tool_choice.function.name", function.get("name")),))
        if isinstance(allowed := choice.get("allowed_tools"), dict):
            tools = read_tools(allowed.get("tools"))
            names = tuple(tool.name for tool in tools if isinstance(tool, Tool))
            return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
        return choice
    raise ValueError(f'tool_choice: expected "auto", "required", "none" or a function, got {choice!r:.80}')


def read_schema(response_format: object) -> Message | Literal["json_object", "text"]:
    """The JSON schema in a `response_format`, "json_object" for any object, or "text". Raises `ValueError`."""
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "text" or kind == "json_object":
        return "text" if kind == "text" else "json_object"
    if isinstance(response_format, dict) and kind == "json_schema":
        described = response_format.get("json_schema")
        if isinstance(described, dict) and isinstance(schema := described.get("schema"), dict):
            return schema
        raise ValueError(f"response_format.json_schema.schema: expected a JSON schema, got {described!r:.80}")
    raise ValueError(f'response_format.type: expected "text", "json_object" or "json_schema", got {kind!r:.80}')


def _tool(path: str, tool: object) -> Tool | Message:
    if not isinstance(tool, dict):
        raise ValueError(f"{path}: expected a tool with a type, got {tool!r:.80}")
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict):
        return tool
    description, parameters, strict = (function.get(key) for key in ("description", "parameters", "strict"))
    return Tool(
        name=text_at(f"{path}.function.name", function.get("name")),
        description=description if isinstance(description, str) else "",
        parameters=parameters if isinstance(parameters, dict) else {},
        strict=strict if isinstance(strict, bool) else None,
        rest={key: value for key, value in tool.items() if key not in {"type", "function"}},
    )
