"""Every recipe runs as it stands, and does what its text says."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import asyncrouter
from asyncrouter import Config, Router, recipes
from asyncrouter.sim import Act, Clock, World
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT = inspect.getdoc(recipes) or ""
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
HERE = {name: getattr(asyncrouter, name) for name in asyncrouter.__all__}


def block(containing: str) -> str:
    """The one recipe with this text in it."""
    [found] = [each for each in BLOCKS if containing in each]
    return found


async def run(code: str) -> dict[str, Any]:
    """Run a recipe, with `await` where it stands; its names."""
    names = dict(HERE)
    compiled = compile(code, "recipe", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if inspect.iscoroutine(running := eval(compiled, names)):
        await running
    return names


@pytest.fixture
def anywhere(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world instead of the network, at every address."""
    monkeypatch.setattr("asyncrouter._engine.lifecycle.AiohttpTransport", world.transport)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    return world


def test_every_recipe_is_tested_here() -> None:
    """There are as many blocks as tests know of."""
    assert len(BLOCKS) == 7


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────

WEATHER = {"name": "weather", "arguments": '{"city": "Paris"}'}


def test_a_tool_loop(clock: Clock, anywhere: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The function is called with the model's arguments, and its result goes back."""
    anywhere.model("anthropic/claude-haiku-5.5", Act(text="", tool_calls=[WEATHER]), Act(text="Clear."))

    async def main() -> None:
        await (await run(block("answer_with_tools")))["main"]()

    clock.run(main())
    assert capsys.readouterr().out == "Clear.\n"
    last: Any = anywhere.seen[-1].body["messages"]
    assert json.loads(last[-1]["content"]) == {"city": "Paris", "sky": "clear", "celsius": 21}


@pytest.mark.parametrize(("call", "says"), [
    ({"name": "nope", "arguments": "{}"}, "KeyError: 'nope'"),
    ({"name": "weather", "arguments": '{"town": "Paris"}'}, "TypeError: "),
])
def test_a_tool_call_that_is_wrong(clock: Clock, anywhere: World, call: Mapping[str, str], says: str) -> None:
    """The model reads why, and may try again."""
    anywhere.model("m", Act(text="", tool_calls=[call]), Act(text="Clear."))

    async def main() -> list[Any]:
        names, history = await run(block("answer_with_tools")), [{"role": "user", "content": "?"}]
        config = {"tasks": {"default": {"models": ["sim:m"]}}}
        async with Router(anywhere.config(**config), transport=anywhere.transport()) as router:
            await names["answer_with_tools"](router, history, {"weather": names["weather"]}, names["TOOLS"])
        return history

    history = clock.run(main())
    assert history[2]["content"].startswith(says)
    assert history[-1]["content"] == "Clear."


def test_tool_calls_without_end(clock: Clock, anywhere: World) -> None:
    """They stop after as many rounds as were given."""
    anywhere.model("m", Act(text="", tool_calls=[WEATHER]))

    async def main() -> None:
        names = await run(block("answer_with_tools"))
        config = {"tasks": {"default": {"models": ["sim:m"]}}}
        async with Router(anywhere.config(**config), transport=anywhere.transport()) as router:
            await names["answer_with_tools"](
                router, [{"role": "user", "content": "?"}], {"weather": names["weather"]}, names["TOOLS"], rounds=3
            )

    with pytest.raises(RuntimeError, match="no answer within 3 rounds of tool calls"):
        clock.run(main())
    assert anywhere.requests == 3


# ── the service ──────────────────────────────────────────────────────────────────────────────────────────────────────

FAST = ("anthropic/claude-haiku-5.5", "openai/gpt-6-luna", "meta-llama/llama-3.1-8b-instruct")
INVOICE = '{"number": "A-1", "total": 12.5}'


async def post(app: Any, body: object, *, leaves_after: float | None = None) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of one request, whose client may leave before the answer."""
    sent: list[dict[str, Any]] = []
    asked = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await asyncio.sleep(3600 if leaves_after is None else leaves_after)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/invoice",
        "raw_path": b"/invoice", "query_string": b"", "root_path": "", "scheme": "http", "app": app,
        "headers": [(b"content-type", b"application/json")], "client": ("c", 1), "server": ("s", 80),
    }
    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, json.loads(content)


def served(clock: Clock, *, body: object = None, leaves_after: float | None = None) -> tuple[int, dict[str, str], Any]:
    async def main() -> tuple[int, dict[str, str], Any]:
        app = (await run(block("FastAPI(")))["app"]
        async with app.router.lifespan_context(app):
            return await post(app, body or {"text": "Dear …"}, leaves_after=leaves_after)

    return clock.run(main())


def test_a_service(clock: Clock, anywhere: World) -> None:
    """It answers with the value of the first answer that fits."""
    anywhere.model(FAST[0], Act(text='{"number": "A-1"}'))
    anywhere.model(FAST[1], Act(text=INVOICE))

    status, _, found = served(clock)
    assert (status, found) == (200, json.loads(INVOICE))


FAILURES = {
    "no answer fits": (Act(text="no"), 502, None), "servers fail": (Act(status=500), 502, None),
    "limits": (Act(why="rate_limit", retry_after=40), 429, "40"), "rejected": (Act(status=400), 400, None),
    "silent": (Act(fault="hang"), 504, None), "refused": (Act(why="policy"), 422, None),
}


@pytest.mark.parametrize(("act", "status", "wait"), FAILURES.values(), ids=FAILURES)
def test_a_service_whose_models_fail(clock: Clock, anywhere: World, act: Act, status: int, wait: str | None) -> None:
    """The status says what the client can do, within the deadline; a provider's words stay inside."""
    for name in FAST:
        anywhere.model(name, act)
    found, headers, body = served(clock)

    assert (found, headers.get("retry-after")) == (status, wait)
    assert body["detail"] in {"AllModelsFailed", "DeadlineExceeded", "the provider refuses this text"}
    assert clock.now <= 20.5


def test_a_client_that_leaves(clock: Clock, anywhere: World) -> None:
    """Its request to the provider is cancelled at once, and no other model is asked."""
    anywhere.model(FAST[0], Act(text=INVOICE, first_token=15))
    status, _, _ = served(clock, leaves_after=2.0)

    assert status == 499
    assert (anywhere.requests, anywhere.open) == (1, 0)
    assert anywhere.seen[0].gone
    assert anywhere.seen[0].ended == pytest.approx(2.0, abs=0.1)


def test_a_wrong_body(clock: Clock, anywhere: World) -> None:
    """It is FastAPI's own 422, and nothing is sent."""
    status, _, _ = served(clock, body={"txt": "x"})

    assert (status, anywhere.requests) == (422, 0)


# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def asked(world: World) -> list[tuple[str, str | None]]:
    """The address of each request, and its key."""
    return [(seen.url, seen.headers.get("authorization") or seen.headers.get("api-key")) for seen in world.seen]


def test_azure(clock: Clock, anywhere: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment is asked at the resource's v1 API, with its key."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    anywhere.model("my-deployment", Act(text="hi"))
    names = clock.run(run(block('model="azure:my-deployment"')))

    assert names["reply"].text == "hi"
    assert asked(anywhere) == [("https://mine.openai.azure.com/openai/v1/chat/completions", f"Bearer {KEY}")]


def test_azure_with_tokens(clock: Clock, anywhere: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two resources are one chain, each with the token; the second is asked when the first fails."""
    identity = ModuleType("azure.identity")
    identity.DefaultAzureCredential = lambda: "credential"  # type: ignore[attr-defined]
    identity.get_bearer_token_provider = lambda credential, scope: lambda: KEY  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "azure", ModuleType("azure"))
    monkeypatch.setitem(sys.modules, "azure.identity", identity)
    anywhere.model("my-deployment", Act(status=503), Act(status=503), Act(text="hi"))
    names = clock.run(run(block("azure.identity")))

    assert (names["reply"].model, names["reply"].cost_usd) == ("gpt-us", pytest.approx(2.5e-6))
    assert {key for _, key in asked(anywhere)} == {f"Bearer {KEY}"}
    assert [url.split("/")[2] for url, _ in asked(anywhere)][-1] == "us.openai.azure.com"


def test_bedrock(clock: Clock, anywhere: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region's endpoint is asked with Bedrock's API key."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    anywhere.model("openai.gpt-oss-20b-1:0", Act(text="hi"))
    names = clock.run(run(block("bedrock:")))

    assert names["reply"].text == "hi"
    [(url, key)] = asked(anywhere)
    assert url.startswith("https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1/")
    assert key == f"Bearer {KEY}"


def test_vertex(clock: Clock, anywhere: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's endpoint is asked with the token of the moment."""
    class Credentials:
        token = ""

        def refresh(self, request: object) -> None:
            self.token = KEY

    auth, requests = ModuleType("google.auth"), ModuleType("google.auth.transport.requests")
    auth.default = lambda scopes: (Credentials(), "my-project")  # type: ignore[attr-defined]
    requests.Request = object  # type: ignore[attr-defined]
    google = ModuleType("google")
    google.auth = auth  # type: ignore[attr-defined]
    for name, module in {"google": google, "google.auth": auth, "google.auth.transport": ModuleType("t"),
                         "google.auth.transport.requests": requests}.items():
        monkeypatch.setitem(sys.modules, name, module)
    anywhere.model("google/gemini-3-flash", Act(text="hi"))
    names = clock.run(run(block("google.auth")))

    assert names["reply"].text == "hi"
    assert asked(anywhere) == [(
        "https://us-central1-aiplatform.googleapis.com/v1/projects/my-project/locations/us-central1/endpoints/openapi"
        "/chat/completions", f"Bearer {KEY}")]


def test_local_servers(clock: Clock, anywhere: World) -> None:
    """Each is asked at its usual port without a key; one that is not there gives way."""
    for name in ("Qwen/Qwen3-8B", "qwen3-8b", "anthropic/claude-haiku-5.5"):
        anywhere.model(name, Act(text="hi"))
    anywhere.model("llama3.2", Act(text="hi"), Act(fault="refuse"))
    names = clock.run(run(block("ollama:")))

    assert names["reply"].model == "anthropic/claude-haiku-5.5"
    hosts = [(url.split("/")[2], key) for url, key in asked(anywhere)]
    assert hosts[:3] == [("127.0.0.1:11434", None), ("127.0.0.1:8000", None), ("127.0.0.1:1234", None)]


def test_the_file(clock: Clock, anywhere: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server elsewhere is a provider of its own."""
    [file] = re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    (tmp_path / "router.toml").write_text(file, encoding="utf-8")
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    anywhere.model("Qwen/Qwen3-8B", Act(text="hi"))

    async def main() -> tuple[str, float | None]:
        async with Router.from_toml(tmp_path / "router.toml") as router:
            assert isinstance(router.config, Config)
            reply = await router.chat("Say hello.")
            return reply.text, reply.cost_usd

    assert clock.run(main()) == ("hi", 0.0)
    assert asked(anywhere) == [("http://gpu.lan:8000/v1/chat/completions", f"Bearer {KEY}")]
