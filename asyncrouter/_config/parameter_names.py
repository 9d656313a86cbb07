"""Names of keyword arguments: providers' parameters, what other libraries call our own arguments, and misspellings."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from asyncrouter._config.checks import one_edit_apart
from asyncrouter._config.secret_names import is_secret_parameter, secret_in
from asyncrouter._config.tables import ROUTER_FIELDS
from asyncrouter._events import MAX_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DEADLINE: Final = "deadline= (the whole call), or connect=, first_token=, idle= and total= (each attempt)"
_RETRY: Final = "retry= (how often one model is asked)"
_CHAIN: Final = "chain=[…], the models in the order in which they are tried"
_PROVIDER: Final = "base_url of a Provider in the configuration; a model of it is named provider:id"
_FORMAT: Final = "response_format="
_PARAMS: Final = "the parameter's own name as a keyword, or params={…}"
_KEY_INSTEAD: Final = (
    'key = "env:NAME" of its Provider, or for one call headers={"openai": {"Authorization": …}}; '
    "a parameter would go to every provider of the chain"
)

USE_INSTEAD: Final[Mapping[str, str]] = {
    **dict.fromkeys(("timeout", "request_timeout", "stream_timeout", "read_timeout", "timeout_seconds"), _DEADLINE),
    **dict.fromkeys(
        ("max_retries", "num_retries", "n_retries", "retries", "max_attempts", "max_tries", "retry_count"), _RETRY
    ),
    **dict.fromkeys(
        ("fallbacks", "fallback", "fallback_models", "default_fallbacks", "model_list"), _CHAIN
    ),
    "context_window_fallbacks": "on_context=",
    "content_policy_fallbacks": 'on_refusal="next"',
    **dict.fromkeys(
        ("base_url", "api_base", "api_url", "api_host", "api_version", "api_type", "azure_endpoint", "azure_deployment",
         "deployment_id", "endpoint", "custom_llm_provider", "http_client", "client", "proxies"), _PROVIDER
    ),
    "mock_response": "asyncrouter.sim",
    **dict.fromkeys(("organization", "default_headers", "extra_headers", "extra_header"), "headers="),
    **dict.fromkeys(("extra_query", "default_query"), "query of a Provider in the configuration"),
    **dict.fromkeys(("extra_body", "extra_params", "extra_args", "model_kwargs", "generation_kwargs"), _PARAMS),
    **dict.fromkeys(
        ("response_model", "response_schema", "response_type", "output_schema", "output_type", "result_type"), _FORMAT
    ),
    **dict.fromkeys(("model_name", "model_id"), "model="),
    **dict.fromkeys(("system_prompt", "system_message", "system_instruction", "instructions"), "system="),
    **dict.fromkeys(("task_type", "task_name"), "task="),
    **dict.fromkeys(("max_cost_tier", "cost_tier"), "tier="),
    **dict.fromkeys(("callbacks", "callback", "listeners"), "listeners= of the Router"),
    "transport": "transport= of the Router",
    "stream": ROUTER_FIELDS["stream"],
    "streaming": ROUTER_FIELDS["stream"],
    "stream_options": ROUTER_FIELDS["stream_options"],
    "messages": ROUTER_FIELDS["messages"],
    "on_interrupt": "router.stream(…)",
}
"""What other libraries call our arguments, or only `stream()` has; and what to use instead."""

ARGUMENTS: Final = (
    "task", "tier", "chain", "model", "system", "deadline", "hedge", "retry", "connect", "first_token", "idle", "total",
    "on_refusal", "on_context", "rescue", "accept", "priority", "tags", "session", "params",
    "headers",
)
"""The router's own keyword arguments."""

KNOWN: Final = frozenset((
    # Chat Completions, and what is the same at most providers
    "audio", "cache_control", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "temperature",
    "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    # Responses
    "background", "context_management", "conversation", "include", "input", "max_output_tokens",
    "max_tool_calls", "previous_response_id", "reasoning", "text", "top_k", "truncation",
    # Anthropic
    "betas", "container", "inference_geo", "mcp_servers", "output_config", "output_format", "speed", "stop_sequences",
    "thinking",
    # Gemini
    "cachedContent", "cached_content", "contents", "generationConfig", "generation_config", "labels", "safetySettings",
    "safety_settings", "systemInstruction", "toolConfig", "tool_config",
    # OpenRouter and other hosts
    "citation_options", "compound_custom", "debug", "disable_tool_validation", "documents", "enable_thinking",
    "guardrails", "image_config", "include_reasoning", "min_p", "models", "plugins", "preset", "prompt_mode",
    "provider", "random_seed", "reasoning_format", "repetition_penalty", "route", "safe_prompt", "search_parameters",
    "search_settings", "session_id", "structural_tag", "top_a", "trace", "transforms", "usage", "exclude_domains",
    "include_domains",
    # embeddings
    "autoTruncate", "dimensions", "encoding_format", "input_type", "outputDimensionality", "output_dimension",
    "output_dtype", "taskType", "title", "truncate",
    # servers of one's own: vLLM, llama.cpp, SGLang, Ollama, LM Studio
    "add_generation_prompt", "allowed_token_ids", "bad_words", "best_of", "cache_prompt", "chat_template",
    "chat_template_kwargs", "continue_final_message", "do_sample", "draft_model", "dynatemp_exponent",
    "dynatemp_range", "echo", "grammar", "guided_choice", "guided_decoding_backend", "guided_grammar", "guided_json",
    "guided_regex", "ignore_eos", "include_stop_str_in_output", "keep_alive", "length_penalty", "lora_path",
    "min_tokens", "mirostat", "mirostat_eta", "mirostat_tau", "mm_processor_kwargs", "n_keep", "n_predict", "n_probs",
    "num_beams", "num_ctx", "options", "prefix", "prompt_logprobs", "regex", "ebnf", "json_schema", "repeat_last_n",
    "repeat_penalty", "return_token_ids", "samplers", "separate_reasoning", "skip_special_tokens",
    "spaces_between_special_tokens", "stop_token_ids", "structured_outputs", "suffix", "tfs_z", "think", "ttl",
    "truncate_prompt_tokens", "typical_p", "use_beam_search", "xtc_probability", "xtc_threshold",
))
"""Parameters that some provider has (2026-11). A name that is not among them is sent all the same."""

