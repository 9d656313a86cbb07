"""Random values for arguments, configurations, keys, header fields and rows."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import math
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.helpers.planted import CALLERS, KEY, MARK

NASTY = [
    "", " ", "\n", "\0", "\ud800", "a\udcffb", "\r\nX-Evil: 1", "a\r\nX: b", "../..", "a/../b", "%2e%2e/x", "?x=1",
    "#f", "a b", "é", "“", "\u202e", "\x1b[2J", "none", "default", "openai:x", ":", "a:", ":a", "sim:", "nobody:x",
    "x" * 5000, "1e999", "nan", "{", "env:A", "http://", "http://h/..", "http://[", "ftp://x", "user", "system", "true",
    "p95", "auto", "gemini", "gemini:a/../b", "gemini:m", "anthropic:m", "responses:m", "a", "m",
]
"""Texts that have broken something somewhere."""
SECRETS = [
    f"env:{KEY}", KEY, f"Bearer {CALLERS}", f"{KEY}\n", f"{KEY}\ud800", f"http://u:{MARK}@h", f"http://h/?{MARK}",
]  # fmt: skip
"""Secrets, right and wrong, for the places that may hold one."""
MODELS = ["a", "x", "gemini:m", "anthropic:m", "responses:m"]
"""A model of each wire."""
texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=12), st.text(st.characters(categories=["Cs", "Cc", "Zl"]), max_size=3)
)
secrets = st.sampled_from(SECRETS) | texts
numbers = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**63, 2**64, -(2**63) - 1, 2**200, 10**400]), st.floats(), st.booleans()
)
odd = st.sampled_from([
    None, b"x", b"\xff", object(), object, len, decimal.Decimal(1), datetime.date(2026, 1, 1), {1, 2}, frozenset(),
    range(3), NotImplemented, ..., float("inf"), {1: 2}, {None: 1}, {"\ud800": 1}, (), [], {}, [[]], [{}], math,
])  # fmt: skip


def _deep(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


deep = st.sampled_from([200, 250, 260, 300, 1200]).map(_deep)
values = st.recursive(
    st.one_of(texts, numbers, odd, st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)), max_leaves=6,
) | deep  # fmt: skip
messages = st.one_of(
    texts, values, st.just("hello"),
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant", "tool"]) | texts,
                                    "content": texts | values}), max_size=3),
)  # fmt: skip
names = st.sampled_from(
    ["X-A", "Authorization", "x-a", "Host", "Content-Length", "Transfer-Encoding", "Cookie", "sim"]
) | texts  # fmt: skip
headers = st.one_of(
    st.dictionaries(names, secrets, max_size=3), values,
    st.dictionaries(names, st.dictionaries(names, secrets, max_size=2), max_size=2),
)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with some of these fields; mostly few, so that what is wrong is not always the first of them."""
    return st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen})
    )


calls = maybe(
    task=texts | values, tier=texts | values, model=texts | values,
    chain=values | st.lists(texts, max_size=3) | st.lists(st.sampled_from(MODELS), min_size=1, max_size=4),
    deadline=numbers | values, hedge=values | numbers | texts, retry=values | numbers, accept=values,
    priority=texts | values, tags=values, params=values | st.dictionaries(texts, values, max_size=2), headers=headers,
    temperature=values, tools=values, max_tokens=values, response_format=values, stop=values, reasoning_effort=values,
    stream=values, api_key=st.just(KEY), user=texts, tool_choice=values, n=values, system=values, modalities=values,
)  # fmt: skip
providers = maybe(
    name=texts | values, base_url=secrets | values | st.just("http://h/v1"), wire=texts | values,
    key=secrets | values | st.just("env:A"), headers=headers, query=headers, proxy=secrets | values, ca=texts | values,
    other=values,
)  # fmt: skip
models = maybe(
    provider=texts | values, id=texts | values, name=texts, context=values | numbers, max_output=values | numbers,
    usd_per_mtok=values, drop=values, max_concurrent=numbers, rpm=numbers | values, tpm=numbers, retired=values,
    successor=values,
)  # fmt: skip
configurations = maybe(
    providers=st.dictionaries(texts, providers | values, max_size=2) | values,
    models=st.dictionaries(texts, models | values, max_size=2) | values,
    tasks=st.dictionaries(texts, values | st.lists(texts, max_size=2), max_size=2) | values,
    tiers=st.dictionaries(texts, values | st.lists(texts, max_size=2), max_size=2) | values,
    defaults=st.dictionaries(
        st.sampled_from(["retry", "hedge", "total", "idle", "connect", "wire_stream"]) | texts, values, max_size=2
    ),
    default_provider=texts | values, unknown_task=texts | values, other=values,
)  # fmt: skip

row = st.one_of(
    st.fixed_dictionaries({"id": texts, "prompt": texts | values}),
    st.fixed_dictionaries({"id": texts | values, "messages": messages, "temperature": values}),
    st.fixed_dictionaries({"custom_id": texts, "method": texts, "url": texts, "body": values}),
    values,
)  # fmt: skip


def _line(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=str)
    except (TypeError, ValueError):
        return repr(value).encode("utf-8", "replace")


rows = st.lists(st.one_of(row.map(_line), st.binary(max_size=20), st.sampled_from([
    b"[" * 400 + b"]" * 400, b'{"id": "1", "prompt": ' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"id": 1e400, "prompt": "x"}', b'{"id": "1", "prompt": "x", "seed": 99999999999999999999999}',
    b"\xef\xbb\xbf{}", b'{"id": "\\ud800", "prompt": "x"}',
    b'{"id": "ok", "prompt": "hello"}',
])), max_size=3)  # fmt: skip
some_keys = values | secrets | st.sampled_from(
    [ValueError, KeyError, StopIteration, asyncio.CancelledError, SystemExit, TimeoutError]
)
