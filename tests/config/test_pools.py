"""Pools in the configuration: members, keys, weights, names, and what cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Chain, Config, ConfigError, Model, Pool, PoolMember, Price, Provider
from asyncrouter._config.load import config_from_mapping, config_from_toml
from asyncrouter._config.plan import resolve

if TYPE_CHECKING:
    from pathlib import Path

HOSTS: dict[str, Any] = {name: {"base_url": f"http://{name}.test/v1"} for name in "abc"}
KEYED = {"base_url": "http://k.test/v1", "key": ["env:K_A", "env:K_B"]}


def config(**tables: Any) -> Config:
    """A configuration with the hosts a, b and c, and k, which has two keys."""
    return config_from_mapping({"default_provider": "a", "providers": {**HOSTS, "k": KEYED}, **tables})


def members(config: Config, name: str) -> list[str]:
    return [model.name for model in config.members(name)]


def test_a_pool_in_a_file(tmp_path: Path) -> None:
    """The table of a pool, with weights, an inner table and limits for each member."""
    path = tmp_path / "router.toml"
    path.write_text("""
        default_provider = "a"
        providers.a.base_url = "http://a.test/v1"
        providers.b.base_url = "http://b.test/v1"
        [models.gpt]
        any = ["a:x", { model = "b:y", weight = 2 }]
        pick = "weighted"
        rpm = 60
        [tasks]
        default = ["gpt", "a:other"]
    """)
    loaded = config_from_toml(path)

    assert loaded.models["gpt"] == Pool(["a:x", PoolMember("b:y", 2)], pick="weighted", name="gpt", rpm=60)
    [step, other] = resolve(loaded).steps
    assert step.pool is not None
    assert other.pool is None
    assert (step.name, step.pool.weights, [one.model.rpm for one in step.pool.members]) == ("gpt", (1.0, 2.0), [60, 60])


def test_members_are_named_as_written_and_by_key() -> None:
    """`provider:id`, an entry's name, and one member for each key of a provider; a function's by its number."""
    fetched = Provider(base_url="http://f.test/v1", key=(lambda: "one", lambda: "two"))
    made = Config(
        default_provider="a", providers={"a": Provider(base_url="http://a.test/v1"), "f": fetched,
                                         "k": Provider(base_url="http://k.test/v1", key=["env:K_A", "env:K_B"])},
        models={"entry": Model(provider="a", id="e"), "pool": Pool(["a:x", "entry", "k:x", "f:x"])},
    )

    assert members(made, "pool") == ["a:x", "entry", "k[K_A]:x", "k[K_B]:x", "f[1]:x", "f[2]:x"]
    assert members(made, "k:solo") == ["k[K_A]:solo", "k[K_B]:solo"]
    assert members(made, "a:solo") == ["a:solo"]


def test_a_pool_is_shown_as_one_model() -> None:
    """With the smallest window and the highest price; unknown where one is."""
    cheap, dear = Price(input=1, output=2), Price(input=2, output=2)
    entries = {
        "one": Model(provider="a", id="x", context=1000, usd_per_mtok=cheap),
        "two": Model(provider="b", id="x", context=2000, usd_per_mtok=dear), "three": Model(provider="c", id="x"),
    }
    made = Config(default_provider="a", providers={name: Provider(**fields) for name, fields in HOSTS.items()},
                  models={**entries, "pool": Pool(["one", "two"]), "all": Pool(["one", "two", "three"])})

    assert [(made.model(name).context, made.model(name).usd_per_mtok) for name in ("pool", "all")] == [
        (1000, dear), (None, None),
    ]


def test_what_a_pool_says_holds_for_members_that_do_not() -> None:
    """Limits, window, price and dropped parameters: the member's own entry comes first, then the pool's."""
    made = config(models={
        "own": {"provider": "a", "id": "x", "rpm": 5, "drop": ["seed"]},
        "pool": {"any": ["own", "b:x"], "rpm": 60, "max_concurrent": 3, "drop": ["top_p"],
                 "usd_per_mtok": {"input": 1, "output": 2}},
    })

    assert [(one.rpm, one.max_concurrent, one.drop, one.usd_per_mtok) for one in made.members("pool")] == [
        (5, 3, ("seed",), Price(input=1, output=2)), (60, 3, ("top_p",), Price(input=1, output=2)),
    ]


def test_a_pool_in_a_pool_stands_for_its_members() -> None:
    """With their weights: the inner pool's members share that of the inner pool."""
    made = config(models={
        "inner": {"any": [{"model": "a:x", "weight": 3}, {"model": "b:x", "weight": 1}], "pick": "weighted"},
        "outer": {"any": [{"model": "inner", "weight": 2}, "c:x", "k:x"], "pick": "weighted"},
    })
    places = made.places("outer")

    assert places is not None
    assert [(place.name, place.weight) for place in places.members] == [
        ("a:x", 1.5), ("b:x", 0.5), ("c:x", 1.0), ("k[K_A]:x", 0.5), ("k[K_B]:x", 0.5),
    ]