OF_THE_ROUTER: Final = ("config", "tables", "transport", "listeners", "seed", "wall", "shared")
"""The keyword arguments of `Router(…)`."""

SHORTEST: Final = 4
"""Letters from which on an unknown parameter is compared with the known ones: a shorter name is near to many."""
LONGEST: Final = 200
"""Letters of an unknown parameter that are looked at and remembered: no known one has a quarter of them."""


def check_keywords(given: Mapping[str, object]) -> None:
    """Refuse keywords that mean something to the router, or are probably a misspelt argument. Raises `TypeError`."""
    if not given.keys() <= KNOWN:
        for name in given:
            _check_keyword(name[-LONGEST:])


def check_constructor(given: Iterable[str]) -> None:
    """Refuse keywords that `Router(…)` does not have, and say where such a setting belongs. Raises `TypeError`."""
    for name in given:
        raise TypeError(f"Router(): {_not_of_the_router(name[-LONGEST:])}")


def check_params(params: Mapping[str, object], path: str) -> None:
    """Refuse parameters that the router writes itself, and credentials. Raises `TypeError`."""
    if not ROUTER_FIELDS.keys().isdisjoint(params):
        name = next(name for name in ROUTER_FIELDS if name in params)
        raise TypeError(f"{path}: {name!r} is set by the router; use {ROUTER_FIELDS[name]}")
    if not params.keys() <= KNOWN and (found := secret_in(params)):
        raise TypeError(f"{path}: {found!r} is a credential; use {_KEY_INSTEAD}")


def misspelt(params: Mapping[str, object]) -> list[str]:
    """A warning for each parameter that no provider is known to have, and that is one edit from a known one."""
    unknown = (name for name in params if name not in KNOWN and len(name) <= LONGEST)
    return [warning for name in unknown if (warning := _misspelt(name))]


# Remembered, because these are too slow to be done at every call.


@lru_cache(MAX_NAMES)
def _check_keyword(name: str) -> None:
    if name in USE_INSTEAD:
        raise TypeError(f"{name}= is not a parameter here; use {USE_INSTEAD[name]}")
    if name in KNOWN:
        return
    if is_secret_parameter(name):
        raise TypeError(f"{name}= is not a parameter here; use {_KEY_INSTEAD}")
    if ours := next((ours for ours in ARGUMENTS if _is_near(name, ours)), None):
        raise TypeError(f"{name}=: did you mean {ours}=? (params={{{name!r}: …}} sends it to the provider)")


def _not_of_the_router(name: str) -> str:
    if ours := next((ours for ours in OF_THE_ROUTER if _is_near(name, ours)), None):
        return f"{name}=: did you mean {ours}=?"
    if name in ARGUMENTS:
        return f"{name}= is an argument of chat(); for all calls: router.with_options({name}=…)"
    instead = _KEY_INSTEAD if is_secret_parameter(name) else USE_INSTEAD.get(name, f"one of {', '.join(OF_THE_ROUTER)}")
    of_a_call = ", in chat() or with_options()" if instead.partition("=")[0] in ARGUMENTS else ""
    return f"{name}= is not a parameter here; use {instead}{of_a_call}"


@lru_cache(MAX_NAMES)
def _misspelt(name: str) -> str:
    if len(name) < SHORTEST or not (meant := sorted(known for known in KNOWN if _is_near(name, known))):
        return ""
    known = meant[0]
    return f"parameter {name!r}: no provider is known to have it; did you mean {known!r}? It is sent as it is"


def _is_near(name: str, known: str) -> bool:
    """Whether one is the other with one edit, or with other capitals and underscores."""
    return name != known and (one_edit_apart(name, known) or _bare(name) == _bare(known))


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
