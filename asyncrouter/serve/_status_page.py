"""The status page of a server, for people: its models, how each stands, and what calls did and cost in the last hour.

Plain HTML that loads nothing, runs nothing and changes nothing; it is made anew at each request, and the browser asks
every ten seconds. Every text in it is escaped, and what a provider has said is left out: it may quote a prompt.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib.resources import files
from math import floor, log10
from string import Template
from typing import TYPE_CHECKING, Final

import asyncrouter
from asyncrouter import visible
from asyncrouter.openai_api import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncrouter import Explanation, ModelHealth, Router
    from asyncrouter.serve._recent import Failure, Place, Recent, Tally

REFRESH_SECONDS: Final = 10
"""Seconds after which a browser asks again."""
MAX_NAME: Final = 200
"""Characters of a name that are shown."""
_NONE, _UNKNOWN = "–", "unknown"
_OURS: Final = re.compile(r"(.*? (?:more|under way)|[^:]*)(?:: |$)", re.DOTALL)
"""What is ours of a standing; what follows a colon may be a provider's word."""
_COLUMNS: Final = (
    "model", "state", "running", "first content<small>p50 / p95 / p99</small>", "requests<small>last hour</small>",
    "last failure", "cost of an answer<small>last hour</small>",
)
_TEXTS: Final = frozenset({"state", "last failure", "tried in this order"})
"""Columns of words; the others have figures, which stand at the right."""
_ERROR: Final = 400
_NO_MODELS: Final = "No model has been used, and none stands in a task or tier."
_CHAINS: Final = ("name", "tried in this order", "deadline", "hedge")


class StatusPage:
    """The page: `page.answer(router)`. `recent` counts the events of its router, and of earlier ones."""

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self._began = recent.clock()

    def answer(self, router: Router) -> Answer:
        """The page as it is now."""
        now, calls = self._recent.clock(), self._recent.calls()
        style, policy = _style()
        up = duration(now - self._began)
        body = _template().substitute(
            title=f"{self._recent.in_flight} running", refresh=REFRESH_SECONDS, style=style,
            subtitle=_text(f"version {asyncrouter.__version__}, up {up}; this page reloads every {REFRESH_SECONDS} s"),
            figures=_figures(self._recent.in_flight, calls),
            models=_table(_COLUMNS, self._rows(router, now), _NO_MODELS),
            chains=_table(_CHAINS, _chains(router), "There are none."),
        )
        return Answer(200, {**_HEADERS, "content-security-policy": policy}, body.encode())

    def _rows(self, router: Router, now: float) -> Iterable[Sequence[str]]:
        tallies = self._recent.models()
        for name, health in router.health().items():
            yield self._row((name, None), health, tallies, now)
            for member in health.members:
                yield self._row((name, member.model), member, tallies, now)

    def _row(self, place: Place, health: ModelHealth, tallies: Mapping[Place, Tally], now: float) -> Sequence[str]:
        tally, failure = tallies.get(place), self._recent.failures.get(place)
        name = f"{_text(health.model)}<small>{_text(health.provider)}</small>"
        return (
            name if place[1] is None else f'<div class="member">{name}</div>', _state(health), _running(health),
            _times(health, tally), _requests(tally), _last_failure(failure, now), _cost(tally),
        )


