"""The status page: what it shows, what it does not, who gets it, and how it looks in a real browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Attempt, AttemptEnded, CallEnded, CallStarted, Trace
from asyncrouter._explain import Members, ModelHealth
from asyncrouter.openai_api import ClientKey, KeyRing
from asyncrouter.serve import Loaded, Recent, ServeOptions, Server, StatusPage
from asyncrouter.serve._recent import MAX_NAMES, OTHER
from asyncrouter.serve._status_page import _state, dollars, duration
from asyncrouter.sim import Act
from tests.helpers.api_requests import chat_body
from tests.helpers.browser import DARK, browse, corner
from tests.helpers.loopback import run
from tests.helpers.planted import KEY, ROTATED
from tests.helpers.routers import router_of
from tests.helpers.served import request, status_of, talk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from asyncrouter.sim import World

PROMPT_MARK = "my private prompt"
PAGE = request(method="GET", path="/status", key=None)


@asynccontextmanager
async def serving(world: World, keys: Sequence[ClientKey] = (), **tables: object) -> AsyncIterator[Server]:
    """A server with the page, over these models."""
    recent = Recent(lambda: 0.0)
    load = lambda: Loaded(router_of(world, recent, **tables), KeyRing(keys))  # noqa: E731
    pages = {"/status": StatusPage(recent).answer}
    async with Server(load, ServeOptions(port=0, drain=0.2), pages=pages) as server:
        yield server


def basic(key: str) -> str:
    """The header field with which a browser sends a password."""
    return f"Authorization: Basic {base64.b64encode(f'anybody:{key}'.encode()).decode()}"


def rows(page: bytes) -> dict[str, list[str]]:
    """The texts in each row of the page's tables, by the text of the first."""
    found = {}
    for row in re.findall(r"<tr>(<th scope=\"row\".*?)</tr>", page.decode(), re.DOTALL):
        first, *rest = [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.split(r"</t[hd]>", row)[:-1]]
        found[first] = rest
    return found


def test_it_shows_models_and_what_calls_cost(world: World) -> None:
    """Each model of a chain with its state, its requests and their cost, then the chains in their order."""
    world.model("a", Act(status=500))
    world.model("b", Act(text="one", cost=0.25))

    async def scenario() -> None:
        tables = {"tasks": {"t": {"models": ["a", "b"], "hedge": {"after": 1.5}, "deadline": 9.0}}}
        async with serving(world, **tables) as server:
            for _ in range(2):
                await talk(server, request(chat_body("task:t"), key=None))
            page = await talk(server, PAGE)

        found = rows(page)
        assert list(found) == ["a sim", "b sim", "task:t"]
        assert found["a sim"][3:] == ["4 0 answered, 4 failed", "ServerFailed 500 0 s ago", "– $0.00 in all"]
        assert found["b sim"][:2] == ["ready", "0"]
        assert re.fullmatch(r"– mean answer 0\.\d\d s", found["b sim"][2])
        assert found["b sim"][3:] == ["2 2 answered, 0 failed", "–", "$0.25 $0.50 in all"]
        assert found["task:t"] == ["a → b", "9 s", "after 1.5 s"]
        assert b"<dt>answered</dt><dd>100.0%</dd>" in page

    run(scenario())


def test_a_pool_stands_above_its_members(world: World) -> None:
    """Each member has its own state and its own requests; the pool has all of them."""
    world.model("a", Act(status=500))
    world.model("b", Act(text="one", cost=0.25))
    pool = {"any": ["sim:a", "sim:b"], "pick": "first"}

    async def scenario() -> None:
        async with serving(world, models={"pool": pool}, tasks={"t": ["pool"]}) as server:
            await talk(server, request(chat_body("pool"), key=None))
            page = await talk(server, PAGE)

        found = rows(page)
        assert list(found) == ["pool sim", "sim:a sim", "sim:b sim", "task:t"]
        assert [found[name][3] for name in list(found)[:3]] == [
            "2 1 answered, 1 failed", "1 0 answered, 1 failed", "1 1 answered, 0 failed"
        ]

    run(scenario())