@pytest.mark.parametrize(("pool", "message"), [
    ({"any": []}, "models.p.any: expected a list of at least one model, got an empty list"),
    ({"any": "a:x"}, "models.p.any: expected a list of at least one model, got 'a:x'"),
    ({"pick": "first"}, "models.p.any: is required"),
    ({"any": [3]}, "models.p.any[0]: expected a model's name or a table with `model`, got 3"),
    ({"any": ["a:x", " "]}, "models.p.any[1]: expected a model's name or a table with `model`, got ' '"),
    ({"any": ["a:x", {"weight": 2}]}, "models.p.any[1].model: is required"),
    ({"any": ["a:x", "b:x", "a:x"]},
     "models.p.any: the same place stands in the pool twice: a:x and a:x; leave one out"),
    ({"any": ["k:x", "k:x"]},
     "models.p.any: the same place stands in the pool twice: k[K_A]:x and k[K_A]:x; leave one out"),
    ({"any": ["entry", "a:e"]}, "models.p.any: the same place stands in the pool twice: entry and a:e; leave one out"),
    ({"any": ["a:x"], "pick": "fastet"}, "models.p.pick: unknown rule 'fastet'; did you mean 'fastest'?"),
    ({"any": ["a:x"], "pick": "round-robin"},
     "models.p.pick: unknown rule 'round-robin'; known: least-busy, fastest, cheapest, weighted, first"),
    ({"any": ["a:x"], "pick": 3},
     "models.p.pick: expected 'least-busy' or 'fastest' or 'cheapest' or 'weighted' or 'first', or a function, got 3"),
    ({"any": [{"model": "a:x", "weight": 2}]},
     'models.p.any[0].weight: expected no weight without pick = "weighted", got 2'),
    *(({"any": ["b:x", {"model": "a:x", "weight": weight}], "pick": "weighted"}, f"models.p.any[1].weight: {what}")
      for weight, what in [
          (0, "expected a number above 0, got 0"), (-1, "expected a number above 0, got -1"),
          (float("nan"), "expected a number, got nan"), (float("inf"), "expected a finite number above 0, got inf"),
          ("2", "expected a number, got '2'"), (True, "expected a number, got True"),
          ("none", "expected a finite number above 0, got 'none'"),
      ]),
    ({"any": ["p"]}, "models.p.any[0]: a pool cannot stand in itself: p → p"),
    ({"any": ["q"]}, "models.p.any[0].any[0]: a pool cannot stand in itself: p → q → p"),
    ({"any": ["b:x", "opnai:gpt"]},
     "models.p.any[1]: unknown provider 'opnai'; did you mean 'openai'?"),
    ({"any": ["a:x"], "rpm": 0}, 'models.p.rpm: expected a number above 0 (no limit is None, "none" in a file), got 0'),
    ({"any": ["a:x"], "provider": "a"}, "models.p.provider: unknown key 'provider'; known: any, pick, name, context, "
     "max_output, usd_per_mtok, drop, max_concurrent, rpm, tpm"),
])  # fmt: skip
def test_pools_that_cannot_be_used(pool: dict[str, Any], message: str) -> None:
    """Each is an error at load that names the place, and the cure where there is one."""
    models = {"p": pool, "entry": {"provider": "a", "id": "e"}}
    if pool.get("any") == ["q"]:
        models["q"] = {"any": ["p"]}
    with pytest.raises(ConfigError) as raised:
        config(models=models)

    assert str(raised.value) == message


