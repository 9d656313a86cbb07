"""Providers that need no entry in a configuration: of the catalogue, or with an address in the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.catalog import Provider
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Located(NamedTuple):
    """A provider that every account has an address of its own at.

    `base_url` has a place for the value of each variable; a variable may have other names. `examples` has a value of
    each variable.
    """

    base_url: str
    variables: tuple[tuple[str, ...], ...]
    key: str
    examples: tuple[str, ...]


LOCATED: Final[Mapping[str, Located]] = {
    "azure": Located(
        "{0}/openai/v1", (("AZURE_OPENAI_ENDPOINT",),), "env:AZURE_OPENAI_API_KEY",
        ("https://RESOURCE.openai.azure.com",),
    ),
    "bedrock": Located(
        "https://bedrock-runtime.{0}.amazonaws.com/openai/v1", (("AWS_REGION", "AWS_DEFAULT_REGION"),),
        "env:AWS_BEARER_TOKEN_BEDROCK", ("us-west-2",),
    ),
    "vertex": Located(
        "https://{1}-aiplatform.googleapis.com/v1/projects/{0}/locations/{1}/endpoints/openapi",
        (("GOOGLE_CLOUD_PROJECT",), ("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION")), "env:VERTEX_ACCESS_TOKEN",
        ("my-project", "us-central1"),
    ),
}
"""By name. Their OpenAI-style APIs: Azure's v1, Bedrock's with API keys, Vertex AI's with an access token."""
_AZURE_PATH: Final = "/openai/v1"


def known_names() -> list[str]:
    """The names of all providers that need no entry."""
    return [*catalog().providers, *LOCATED]


def known_provider(name: str) -> Provider | None:
    """The provider of this name, if it needs no entry. Raises `ConfigError` if the environment lacks its address."""
    if (found := catalog().providers.get(name)) is not None:
        return found
    if (located := LOCATED.get(name)) is None:
        return None
    values = [_value(name, *wanted) for wanted in zip(located.variables, located.examples, strict=True)]
    if name == "azure":
        values = [values[0].rstrip("/").removesuffix(_AZURE_PATH)]
    return Provider(name=name, base_url=located.base_url.format(*values), key=located.key)


def has_its_key(name: str) -> bool:
    """Whether a provider that needs no entry could be asked: its key is set, or it wants none."""
    key = LOCATED[name].key if name in LOCATED else catalog().providers[name].key
    return not isinstance(key, str) or bool(os.environ.get(key.removeprefix("env:"), "").strip())


def _value(provider: str, names: tuple[str, ...], example: str) -> str:
    for name in names:
        if value := os.environ.get(name, "").strip():
            return value
    raise ConfigError(f"provider {provider} needs {names[0]} in the environment, such as {example}", value=provider)
