"""Writes the tools of a Chat Completions request, and the choice among them, for one host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.fields import object_in
from asyncrouter._wire.vendors import is_foreign_tool

if TYPE_CHECKING:
    from asyncrouter._types import Message
    from asyncrouter._wire.openai.quirks import Quirks

_ABOUT_TOOLS: Final = ("tools", "tool_choice", "parallel_tool_calls")
"""The parameters that are refused without tools."""


def put_tools(body: Message, quirks: Quirks | None) -> None:
    """Leave out the tools that the host cannot read, and a choice of one of them; without tools, all about them."""
    tools = body.get("tools")
    if isinstance(tools, list | tuple):
        kept = [tool for tool in tools if _is_read(tool, quirks)]
        if len(kept) < len(tools):
            body["tools"] = kept
            if forced_tool(body.get("tool_choice")) not in {None, "", *map(_name, kept)}:
                del body["tool_choice"]
        if not kept:
            for name in _ABOUT_TOOLS:
                body.pop(name, None)
    elif tools is None and "functions" not in body:
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
    if quirks is not None and not quirks.names_tool and forced_tool(body.get("tool_choice")):
        _offer_only(body, forced_tool(body["tool_choice"]))
        body["tool_choice"] = "required"


def forced_tool(choice: object) -> str | None:
    """The tool that must be called, "" for any of them, `None` when none must."""
    if choice == "required":
        return ""
    if not isinstance(choice, dict):
        return None
    if (name := _name(choice)) is not None:
        return name
    return "" if object_in(choice, "allowed_tools").get("mode") == "required" else None


def free_choice(body: Message) -> None:
    """Let the model choose; of several tools it is offered only the one that was demanded."""
    if name := forced_tool(body.get("tool_choice")):
        _offer_only(body, name)
    body["tool_choice"] = "auto"


def _offer_only(body: Message, name: str | None) -> None:
    tools = body.get("tools")
    if isinstance(tools, list | tuple):
        body["tools"] = [tool for tool in tools if _name(tool) == name] or tools


def _name(tool: object) -> str | None:
    """The name in a tool, or in a choice of one."""
    if not isinstance(tool, dict):
        return None
    name = (object_in(tool, "function") or object_in(tool, "custom")).get("name")
    return name if isinstance(name, str) else None


def _is_read(tool: object, quirks: Quirks | None) -> bool:
    if not isinstance(tool, dict):
        return True
    if quirks is not None and quirks.tool_types is not None:
        return str(tool.get("type", "function" if "function" in tool else "")) in quirks.tool_types
    return not is_foreign_tool(tool, "openai") or isinstance(tool.get("function"), dict)