def test_nothing_of_a_prompt_a_key_or_a_providers_words_is_on_it(world: World) -> None:
    """Neither from a request, nor from an error that quotes it, also while that error holds the model back."""
    world.model("m", Act(why="rate_limit", retry_after=500, message=f"slow down with {PROMPT_MARK} and {KEY}"))

    async def scenario() -> None:
        async with serving(world, [ClientKey("team", KEY)], tasks={"t": ["m"]}) as server:
            messages = [{"role": "user", "content": PROMPT_MARK}]
            soon = ["Connection: close", "X-Asyncrouter-Deadline: 0.1"]
            answer = await talk(server, request(chat_body("m", messages=messages), headers=soon))
            page = await talk(server, request(method="GET", path="/status"))

        assert PROMPT_MARK.encode() in answer
        assert re.fullmatch(r"held for \d+\.\d\d s more", rows(page)["m sim"][0])
        assert not any(word in page for word in (PROMPT_MARK.encode(), KEY.encode(), b"slow down", b"team"))

    run(scenario())


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\"onload='x'", "x\u202ey\x1b[31m", "n" * 3000])
def test_every_name_is_text(world: World, name: str) -> None:
    """A model may be named by a client: it is escaped, visible, and of bounded length."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world) as server:
            await talk(server, request(chat_body(name), key=None))
            page = (await talk(server, PAGE)).partition(b"\r\n\r\n")[2].decode()

        assert "<h2>Models</h2>" in page
        assert not any(part in page for part in ("<script", '"onload', "\u202e", "\x1b", "n" * 201))

    run(scenario())


def test_it_loads_and_runs_nothing(world: World) -> None:
    """The policy allows its own style sheet and nothing else; no element names another resource."""

    async def scenario() -> None:
        async with serving(world) as server:
            head, _, page = (await talk(server, PAGE)).partition(b"\r\n\r\n")

        style = page.partition(b"<style>")[2].partition(b"</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
        nothing = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        policy = f"content-security-policy: default-src 'none'; style-src 'sha256-{digest}'; {nothing}"
        assert {policy, "cache-control: no-store"} <= set(head.decode().split("\r\n"))
        assert re.findall(rb"<script|<link|<img|<form|\bsrc=|\bhref=|\bstyle=|\bon\w+=|url\(|@import", page) == []

    run(scenario())


@pytest.mark.parametrize(("header", "status"), [
    (None, 401), (basic(KEY), 200), (f"Authorization: Bearer {KEY}", 200), (basic("wrong"), 401), (basic(ROTATED), 403),
    (f"Authorization: Basic {KEY}", 401), ("Authorization: Basic é", 401), ("Authorization: Basic", 401),
])  # fmt: skip
def test_a_key_opens_it(world: World, header: str | None, status: int) -> None:
    """As the password that a browser asks for, or as for the API; one that is limited to some models does not."""
    keys = [ClientKey("a", KEY), ClientKey("b", ROTATED, models=["m"])]

    async def scenario() -> None:
        headers = ["Connection: close", *([] if header is None else [header])]
        async with serving(world, keys) as server:
            answer = await talk(server, request(method="GET", path="/status", key=None, headers=headers))

        assert status_of(answer) == status
        assert (b'www-authenticate: Basic realm="asyncrouter"'.lower() in answer.lower()) == (status == 401)

    run(scenario())


def test_a_password_opens_nothing_else(world: World) -> None:
    """A browser sends it by itself, whichever page asks: so no call can be made with it."""
    world.model("m", Act(text="one"))

    async def scenario() -> None:
        async with serving(world, [ClientKey("a", KEY)]) as server:
            headers = ["Connection: close", basic(KEY)]
            answer = await talk(server, request(chat_body(), key=None, headers=headers))

        assert (status_of(answer), len(world.seen)) == (401, 0)

    run(scenario())


@pytest.mark.parametrize("path", ["/status/", "/Status", "/status/../status", "/status%00", "//status"])
def test_only_its_exact_path(world: World, path: str) -> None:
    """Anything else is no such page."""

    async def scenario() -> None:
        async with serving(world) as server:
            answer = await talk(server, request(method="GET", path=path, key=None))

        assert status_of(answer) == 404

    run(scenario())


@pytest.mark.parametrize(("standing", "shown"), [
    ("ready", "ready"), ("held for 20.00 s more: hello world", "held for 20.00 s more"),
    ("p: breaker open for 3.00 s more: a: b", "p: breaker open for 3.00 s more"),
    ("breaker half-open, a probe is under way: more: x", "breaker half-open, a probe is under way"),
    ("SOME_KEY is not set", "SOME_KEY is not set"), ("something new: hello", "something new"),
])
def test_a_standing_without_a_providers_words(standing: str, shown: str) -> None:
    """What follows the first colon of ours is left out; of a pool the members say why."""
    members = Members([ModelHealth("a:m", "a", standing)])
    pool = ModelHealth("m", "p", f"a:m: {standing}; b:m: {standing}", members=members)

    assert re.sub("<[^>]+>", "", _state(pool)) == "no member is ready"
    assert re.sub("<[^>]+>", "", _state(ModelHealth("m", "p", standing))) == shown


def ended(recent: Recent, model: str, outcome: str, usd: float | None, error: Exception | None = None) -> None:
    """Let a call of one attempt begin and end."""
    attempt = Attempt(1, model, "p", "first", outcome, sent=0.0, ended=1.0, cost_usd=usd)  # type: ignore[arg-type]
    trace = Trace(None, 0.0, [attempt])
    for event in (CallStarted(trace), AttemptEnded(trace, attempt), CallEnded(trace, error)):
        recent(event)


def test_an_hour_is_counted() -> None:
    """What ended more than an hour ago is forgotten; a call whose client left was neither answered nor failed."""
    now = [0.0]
    recent = Recent(lambda: now[0])
    ended(recent, "a", "won", 0.5)
    now[0] = 1800.0
    ended(recent, "a", "won", None)
    ended(recent, "a", "failed", 0.0, ValueError())
    ended(recent, "b", "cancelled", 0.25, asyncio.CancelledError())
    counts = []
    for now[0] in (1800.0, 3599.0, 3600.0, 5399.0, 5400.0):
        calls = recent.calls()
        counts.append((calls.ended, calls.answered, calls.failed, calls.unknown, calls.usd))

    assert counts == [(4, 2, 1, 1, 0.75)] * 2 + [(3, 1, 1, 1, 0.25)] * 2 + [(0, 0, 0, 0, 0.0)]
    assert (recent.in_flight, recent.models()) == (0, {})


def test_names_are_bounded() -> None:
    """A client that names ever new models costs no more memory: those beyond are counted as one."""
    recent = Recent(lambda: 0.0)
    for number in range(MAX_NAMES + 20):
        ended(recent, f"m{number}", "failed", 0.0)
    counts = recent.models()

    assert (len(counts), counts[OTHER].ended, len(recent.failures)) == (MAX_NAMES + 1, 20, MAX_NAMES)


@pytest.mark.parametrize(("usd", "shown"), [
    (0.0, "$0.00"), (0.00000123, "$0.0000012"), (0.0456, "$0.046"), (0.5, "$0.50"), (1234.567, "$1,234.57"),
    (1e-15, "$0.000000000"),
])
def test_dollars(usd: float, shown: str) -> None:
    """Cents, and two digits that count where an answer costs less."""
    assert dollars(usd) == shown


@pytest.mark.parametrize(("seconds", "shown"), [
    (0.9, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90000, "1 d 1 h")
])  # fmt: skip
def test_duration(seconds: float, shown: str) -> None:
    """In its two largest units."""
    assert duration(seconds) == shown


def test_a_browser_shows_it_in_light_and_dark(world: World, tmp_path: Path) -> None:
    """The policy lets the style sheet in, a name is text, and the colours follow the reader's (two browsers: 4 s)."""
    world.model("<b>m</b>", Act(text="one"))
    documents: list[str] = []

    async def scenario() -> None:
        async with serving(world, tasks={"t": ["<b>m</b>"]}) as server:
            url = f"{server.base_url.removesuffix('/v1')}/status"
            for name, options in (("light", ()), ("dark", DARK)):
                picture = f"--screenshot={tmp_path / name}.png"
                await asyncio.to_thread(browse, url, tmp_path / "profile", *options, "--window-size=800,600", picture)
            documents.append(await asyncio.to_thread(browse, url, tmp_path / "profile", "--dump-dom"))

    asyncio.run(scenario())
    colours = [corner(tmp_path / f"{name}.png") for name in ("light", "dark")]

    assert "&lt;b&gt;m&lt;/b&gt;" in documents[0]
    assert colours == [(255, 255, 255), (15, 20, 27)]
