"""What a configuration may do that nobody has named: a variable goes to its own provider, or stays on this machine.

A checkout of somebody else's may hold an asyncrouter.toml. Run in it, a command would send `OPENAI_API_KEY`, or any
other variable, to whatever address the file names. Naming the file with --config says that it is trusted.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asyncrouter import Config, ConfigError
from asyncrouter.cli._keys import key_variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from asyncrouter import Provider

BUILT_IN: Final = (
    "openrouter", "openai", "anthropic", "gemini", "deepseek", "groq", "mistral", "together", "fireworks",
)
"""Providers that every configuration knows, with their addresses and variables."""
OTHERS: Final[Mapping[str, str]] = {
    "XAI_API_KEY": "api.x.ai", "CEREBRAS_API_KEY": "api.cerebras.ai", "NVIDIA_API_KEY": "integrate.api.nvidia.com",
    "MOONSHOT_API_KEY": "api.moonshot.ai", "DASHSCOPE_API_KEY": "dashscope-intl.aliyuncs.com",
    "HF_TOKEN": "router.huggingface.co", "SAMBANOVA_API_KEY": "api.sambanova.ai", "COHERE_API_KEY": "api.cohere.ai",
    "PERPLEXITY_API_KEY": "api.perplexity.ai", "GOOGLE_API_KEY": "generativelanguage.googleapis.com",
}
"""The hosts of other well-known variables."""


def check_found(config: Config, path: Path) -> None:
    """Raise `ConfigError` if a found file would send a variable anywhere but to its own provider or to this machine."""
    known = _known_hosts()
    for name, provider in config.providers.items():
        for variable in key_variables(provider):
            if (problem := _problem(provider, variable, known)) is not None:
                why = "by a file that was found in the working directory; if you trust it, name it"
                raise ConfigError(f"{problem} {why}: --config {path}", f"providers.{name}")


def _problem(provider: Provider, variable: str, known: Mapping[str, str]) -> str | None:
    url = urlsplit(provider.base_url)
    host = url.hostname or ""
    for what in ("ca", "proxy"):
        if getattr(provider, what) is not None:  # whoever stands between could read the variable
            return f"{variable} is not sent with a {what} that is set"
    if _is_nobodys(host):
        return None
    own = known.get(variable)
    if own == host and url.scheme == "https" and url.port in {None, 443}:
        return None
    place = f"{url.scheme}://{url.netloc}"
    return f"{variable} is not sent to {place}" + (f", only to https://{own}," if own else "")


def _known_hosts() -> dict[str, str]:
    """The host that each well-known variable belongs to."""
    config, known = Config(), dict(OTHERS)
    for name in BUILT_IN:
        provider = config.provider(name)
        for variable in key_variables(provider):
            known[variable] = urlsplit(provider.base_url).hostname or ""
    return known


def _is_nobodys(host: str) -> bool:
    """Whether a host is this machine, or has a name that nobody can have (RFC 6761)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".invalid"))