_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8", "cache-control": "no-store", "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Nobody keeps the page, frames it, or learns from it where it stands."""


@cache
def _template() -> Template:
    return Template(files("asyncrouter.serve").joinpath("status.html").read_text(encoding="utf-8"))


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and the content security policy that allows it and nothing else."""
    style = files("asyncrouter.serve").joinpath("status.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = ["default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'"]
    return style, "; ".join([*rules, "frame-ancestors 'none'"])


def _text(text: str) -> str:
    return escape(visible(text[:MAX_NAME]))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    """A table whose cells are HTML already; on a narrow screen each cell shows the name of its column."""
    kinds = [' class="text"' if column in _TEXTS else "" for column in columns]
    head = "".join(f'<th scope="col"{kind}>{column}</th>' for column, kind in zip(columns, kinds, strict=True))
    lines = [
        f'<tr><th scope="row">{first}</th>' + "".join(
            f'<td{kind} data-name="{column.partition("<")[0]}"><span>{cell}</span></td>'
            for column, kind, cell in zip(columns[1:], kinds[1:], rest, strict=True)
        ) + "</tr>"
        for first, *rest in rows
    ]
    if not lines:
        return f"<p>{empty}</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _figures(in_flight: int, calls: Tally) -> str:
    figures = {
        "running now": f"{in_flight:,}", "ended": f"{calls.ended:,}",
        "answered": f"{calls.answered / calls.ended:.1%}" if calls.ended else _NONE, "failed": f"{calls.failed:,}",
        "cost of an answer": _each(calls), "cost in all": _all(calls),
    }
    return "".join(f"<div><dt>{name}</dt><dd>{figure}</dd></div>" for name, figure in figures.items())


def _state(health: ModelHealth) -> str:
    """How a model stands, without what its provider has said."""
    standing, kind = health.standing, "bad"
    if standing in {"ready", "probe due"}:
        kind = "warn" if health.slow or standing == "probe due" else "good"
    elif health.members:
        standing = "no member is ready"
    else:
        ours = _OURS.match(standing)
        standing = "not ready" if ours is None else ours[1]
    return f'<span class="{kind}">{_text(standing)}{", slow" if health.slow else ""}</span>'


def _running(health: ModelHealth) -> str:
    waiting = f"<small>{health.waiting:,} wait</small>" if health.waiting else ""
    rate = "" if health.rate is None else f"<small>limit {health.rate:.3g}/s</small>"
    return f"{health.in_flight:,}{waiting}{rate}"


def _times(health: ModelHealth, tally: Tally | None) -> str:
    quantiles = (health.p50, health.p95, health.p99)
    first = " / ".join(f"{one:.2f} s" for one in quantiles if one is not None) or _NONE
    mean = "" if tally is None or not tally.answered else f"{tally.seconds / tally.answered:.2f} s"
    return f"{first}<small>mean answer {mean}</small>" if mean else first


def _last_failure(failure: Failure | None, now: float) -> str:
    if failure is None:
        return _NONE
    status = "" if failure.status is None or failure.status < _ERROR else f" {failure.status}"
    return f"{_text(failure.kind)}{status}<small>{duration(now - failure.at)} ago</small>"


def _requests(tally: Tally | None) -> str:
    if tally is None:
        return _NONE
    cancelled = tally.ended - tally.answered - tally.failed  # another model was faster, or the client has left
    more = f", {cancelled:,} cancelled" if cancelled else ""
    return f"{tally.ended:,}<small>{tally.answered:,} answered, {tally.failed:,} failed{more}</small>"


def _cost(tally: Tally | None) -> str:
    if tally is None or (in_all := _all(tally)) == _UNKNOWN:
        return _NONE if tally is None else _UNKNOWN
    return f"{_each(tally)}<small>{in_all} in all</small>"


def _each(tally: Tally) -> str:
    """What an answer cost: what all requests did, divided by the answers."""
    return _money(tally, tally.usd / tally.answered) if tally.answered else _NONE


def _all(tally: Tally) -> str:
    return _money(tally, tally.usd)


def _money(tally: Tally, usd: float) -> str:
    if not tally.unknown:
        return dollars(usd)
    return f"≥ {dollars(usd)}" if usd else _UNKNOWN


def dollars(usd: float) -> str:
    """US dollars in full: with cents, or with two digits that are not 0 where that is more."""
    digits = 2 if usd >= 1 or usd <= 0 else min(9, max(2, 1 - floor(log10(usd))))
    return f"${usd:,.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds in the two largest units."""
    left, parts = int(seconds), list[str]()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size or parts or size == 1:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])


def _chains(router: Router) -> Iterable[Sequence[str]]:
    """The tasks and tiers, each with its models."""
    for task in router.config.tasks:
        yield _chain(f"task:{task}", router.explain(task=task))
    for tier in router.config.tiers:
        yield _chain(f"tier:{tier}", router.explain(tier=tier))


def _chain(name: str, plan: Explanation) -> Sequence[str]:
    models = " → ".join(_text(step.model) for step in plan.steps)
    deadline = "none" if plan.deadline is None else f"{plan.deadline:g} s"
    return _text(name), models, deadline, _text(plan.hedge or "none")
