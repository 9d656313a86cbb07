"""Step, Chain and Config: the configuration of a router, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from asyncrouter._config import checks as check
from asyncrouter._config.budget import Budget
from asyncrouter._config.catalog import Model, Provider, provider_name
from asyncrouter._config.names import find_model, find_provider
from asyncrouter._config.places import Names, Places, find_places
from asyncrouter._config.pool import Pool
from asyncrouter._config.secret_names import without_secrets
from asyncrouter._config.settings import (
    NOT_GIVEN,
    AutoClock,
    Defaults,
    Hedge,
    NotGiven,
    Retry,
    check_settings,
    merge_hedge,
    merge_retry,
)
from asyncrouter._config.tables import build, entries, parameters, read, set_frozen
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._repr import ShortRepr

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import UnionType

__all__ = ["NOT_GIVEN", "Chain", "Config", "Defaults", "Hedge", "NotGiven", "Retry", "Settings", "Step"]

Named = TypeVar("Named", Provider, Model | Pool)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings(ShortRepr, PickledByName):
    """The settings that a step, or a chain for all its steps, may give instead of the defaults.

    Each means what it means in `Defaults`, and those not given are taken from there. `retry` as a mapping changes only
    the fields it names, as a number its `attempts`. `params` are parameters for the provider,
    such as `{"temperature": 0.2}`.
    """

    connect: float | NotGiven | None = NOT_GIVEN
    first_token: float | AutoClock | NotGiven | None = NOT_GIVEN
    idle: float | AutoClock | NotGiven | None = NOT_GIVEN
    total: float | NotGiven | None = NOT_GIVEN
    retry: Retry | Mapping[str, object] | int | NotGiven = NOT_GIVEN
    on_refusal: Literal["raise", "next"] | NotGiven = NOT_GIVEN
    max_response_bytes: int | NotGiven = NOT_GIVEN
    wire_stream: bool | Literal["auto"] | NotGiven = NOT_GIVEN
    params: Mapping[str, object] = field(default_factory=dict)
    rescue: Literal["on", "off"] | NotGiven = NOT_GIVEN

    def __post_init__(self) -> None:
        check_settings(self)
        merge_retry(Retry(), self.retry)
        if isinstance(self.retry, Mapping):
            set_frozen(self, "retry", dict(self.retry))
        set_frozen(self, "params", parameters("params", self.params))

    def _shown(self, name: str, value: object) -> object:
        return without_secrets(value) if name == "params" else value


@dataclass(frozen=True, slots=True, repr=False)
class Step(Settings):
    """A model in a chain, with its own settings: `Step("model-b", total=20)`.

    - `model`: the name of a model or pool, a `Model` or a `Pool`.
    - `connect`, `first_token`, `idle`, `total`: timeouts of an attempt, in seconds; `None` means no limit.
    - `retry`: a `Retry`; a number, for its `attempts`; or a mapping that changes only the fields it names.
    - `on_refusal`, `max_response_bytes`, `wire_stream`, `rescue`: as in `Defaults`.
    - `params`: parameters for the provider. They take precedence over those of the task and of the call.

    What is not given is taken from the chain, and then from `Defaults`. Raises `ConfigError` for a value that cannot be
    used.
    """

    model: str | Model | Pool

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model | Pool):
            check.text("model", self.model)
        Settings.__post_init__(self)


@dataclass(frozen=True, slots=True, repr=False)
class Chain(Settings):
    """Models in the order in which they are tried, with settings for all of them.

    - `models`: at least one. Each is a name, a `Model`, a `Pool`, a `Step` or a mapping of `Step`'s fields. The same
      model may stand in it twice.
    - `hedge`: a `Hedge`, a mapping of its fields, a number or a quantile ("p95") for its `after`; `None` for none.
    - `deadline`: seconds for the whole call; `None` means no limit.
    - `on_context`: the name of a model or task that is asked next when the prompt is too long for a model.
    - `connect`, `first_token`, `idle`, `total`, `retry`, `on_refusal`, `max_response_bytes`, `wire_stream`, `rescue`:
      as in `Step`, for every step that does not give its own.
    - `params`: parameters for the provider, or by provider: `{"openai": {"service_tier": "flex"}}`. Those of the call,
      and those of a step, take precedence.

    What is not given is taken from `Defaults`. Raises `ConfigError` for a value that cannot be used.
    """

    models: Sequence[str | Model | Pool | Step]
    hedge: Hedge | Mapping[str, object] | float | str | NotGiven | None = field(default=NOT_GIVEN, kw_only=True)
    deadline: float | NotGiven | None = field(default=NOT_GIVEN, kw_only=True)
    on_context: str | NotGiven | None = field(default=NOT_GIVEN, kw_only=True)

    def __post_init__(self) -> None:
        set_frozen(self, "models", _steps(self.models))
        Settings.__post_init__(self)
        merge_hedge(_ANY_HEDGE, self.hedge)
        if isinstance(self.hedge, Mapping):
            set_frozen(self, "hedge", dict(self.hedge))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Config(ShortRepr, PickledByName):
    """The configuration of a router.

    ```python
    config = Config(
        models={"small": Model(provider="openai", id="gpt-6-luna", rpm=60)},
        tasks={"coding": Chain(["small", Step("anthropic:claude-sonnet-5", total=20.0)], hedge=1.5)},
        tiers={"budget": Chain(["small"])},
    )
    ```

    - `default_provider`: the provider of model names that are neither an entry of `models` nor `provider:id`. Default
      "openrouter".
    - `unknown_task`: what a call with a task that is not in `tasks` does: "default" uses the chain of the task
      `default`, with one warning; "error" raises `ConfigError`, as does a configuration without such a task. Not given:
      "default" in Python, "error" for a task that is typed on the command line or stands in a row of a file.
    - `providers`: by name. Well-known ones need no entry: openrouter, openai, anthropic, gemini, deepseek, groq,
      mistral, together, fireworks, xai, cerebras, ollama, vllm, lmstudio; and azure, bedrock and vertex, whose address
      is in the environment (AZURE_OPENAI_ENDPOINT; AWS_REGION; GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION).
    - `models`: by the name used in chains: `Model`s with settings of their own, and `Pool`s of several places.
    - `defaults`: settings of every step; see `Defaults`.
    - `tasks`: chains by name, for `chat(task=…)`.
    - `tiers`: chains by name, for `chat(tier=…)`, in order of price, the cheapest first.
    - `budget`: a `Budget`, what all calls may cost together. `None` (the default): no limit.

    `Router.from_toml` reads the same from a file. Raises `ConfigError` for what could not be carried out, such as an
    unknown name, an empty chain, or a time that is negative.
    """

    default_provider: str = "openrouter"
    unknown_task: Literal["default", "error"] | None = None
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model | Pool] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)
    tasks: Mapping[str, Chain] = field(default_factory=dict)
    tiers: Mapping[str, Chain] = field(default_factory=dict)
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if self.unknown_task is not None:
            check.one_of("unknown_task", self.unknown_task, "default", "error")
        if not isinstance(self.defaults, Defaults):
            raise check.expected("Defaults", self.defaults, "defaults")
        if not isinstance(self.budget, Budget | None):
            raise check.expected("a Budget or None", self.budget, "budget")
        with check.at("providers"):
            set_frozen(self, "providers", _named(self.providers, Provider, "a Provider", provider_name))
        with check.at("default_provider"):
            check.text("", self.default_provider)
            self.provider(self.default_provider)
        with check.at("models"):
            set_frozen(self, "models", _named(self.models, Model | Pool, "a Model or a Pool", check.text))
        for name, model in self.models.items():
            with check.at(f"models.{check.quoted(name)}"):
                if isinstance(model, Pool):
                    self.places(model)
                    continue
                with check.at("provider"):
                    self.provider(model.provider)
        set_frozen(self, "tasks", self._checked_chains("tasks", self.tasks))
        set_frozen(self, "tiers", self._checked_chains("tiers", self.tiers))
        with check.at("defaults"):
            self._check_on_context(self.defaults.on_context)
        for kind, chains in (("tasks", self.tasks), ("tiers", self.tiers)):
            for name, chain in chains.items():
                with check.at(f"{kind}.{check.quoted(name)}"):
                    self._check_on_context(chain.on_context)

    def provider(self, name: str) -> Provider:
        """The provider of this name: its entry, or a well-known one. Raises `ConfigError`."""
        return find_provider(name, self.providers)

    def model(self, name: str | Model | Pool) -> Model:
        """The model of this name: its entry, `provider:id`, or an id of the default provider. Raises `ConfigError`.

        A `Model` is returned as it is, with its id for a name if it has none. A pool is shown as one model, at the
        place of its first member, with the smallest context window and the highest price of all: see `members()`.
        """
        if isinstance(self.models.get(name) if isinstance(name, str) else name, Pool):
            places = self.places(name)
            assert places is not None
            return places.model
        assert not isinstance(name, Pool)
        if isinstance(name, Model):
            with check.at("provider"):
                self.provider(name.provider)
            return name if name.name else replace(name, name=name.id)
        return find_model(name, models=self.models, providers=self.providers, default=self.default_provider)

    def members(self, name: str | Model | Pool) -> tuple[Model, ...]:
        """The models behind a name: the members of a pool, a model once for each key of its provider, or one model.

        The provider of a member is named with its key (`openai[OPENAI_KEY_B]`) where it has several. Raises
        `ConfigError`.
        """
        places = self.places(name)
        return (self.model(name),) if places is None else tuple(place.model for place in places.members)

    def places(self, name: str | Model | Pool) -> Places | None:
        """The members of a pool, with provider and weight; `None` for a model in one place. Raises `ConfigError`."""
        return find_places(name, Names(self.models, self.providers, self.default_provider))

    def _checked_chains(self, path: str, given: Mapping[str, Chain]) -> dict[str, Chain]:
        with check.at(path):
            chains = entries(given)
            for name, chain in chains.items():
                check.text("", name)
                with check.at(check.quoted(name)):
                    if not isinstance(chain, Chain):
                        raise check.expected("a Chain", chain)
                    self._check_chain(chain)
        return dict(given)

    def _check_on_context(self, name: str | NotGiven | None) -> None:
        if isinstance(name, str) and name not in self.tasks:
            with check.at("on_context"):
                self.model(name)

    def _check_chain(self, chain: Chain) -> None:
        merge_hedge(self.defaults.hedge, chain.hedge)
        for index, entry in enumerate(chain.models):
            where, model = ("model", entry.model) if isinstance(entry, Step) else ("", entry)
            with check.at(check.join(f"models[{index}]", where)):
                self.model(model)


Config.__init__ = check.without_locals(Config.__init__)  # type: ignore[method-assign]  # as of `Provider`


_ANY_HEDGE = Hedge(after="p95")
"""The base that a chain's partial hedge is merged over to check it, as long as the defaults are not known."""


def _steps(given: object) -> tuple[str | Model | Pool | Step, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray) or not given:
        raise check.expected("a list of at least one model", given, "models")
    return tuple(_step(f"models[{index}]", entry) for index, entry in enumerate(given))


def _step(path: str, entry: object) -> str | Model | Pool | Step:
    if isinstance(entry, Model | Pool | Step):
        return entry
    with check.at(path):
        if isinstance(entry, Mapping):
            return build(Step, read(Step, entry))
        if not isinstance(entry, str) or not entry.strip():
            raise check.expected("a model's name or a table with `model`", entry)
    return entry


def _named(
    given: object, cls: type[Named] | UnionType, what: str, rule: Callable[[str, object], None]
) -> dict[str, Named]:
    named: dict[str, Named] = {}
    for name, thing in entries(given, secret=True).items():
        rule("", name)
        with check.at(check.quoted(name)):
            if not isinstance(thing, cls):
                raise check.withheld(what)
            if thing.name not in {"", name} and not (isinstance(thing, Pool) and thing.is_unnamed):
                raise check.expected(f"{name!r}, as its key, or nothing", thing.name, "name")
            named[name] = replace(thing, name=name)
    return named
