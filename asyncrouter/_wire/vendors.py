"""What belongs to one vendor's API alone: parameters and built-in tools, which other vendors refuse.

A caller who knows one model of a chain well gives it parameters of its own, and the next model of the chain gets the
same call. There they are left out: they were not meant for it. A parameter that stands in no list goes out to
everybody; a provider that does not know it says so (`_wire/learned.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from asyncrouter._wire.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

Api = Literal["openai", "anthropic", "google", "openrouter", "mistral", "xai", "groq", "deepseek", "local"]
"""Whose API a parameter belongs to. "local" stands for servers of open models: vLLM, SGLang, llama.cpp, Ollama."""

_PARAMETERS: Final[Mapping[Api, frozenset[str]]] = {
    "openai": frozenset(),  # everybody imitates them; what a vendor does not know is in its own list of exceptions
    "anthropic": frozenset({
        "cache_control", "container", "context_management", "inference_geo", "mcp_servers", "output_config", "speed",
        "stop_sequences", "system", "thinking", "top_k",
    }),
    "google": frozenset({
        "cachedContent", "cached_content", "generationConfig", "generation_config", "labels", "safetySettings",
        "safety_settings", "systemInstruction", "system_instruction", "toolConfig", "tool_config", "top_k",
    }),
    "openrouter": frozenset({
        "cache_control", "debug", "image_config", "include_reasoning", "min_p", "models", "plugins", "provider",
        "reasoning", "repetition_penalty", "route", "session_id", "top_a", "top_k", "trace", "transforms", "usage",
    }),
    "mistral": frozenset({
        "guardrails", "min_tokens", "prompt_logprobs", "prompt_mode", "random_seed", "repetition_penalty",
        "safe_prompt", "top_k", "top_prompt_logprobs",
    }),
    "xai": frozenset({"deferred", "search_parameters"}),
    "groq": frozenset({
        "citation_options", "compound_custom", "disable_tool_validation", "documents", "exclude_domains",
        "include_domains", "include_reasoning", "reasoning_format", "search_settings",
    }),
    "deepseek": frozenset({"thinking"}),
    "local": frozenset({
        "add_generation_prompt", "allowed_token_ids", "bad_words", "best_of", "cache_prompt", "chat_template",
        "chat_template_kwargs", "continue_final_message", "do_sample", "dynatemp_range", "enable_thinking", "format",
        "grammar", "guided_choice", "guided_grammar", "guided_json", "guided_regex", "ignore_eos",
        "include_stop_str_in_output", "keep_alive", "length_penalty", "min_p", "min_tokens", "mirostat", "mm_processor",
        "n_predict", "options", "prompt_logprobs", "repeat_penalty", "repetition_penalty", "separate_reasoning",
        "skip_special_tokens", "spaces_between_special_tokens", "stop_token_ids", "structured_outputs", "tfs_z",
        "think", "thinking_budget", "top_k", "typical_p", "use_beam_search",
    }),
}
"""The parameters of each API that OpenAI's Chat Completions does not have."""

_ALL: Final = frozenset(name for names in _PARAMETERS.values() for name in names)

_ANTHROPIC_TOOL: Final = re.compile(r"_20\d{6}")
"""How the types of Anthropic's built-in tools end: `web_search_20250305`. OpenAI's dates have separators."""


def foreign_parameters(*apis: Api) -> frozenset[str]:
    """The parameters that are known, and none of these APIs has."""
    return _ALL - frozenset(name for api in apis for name in _PARAMETERS[api])


def is_foreign_tool(tool: Tool | Message, api: Api) -> bool:
    """Whether it is a built-in tool, or a form of one, that this API cannot read; a function can always be read."""
    if isinstance(tool, Tool):
        return False
    maker = _maker(tool)
    if api in {"anthropic", "google"}:
        return maker != api
    return maker in {"anthropic", "google"}


def _maker(tool: Message) -> Api:
    """Whose form a tool that is no function has."""
    kind = tool.get("type")
    if not isinstance(kind, str):
        return "anthropic" if "input_schema" in tool else "google"  # Google's tools have no type
    if kind == "mcp_toolset" or "input_schema" in tool or _ANTHROPIC_TOOL.search(kind):
        return "anthropic"
    return "openai"
