"""Random arguments, configurations, keys, headers and rows: nothing but the documented errors, nothing sent if refused.

`python -m tests.hostile.arguments` tries 100,000 of them, which takes about half an hour on one core; the suite tries
some hundreds. What fails is reduced to a small example by hypothesis.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncrouter import AllModelsFailed, ConfigError, NotSent, Request, Router, RouterError, batch
from asyncrouter._config.headers import name_fault, value_fault
from asyncrouter._transport.exchange import Destination
from asyncrouter._transport.url import parse_url
from asyncrouter.sim import Clock
from tests.helpers.canned import CannedTransport
from tests.helpers.planted import CALLERS, KEY, frames_of, shown, spelt, texts_of
from tests.hostile.values import calls, configurations, messages, names, rows, secrets, some_keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ANSWER = orjson.dumps({
    "id": "1", "object": "chat.completion", "model": "m", "created": 1,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
})  # fmt: skip
EXAMPLES = 100_000
"""Examples of the command, divided among the five kinds."""
KINDS = ("call", "configuration", "key", "headers", "rows")
CHOICES = {"task", "tier", "chain", "model"}
"""The arguments that say which models are asked."""
SECRET_FIELDS = {"key", "headers", "query", "proxy", "base_url"}
"""Fields of a provider whose values are quoted nowhere."""
KEY_VARIABLE = "FUZZED_KEY"

# ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────────────


class Wrong(AssertionError):
    """Something other than what is documented happened."""


def hides(elsewhere: object) -> bool:
    """Whether errors may be searched for secrets: none stands where none belongs, and where values are quoted."""
    return spelt(repr(elsewhere)) is None


def keys_of(fields: object) -> list[object]:
    """The names in mappings of header fields; their values are secret, everything else is not."""
    if not isinstance(fields, dict):
        return []
    return [*fields, *(name for inner in fields.values() if isinstance(inner, dict) for name in inner)]


def check_refusal(error: BaseException, requests: int, *, secrets: bool = True) -> None:
    """An error is a documented one, holds no planted secret, and nothing was sent before an argument was refused."""
    if isinstance(error, RouterError):
        refused = isinstance(error, ConfigError)
    elif type(error) in {TypeError, ValueError}:
        refused = True
    else:
        raise Wrong(f"raised {type(error).__name__}: {error!r:.200}") from error
    if refused and requests:
        raise Wrong(f"sent {requests} requests, then raised {error!r:.200}") from error
    if not secrets:
        return
    if spelt(texts_of(error)):
        raise Wrong(f"shows a secret: {error!r:.300}") from error
    for place, variables in frames_of(error):
        for name in variables.keys() & {"key", "headers", "sealed", "request", "provider", "url"}:
            if spelt("\n".join(shown(variables[name]))):
                raise Wrong(f"shows a secret in {name} of {place}") from error


def check_request(request: Request) -> tuple[int, str, bytes]:
    """What goes out can go out: its address, its header fields and its body. The answer."""
    url, body = request.url, orjson.loads(request.body)
    if not (url.isascii() and url.isprintable() and " " not in url and "/.." not in url and "#" not in url):
        raise Wrong(f"the address {url!r:.200}")
    for name, value in request.headers.items():
        if name_fault(name) or value_fault(value):
            raise Wrong(f"the header field {name!r}: {value!r:.80}")
    if not isinstance(body, dict):
        raise Wrong(f"the body {body!r:.200}")
    if body.get("model") == "broken":  # the first step of many chains, so that later ones are reached
        return 400, "application/json", b'{"error": {"message": "no"}}'
    return 200, "application/json", ANSWER


CONFIG: dict[str, Any] = {
    "default_provider": "sim", "defaults": {"wire_stream": False, "total": 9.0},
    "providers": {
        name: {
            "base_url": f"http://{name}.test/v1", "wire": wire, "key": f"env:{KEY_VARIABLE}",
            "headers": {"X-A": CALLERS},
        }
        for name, wire in
        (("sim", "openai"), ("anthropic", "anthropic"), ("gemini", "gemini"), ("responses", "responses"))
    },
    "models": {"a": {"provider": "sim", "id": "m"}, "x": {"provider": "sim", "id": "broken"}},
    "tasks": {"default": ["a"]},
}  # fmt: skip


def outcome_of(transport: CannedTransport, ask: Callable[[], Awaitable[object]], elsewhere: object = None) -> object:
    """What a call returned, in virtual time; `None` where it was refused or has failed, as is documented."""

    async def main() -> object:
        try:
            return await ask()
        except Wrong:
            raise
        except Exception as error:
            check_refusal(error, len(transport.seen), secrets=hides(elsewhere))
            return None

    return Clock().run(main())


def check_call(prompt: object, arguments: dict[str, Any], how: str) -> None:
    """`chat()`, `stream()`, `explain()` and `embed()` with these arguments."""
    transport = CannedTransport(check_request)

    async def ask() -> object:
        async with Router(CONFIG, transport=transport) as router:  # type: ignore[arg-type]  # a double
            if how == "explain":
                arguments.pop("headers", None)
                str(router.explain(**{name: value for name, value in arguments.items() if name in CHOICES}))
            if how == "stream":
                async with router.stream(prompt, **arguments) as stream:  # type: ignore[arg-type]
                    async for _ in stream:
                        pass
                return stream.reply
            if how == "embed":
                return await router.embed(prompt, **{"model": "a", **arguments})  # type: ignore[arg-type]
            return await router.chat(prompt, **arguments)  # type: ignore[arg-type]

    rest = {name: value for name, value in arguments.items() if name not in {"headers", "api_key"}}
    outcome_of(transport, ask, [prompt, rest, keys_of(arguments.get("headers"))])


def check_configuration(document: dict[str, Any]) -> None:
    """A configuration is refused with a `ConfigError`, or the router can describe itself and be asked."""
    transport = CannedTransport(check_request)

    async def ask() -> object:
        async with Router(document, transport=transport) as router:  # type: ignore[arg-type]
            str(router.health())
            repr(router.config)
            if (task := next(iter(router.config.tasks), None)) is not None:
                str(router.explain(task=task))
                return await router.chat("hello", task=task, deadline=5)
            return await router.chat("hello", model="a", deadline=5)

    rest = {name: value for name, value in document.items() if name != "providers"}
    given = document.get("providers")
    for name, provider in given.items() if isinstance(given, dict) else ():
        rest[name] = {
            field: keys_of(value) if field in SECRET_FIELDS else value for field, value in provider.items()
        } if isinstance(provider, dict) else None
    outcome_of(transport, ask, [rest, list(rest)])


def check_key(key: object, how: str) -> None:
    """A variable or a function with any value: an answer, or `NotSent` for that model alone."""

    def function() -> Any:
        if isinstance(key, type) and issubclass(key, BaseException):
            raise key(KEY)
        return key

    async def awaited() -> Any:
        return function()

    source: Any = {"variable": f"env:{KEY_VARIABLE}", "function": function, "async": awaited}[how]
    config = {**CONFIG, "providers": {"sim": {**CONFIG["providers"]["sim"], "key": source}}}
    transport = CannedTransport(check_request)
    environment: dict[str, str] = {}
    if isinstance(key, str) and "\0" not in key and how == "variable":
        with contextlib.suppress(UnicodeEncodeError):  # which no variable can hold
            os.fsencode(key)
            environment = {KEY_VARIABLE: key}
    with mock.patch.dict(os.environ, environment):
        if not environment:
            os.environ.pop(KEY_VARIABLE, None)

        async def ask() -> object:
            async with Router(config, transport=transport) as router:  # type: ignore[arg-type]
                try:
                    return await router.chat("hello", model="a")
                except AllModelsFailed as error:
                    if [type(one) for one in error.errors] != [NotSent] or transport.seen:
                        raise Wrong(f"{error!r}") from error
                    raise

        outcome_of(transport, ask)


def check_headers(fields: Any) -> None:
    """What is let through makes one line of the head each, however the request is written."""
    loop = asyncio.new_event_loop()

    async def main() -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            destination = Destination(parse_url("http://h.test/v1"), loop, session, ssl=True)
            request = Request("POST", "http://h.test/v1", fields, b"{}")
            try:
                destination.prepare(request.sealed_headers)
            except ValueError as error:
                check_refusal(error, 0, secrets=False)  # the transport clears these frames
                return
            names = {name.lower() for name in fields} - {"content-length"}
            head = destination._head(request.sealed_headers)
            lines = head.split(b"\r\n")
            if len(lines) != 2 + len(names | {"host"}) or any(b"\n" in line or b"\r" in line for line in lines):
                raise Wrong(f"the head {head!r}")

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def check_rows(lines: list[bytes], folder: Path) -> None:
    """A file of these lines: refused with every invalid row before anything is sent, or each row has its line."""
    (folder / "in.jsonl").write_bytes(b"\n".join(lines))
    for name in ("out.jsonl", "out.jsonl.errors.jsonl", "out.errors.jsonl"):
        (folder / name).unlink(missing_ok=True)
    transport = CannedTransport(check_request)

    async def main() -> None:
        async with Router(CONFIG, transport=transport) as router:  # type: ignore[arg-type]
            try:
                report = await batch.run(router, folder / "in.jsonl", folder / "out.jsonl", restart=True)
            except Wrong:
                raise
            except Exception as error:
                check_refusal(error, len(transport.seen), secrets=hides(lines))
                if transport.seen:
                    raise Wrong(f"sent {len(transport.seen)}, then raised {error!r}") from error
                return
            if report.left:
                raise Wrong(f"{report.left} rows without an end: {report}")

    asyncio.run(main())


def fuzz(examples: int, *, derandomize: bool, only: tuple[str, ...] = KINDS) -> dict[str, int]:
    """Try so many examples, divided among the kinds; how many of each. Raises what hypothesis raises for a failure."""
    tried: dict[str, int] = {}
    quick = settings(
        max_examples=max(examples // len(only), 1), derandomize=derandomize, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    def run(check: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> None:
        def inner(arguments: tuple[Any, ...]) -> None:
            tried[check.__name__] = tried.get(check.__name__, 0) + 1
            check(*arguments)

        if check.__name__.removeprefix("check_") in only:
            quick(given(st.tuples(*strategies))(inner))()

    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {KEY_VARIABLE: KEY}), silent():
        run(check_call, messages, calls, st.sampled_from(["chat", "stream", "explain", "embed"]))
        run(check_configuration, configurations)
        run(check_key, some_keys, st.sampled_from(["variable", "function", "async"]))
        run(check_headers, st.dictionaries(names, secrets, max_size=4))
        run(check_rows, rows, st.just(Path(folder)))
    return tried


@contextlib.contextmanager
def silent() -> Any:
    """No lines in the log: there would be one for each example."""
    logger = logging.getLogger("asyncrouter")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.arguments", description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="how many, of five kinds together (%(default)s)")
    parser.add_argument("--derandomize", action="store_true", help="the same examples in every run")
    parser.add_argument("--only", action="append", choices=KINDS, help="this kind; may be repeated")
    options = parser.parse_args()
    tried = fuzz(options.examples, derandomize=options.derandomize, only=tuple(options.only or KINDS))
    print(f"{sum(tried.values())} examples, nothing wrong: {tried}")  # noqa: T201


if __name__ == "__main__":
    main()