@pytest.mark.parametrize(("key", "message"), [
    ([], "key: expected at least one key, got an empty list"),
    (["env:A", "env:A"], "key[1]: the same key stands in the list twice"),
    (["env:A", None], 'key[1]: expected "env:NAME" or a function (the value is not shown: it may be secret)'),
    (["env:A", "sk-abcdefghijklmnop1234"],
     'key[1]: expected "env:NAME", the name of an environment variable, or in Python a function; never a key (the '
     "value is not shown: it may be secret)"),
])  # fmt: skip
def test_key_lists_that_cannot_be_used(key: list[str | None], message: str) -> None:
    """Each key of a list has the rules of a single one."""
    with pytest.raises(ConfigError) as raised:
        Provider(base_url="http://a.test/v1", key=key)

    assert str(raised.value) == message


def test_a_list_of_one_key_is_that_key() -> None:
    """No pool, and no other name."""
    provider = Provider(name="p", base_url="http://a.test/v1", key=["env:A"])

    assert (provider.key, provider.each_key()) == ("env:A", [provider])


class AsyncRule:
    """A rule of a pool whose call is a coroutine function."""

    async def __call__(self, members: object) -> None: ...


async def async_rule(members: object) -> None: ...


@pytest.mark.parametrize("pick", [async_rule, AsyncRule()])
def test_a_rule_is_a_plain_function(pick: Any) -> None:
    """A member is picked at once: an async function is refused when the pool is made, not at each call."""
    with pytest.raises(ConfigError, match=r"^pick: expected a plain function, for a member is picked at once, got <"):
        Pool(["a:x", "b:x"], pick=pick)


def test_two_pools_that_share_a_member_are_told_of() -> None:
    """What is known of a place is one, whatever pools it stands in; the plan says so."""
    made = config(models={"one": {"any": ["a:x", "b:x"]}, "two": {"any": ["c:x", "b:x"]}}, tasks={"default": ["one"]})
    note = ("one", "b:x is in the pools one and two: its limits, holds and health are one")

    assert resolve(made).notes == (note,)
    assert resolve(made, model="two").notes == (note,)


def test_a_pool_within_a_tier_is_judged_by_its_dearest_member() -> None:
    """A task's pool is within a tier if the dearest of its members costs no more than the tier's dearest."""
    prices = {"cheap": 1, "mid": 4, "dear": 9}
    entries: dict[str, Any] = {
        name: {"provider": "a", "id": name, "usd_per_mtok": {"input": price, "output": 0}}
        for name, price in prices.items()
    }
    made = config(
        models={**entries, "low": {"any": ["cheap", "mid"]}, "high": {"any": ["cheap", "dear"]}},
        tasks={"coding": ["high", "low"]}, tiers={"standard": ["mid"]},
    )

    assert [step.name for step in resolve(made, task="coding", tier="standard").steps] == ["low"]


def test_a_pool_may_be_given_with_a_call() -> None:
    """In a chain, a step, or as the model; without a name it is called by its members'."""
    made = config()
    pool = Pool(["a:x", Model(provider="b", id="y")])

    assert [step.name for step in resolve(made, chain=Chain([pool, "a:z"])).steps] == ["a:x | y", "a:z"]
    assert [step.name for step in resolve(made, model=Pool(["a:x"], name="mine")).steps] == ["mine"]


@pytest.mark.parametrize("auth", ["", "two words", "naïve", 3, "a:b"])
def test_an_auth_that_is_no_header(auth: object) -> None:
    """`auth` is "bearer" or the name of a header field."""
    with pytest.raises(ConfigError, match='auth: expected "bearer" or the name of a header field'):
        Provider(base_url="http://a.test/v1", auth=auth)  # type: ignore[arg-type]
