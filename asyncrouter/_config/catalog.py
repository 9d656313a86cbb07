"""Provider and Model: the address and key of a provider; the limits and price of a model."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Literal, get_args

from asyncrouter._config import checks as check
from asyncrouter._config.headers import name_fault
from asyncrouter._config.hosts import serves_both_apis, with_azure_path
from asyncrouter._config.price import Price, price_from
from asyncrouter._config.secret_names import is_key_like
from asyncrouter._config.tables import build, read, set_frozen, strings
from asyncrouter._errors import ConfigError
from asyncrouter._events import MAX_NAMES
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

WireName = Literal["auto", "openai", "responses", "anthropic", "gemini"]
BatchApi = Literal["auto", "openai", "anthropic", "gemini", "openrouter", "none"]
Key = str | Callable[[], str | Awaitable[str]] | None

_PATH_OF_A_CALL = re.compile(r"/(?:chat/completions|completions|responses|messages|embeddings|models(?:/[^/]+)?)/*$")
"""The end of an address that a wire adds itself; an address that is copied from a vendor's page often has it."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NAME_WITH_KEY = re.compile(rf"{_NAME.pattern}(?:\[[A-Za-z0-9_]+\])?")
"""The name of a provider, or that of one of its keys: `openai[OPENAI_KEY_B]`."""
_FROM_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Provider(ShortRepr, PickledByName):
    """A server that answers requests for models: its address, key and protocol.

    - `name`: its name in the configuration, which stands before the colon of `provider:id`. An entry of
      `Config.providers` takes its key as its name. Letters, digits, dots, dashes and underscores.
    - `base_url`: the http(s) URL that the paths of the protocol are added to, such as "https://api.openai.com/v1".
      The path of a call at its end (`/chat/completions`) is left out; the bare address of an Azure resource
      gets `/openai/v1`. Without user, password, query and fragment.
    - `wire`: its protocol: "openai" (Chat Completions), "responses" (OpenAI's Responses API), "anthropic" (Messages) or
      "gemini" (generateContent). "auto" (the default) is "openai", except at the hosts that serve the Responses API,
      too (OpenAI, Azure's v1 API, Bedrock, xAI): there it is used for the calls that need or prefer it.
    - `key`: "env:NAME" (the environment variable `NAME`), or a function that returns the key, within 10 s. It may be
      async; one that is not runs in a thread. It is called again after five minutes and after a 401; where it fails,
      its model is passed over. Never the key itself. `None` (the default): no authentication header is sent. A list:
      several keys, each with limits, holds and a breaker of its own; its models are pools of as many members.
    - `auth`: how the key is sent: "bearer" (`Authorization: Bearer …`) or the name of a header field ("api-key").
      `None` (the default): as the protocol has it.
    - `headers`, `query`: header fields and query parameters of every request.
    - `proxy`: the URL of an HTTP proxy; a user and password in it are allowed. `None` (the default): no proxy.
    - `ca`: the path of a PEM file with the certificates to trust, in a TOML file relative to its folder. `None` (the
      default): the system's.
    - `batch`: the form of its batch API, for `asyncrouter batch --via provider`: "openai" (also Azure's v1 API, Groq,
      and gateways), "anthropic", "gemini", "openrouter" or "none". "auto" (the default): by the address, for these
      four vendors themselves, else none.

    `repr()` shows no key, header, query or proxy. Raises `ConfigError` for a value that cannot be used.
    """

    name: str = ""
    base_url: str
    wire: WireName = "auto"
    key: Key | Sequence[Key] = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca: str | None = None
    auth: str | None = None
    batch: BatchApi = "auto"

    def __post_init__(self) -> None:
        if self.name and not _NAME_WITH_KEY.fullmatch(self.name):
            provider_name("name", self.name)
        check.url("base_url", self.base_url)
        set_frozen(self, "base_url", _PATH_OF_A_CALL.sub("", self.base_url.rstrip("/")))
        check.one_of("wire", self.wire, *get_args(WireName))
        if self.wire in ("auto", "openai", "responses"):
            set_frozen(self, "base_url", with_azure_path(self.base_url))
        if self.wire == "auto" and not serves_both_apis(self.base_url):
            set_frozen(self, "wire", "openai")
        set_frozen(self, "key", _keys(self.key))
        set_frozen(self, "headers", strings("headers", self.headers, headers=True))
        set_frozen(self, "query", strings("query", self.query))
        if self.proxy is not None:
            check.url("proxy", self.proxy, secrets=True)
        if self.ca is not None:
            check.text("ca", self.ca)
        if self.auth is not None and (not isinstance(self.auth, str) or name_fault(self.auth)):
            raise check.expected('"bearer" or the name of a header field', self.auth, "auth")
        check.one_of("batch", self.batch, *get_args(BatchApi))

    @property
    def keys(self) -> tuple[Key, ...]:
        """Its keys: one, unless several are given; `None` for a provider that wants none."""
        return self.key if isinstance(self.key, tuple) else (self.key,)

    def each_key(self) -> list[Provider]:
        """The provider once for each of its keys; with several they are named `openai[NAME]`, or by number."""
        if not isinstance(self.key, tuple):
            return [self]
        names = [
            key.removeprefix("env:") if isinstance(key, str) else str(number) for number, key in enumerate(self.key, 1)
        ]
        return [
            replace(self, name=f"{self.name}[{name}]", key=key)
            for name, key in zip(names, self.key, strict=True)
        ]


