"""Providers and models: where they are, what they take, what they cost. Pure data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import asyncrouter._config.checks as check
from asyncrouter._config.tables import build, put, read, strings
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

WireName = Literal["openai", "anthropic", "gemini"]
Key = str | Callable[[], str] | None

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_FROM_ENVIRONMENT = re.compile(r"env:[^\s=\0]+")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Price(ShortRepr, PickledByName):
    """US dollars per million tokens. `cached_input` is `input` where it is not given."""

    input: float
    output: float
    cached_input: float | None = None

    def __post_init__(self) -> None:
        check.amount("input", self.input, "US dollars")
        check.amount("output", self.output, "US dollars")
        if self.cached_input is not None:
            check.amount("cached_input", self.cached_input, "US dollars")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Provider(ShortRepr, PickledByName):
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

    def __post_init__(self) -> None:
        if self.name:
            provider_name("name", self.name)
        check.url("base_url", self.base_url)
        put(self, "base_url", self.base_url.rstrip("/"))
        check.one_of("wire", self.wire, "openai", "anthropic", "gemini")
        _key(self.key)
        put(self, "headers", strings("headers", self.headers, headers=True))
        put(self, "query", strings("query", self.query))
        if self.proxy is not None:
            check.url("proxy", self.proxy, secrets=True)
        if self.ca is not None:
            check.text("ca", self.ca)


def provider_name(path: str, name: object) -> None:
    """Check a provider's name: it stands before the colon of `provider:id`, so it has neither colon nor slash."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise check.expected("a name of letters, digits, dots, dashes and underscores", name, path)


def _key(key: object) -> None:
    if key is None or callable(key) or (isinstance(key, str) and _FROM_ENVIRONMENT.fullmatch(key)):
        return
    raise check.withheld('"env:NAME", the name of an environment variable, or in Python a function; never a key', "key")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Model(ShortRepr, PickledByName):
    """A provider's model.

    `name` is what it is called here, `id` what the provider calls it. `context` and `max_output` are tokens, `None`
    when unknown; `max_output` is sent as `max_tokens` where the wire demands one and the caller gave none. `drop` names
    parameters this model does not take. `max_concurrent`, `rpm` and `tpm` are limits to keep, `None` for none.
    `retired` is the day its vendor switched it off, `successor` the id of what replaced it.
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
    retired: date | None = None
    successor: str | None = None

    def __post_init__(self) -> None:
        check.text("provider", self.provider)
        check.text("id", self.id)
        if self.name != "":
            check.text("name", self.name)
        for name in ("context", "max_output", "max_concurrent"):
            if getattr(self, name) is not None:
                check.count(name, getattr(self, name))
        if not isinstance(self.usd_per_mtok, Price | None):
            raise check.expected("a table like { input = 0.1, output = 0.2 }", self.usd_per_mtok, "usd_per_mtok")
        if isinstance(self.drop, str) or not isinstance(self.drop, list | tuple):
            raise check.expected("a list of parameter names", self.drop, "drop")
        for index, name in enumerate(self.drop):
            check.text(f"drop[{index}]", name)
        put(self, "drop", tuple(self.drop))
        check.limit("rpm", self.rpm)
        check.limit("tpm", self.tpm)
        if self.successor is not None:
            check.text("successor", self.successor)
        if not isinstance(self.retired, date | None):
            raise check.expected("a date", self.retired, "retired")


def model_from(given: object) -> Model:
    """A model from its table. Raises `ConfigError`."""
    values = read(Model, given)
    price = values.get("usd_per_mtok")
    if not isinstance(price, Price | None):
        with check.at("usd_per_mtok"):
            values["usd_per_mtok"] = build(Price, read(Price, price))
    return build(Model, values)
