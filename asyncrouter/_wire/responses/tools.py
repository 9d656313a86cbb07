"""Writes the tools of a call, and the choice among them: Chat Completions' nested form becomes the flat one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.fields import object_in
from asyncrouter._wire.tools import Tool, ToolChoice, read_tool_choice, read_tools
from asyncrouter._wire.vendors import is_foreign_tool

if TYPE_CHECKING:
    from asyncrouter._types import Message

_NO_PARAMETERS: Final[Message] = {"type": "object", "properties": {}}
"""The schema of a function that takes nothing; the API wants one."""


def write_tools(tools: object) -> list[Message]:
    """The tools in the API's form; built-in tools of other vendors are left out. Raises `ValueError`."""
    return [_tool(tool) for tool in read_tools(tools) if not is_foreign_tool(tool, "openai")]


def write_tool_choice(choice: object) -> object:
    """The choice in the API's form. Raises `ValueError`."""
    if isinstance(choice, dict) and isinstance(custom := choice.get("custom"), dict):
        return {"type": "custom", "name": custom.get("name")}
    read = read_tool_choice(choice)
    if not isinstance(read, ToolChoice):
        return read  # in the API's own form already
    if not read.names:
        return read.mode
    if read.mode == "required" and len(read.names) == 1:
        return {"type": "function", "name": read.names[0]}
    tools = [{"type": "function", "name": name} for name in read.names]
    return {"type": "allowed_tools", "mode": read.mode, "tools": tools}


def freed(tools: list[Message], choice: object) -> tuple[list[Message], object]:
    """Tools and choice for a model that cannot be made to call one: it is offered no other, and may choose."""
    if choice == "required":
        return tools, "auto"
    if not isinstance(choice, dict) or choice.get("type") not in {"function", "custom", "allowed_tools"}:
        return tools, choice
    if choice["type"] == "allowed_tools":
        return tools, {**choice, "mode": "auto"}
    return [tool for tool in tools if tool.get("name") == choice.get("name")] or tools, "auto"


def _tool(tool: Tool | Message) -> Message:
    if not isinstance(tool, Tool):
        return _custom(tool) if isinstance(tool.get("custom"), dict) else tool
    written: Message = {"type": "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    # Without `strict` the API makes a schema strict, and so every property of it required. Chat Completions does not.
    return {**written, "parameters": tool.parameters or _NO_PARAMETERS, "strict": tool.strict or False}


def _custom(tool: Message) -> Message:
    """A custom tool, whose grammar is nested once more in Chat Completions."""
    custom = dict(object_in(tool, "custom"))
    given = object_in(custom, "format")
    if isinstance(grammar := given.get("grammar"), dict):
        custom["format"] = {"type": "grammar", **grammar}
    return {"type": "custom", **custom}
