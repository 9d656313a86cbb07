"""The table of other libraries, from the files of results: on top of the results page, and written into the README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _page import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _page import Document


README = Path(__file__).parent.parent / "README.md"


class Library(NamedTuple):
    """A row: its name, the package whose version is told, its contenders in peers.json and faults.json, a remark."""

    name: str
    package: str
    costs: str
    faults: str
    remark: str = ""


LIBRARIES = (
    Library("**asyncrouter**", "asyncrouter", "asyncrouter_chain", "asyncrouter_hedged"),
    Library("openai on aiohttp", "openai", "openai_aiohttp", "openai_aiohttp"),
    Library("openai on httpx2", "openai", "openai_sdk", "openai_sdk"),
    Library("Haystack", "haystack-ai", "haystack_fallback", "haystack_fallback"),
    Library("LangChain", "langchain-core", "langchain_fallbacks", "langchain_fallbacks"),
    Library("LiteLLM", "litellm", "litellm_router", "litellm_router"),
    Library("pydantic-ai", "pydantic-ai-slim", "pydantic_ai_fallback", "pydantic_ai_fallback"),
    Library("TensorZero", "tensorzero", "tensorzero_embedded", "tensorzero_embedded", ", Rust, discontinued"),
)
HEAD = ("", "CPU, one JSON body", "500 tokens streamed", "KB a waiting call", "start, s of CPU", "slow words, p99",
        "stalls, p99", "crowd, answered")


def summary(peers: Document, faults: Document) -> Iterable[str]:
    """The section; asyncrouter's latencies are those with `hedge="p95"`."""
    versions = {**faults["machine"]["versions"], **{key: text for key, text in peers["peers"].items() if text}}
    yield "## Other libraries, in short"
    yield ("CPU time of a call, 64 at once, as a multiple of a careful hand-written aiohttp call's; memory of a call "
           "that waits; CPU seconds until a process is ready. p99 in seconds over sockets, where the first model's "
           "words come 20 times slower for a third of the time, and where 2 % of its answers stall (*never*: more than "
           "1 % of the calls got no answer); share answered of crowds of 300 calls at two models that take 20 a second "
           "each.")
    rows = table(HEAD, (_row(one, versions, peers["contenders"], faults["days"]) for one in LIBRARIES))
    _write_into_readme(rows.splitlines()[2:])
    yield rows
    yield f"<sub>{peers['date']}, {peers['python']}</sub>"


def _write_into_readme(rows: list[str]) -> None:
    """Replace the rows of the README's table, which has a head of its own."""
    lines = README.read_text(encoding="utf-8").split("\n")
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {LIBRARIES[0].name} "))
    lines[first : first + len(rows)] = rows
    README.write_text("\n".join(lines), encoding="utf-8")


def _row(one: Library, versions: Document, costs: Document, days: Document) -> Iterable[str]:
    cells = costs[one.costs]
    yield f"{one.name} {versions[one.package]}{one.remark}"
    yield from (f"{cells[key]['ratio']:.1f}" for key in ("buffered/64", "500/64"))
    yield f"{cells['wait']['bytes'] / 1024:.0f}"
    yield f"{cells['wait']['import']:.2f}"
    for day in ("slow-words", "stall"):
        seconds = days[day][one.faults]["p99"]
        yield "never" if seconds is None else f"{seconds:.1f}"
    crowd = days["crowd"][one.faults]
    yield f"{crowd['outcomes'].get('ok', 0) / crowd['calls']:.0%}"
