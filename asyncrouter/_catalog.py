"""Providers and models: where they are, what they take, what they cost. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

WireName = Literal["openai", "anthropic", "gemini"]
Key = str | Callable[[], str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens. `cached_input` is `input` where it is not given."""

    input: float
    output: float
    cached_input: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who serves models: an address, a key, a wire format.

    `key` is "env:NAME", a function that returns the key (asked again after a 401), or `None` for no auth header;
    never the key itself. `query` is added to every URL; `proxy` is a URL, `ca` the path of a bundle of certificates.
    """

    name: str = ""
    base_url: str
    wire: WireName = "openai"
    key: Key = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A provider's model.

    `name` is what it is called here, `id` what the provider calls it. `context` and `max_output` are tokens, `None` when
    unknown; `max_output` is sent as `max_tokens` where the wire demands one and the caller gave none. `drop` names
    parameters this model does not take. `max_concurrent`, `rpm` and `tpm` are limits to keep, `None` for none.
    `successor` names what replaced a retired model.
    """

    provider: str
    id: str
    name: str = ""
    context: int | None = None
    max_output: int | None = None
    usd_per_mtok: Price | None = None
    drop: tuple[str, ...] = ()
    max_concurrent: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    successor: str | None = None