Provider.__init__ = check.without_locals(Provider.__init__)  # type: ignore[method-assign]  # its arguments hold secrets


def provider_name(path: str, name: object) -> None:
    """Check the name of a provider. It stands before the colon of `provider:id`, so it has no colon and no slash."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise check.expected("a name of letters, digits, dots, dashes and underscores", name, path)


@lru_cache(MAX_NAMES)
def base_name(provider: str) -> str:
    """The name of a provider in the configuration: `openai` for one of its keys, `openai[OPENAI_KEY_B]`."""
    return provider.partition("[")[0]


def _keys(given: object) -> Key | tuple[Key, ...]:
    """Check a key, or a list of several; one that stands alone in a list is that key."""
    if not isinstance(given, list | tuple):
        _key(given)
        return given  # type: ignore[return-value]  # checked
    if not given:
        raise check.expected("at least one key", given, "key")
    for index, key in enumerate(given):
        with check.at(f"key[{index}]"):
            if key is None:
                raise check.withheld('"env:NAME" or a function')
            _key(key, "")
            if any(key is other or key == other for other in given[:index]):
                raise ConfigError("the same key stands in the list twice")
    return tuple(given) if len(given) > 1 else given[0]


def _key(key: object, path: str = "key") -> None:
    if key is None or callable(key):
        return
    if isinstance(key, str) and (found := _FROM_ENVIRONMENT.fullmatch(key)) and not is_key_like(found[1]):
        return
    if hasattr(key, "__await__"):
        raise check.withheld("the function itself, not what calling it returned", path)
    raise check.withheld('"env:NAME", the name of an environment variable, or in Python a function; never a key', path)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Model(ShortRepr, PickledByName):
    """A model of a provider, with its limits and price.

    - `provider`: the name of the provider that serves it.
    - `id`: the provider's name for it, which is sent in requests.
    - `name`: its name in chains, replies and traces. An entry of `Config.models` takes its key as its name.
    - `context`: tokens that prompt and answer may have together. `None`: unknown.
    - `max_output`: tokens that an answer may have. Sent as `max_tokens` where the protocol demands one (Anthropic) and
      the caller gave none. `None`: unknown.
    - `usd_per_mtok`: its `Price`. `None`: unknown, and so is what its answers cost.
    - `drop`: names of parameters that this model does not accept; they are left out of its requests. Any but `model`
      and `messages`, also `stream_options`; without `stream` an answer is asked for in one piece, and comes as one.
    - `max_concurrent`, `rpm`, `tpm`: the most requests at once, requests a minute and tokens a minute that the router
      sends. `None` (the default): no limit, other than those the provider announces.
    - `retired`: the day on which its vendor switched it off. `None`: not retired, as far as is known.
    - `successor`: the id of the model that replaces a retired one.

    What a configuration leaves out is taken from the built-in catalogue, if that has the model. Raises `ConfigError`
    for a value that cannot be used.
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
        check.name("id", self.id)
        if self.name != "":
            check.name("name", self.name)
        for name in ("context", "max_output", "max_concurrent"):
            if getattr(self, name) is not None:
                check.count(name, getattr(self, name))
        if not isinstance(self.usd_per_mtok, Price | None):
            raise check.expected("a table like { input = 0.1, output = 0.2 }", self.usd_per_mtok, "usd_per_mtok")
        if isinstance(self.drop, str) or not isinstance(self.drop, list | tuple):
            raise check.expected("a list of parameter names", self.drop, "drop")
        for index, name in enumerate(self.drop):
            check.text(f"drop[{index}]", name)
        set_frozen(self, "drop", tuple(self.drop))
        check.limit("rpm", self.rpm)
        check.limit("tpm", self.tpm)
        if self.successor is not None:
            check.text("successor", self.successor)
        if not isinstance(self.retired, date | None):
            raise check.expected("a date", self.retired, "retired")


def model_from(given: object) -> Model:
    """Make a model from its table. Raises `ConfigError`."""
    values = read(Model, given)
    price = values.get("usd_per_mtok")
    if not isinstance(price, Price | None):
        with check.at("usd_per_mtok"):
            values["usd_per_mtok"] = price_from(price)
    return build(Model, values)
