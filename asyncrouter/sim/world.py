"""A world of simulated models: how each behaves, and a log of every request it saw. Everything comes from one seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._prompt import WIRES, route
from asyncrouter.sim._seen import Seen
from asyncrouter.sim.act import Act
from asyncrouter.sim.limits import Gate, Limit
from asyncrouter.sim.model import Behaviour, SimModel, limit_of
from asyncrouter.sim.play import Play, answer, play
from asyncrouter.sim.server import SimServer
from asyncrouter.sim.transport import SimTransport

if TYPE_CHECKING:
    import ssl

    from asyncrouter.sim._prompt import Wire
    from asyncrouter.sim.limits import Told

Rule = Callable[[Seen, Random], Act | None]
"""Decides what a request gets, whichever model it asks; `None` leaves it to the model."""

BASE_URL = "http://sim.test/v1"


class World:
    """Simulated models behind one address, which speaks the languages of three vendors.

    `seen` logs every request in the order they began (the last `keep` of them; `None`: all), `requests` counts them,
    `open` the connections that live now: 0 when all is over. Two worlds with one seed and the same requests do the
    same.
    """

    def __init__(self, seed: int = 0, *, keep: int | None = None) -> None:
        self.seed = seed
        self.models: dict[str, SimModel] = {}
        self.seen: deque[Seen] = deque(maxlen=keep)
        self.requests = 0
        self._live: dict[int, tuple[Seen, Play, SimModel | None]] = {}
        self._count = 0
        self._random = Random(f"{seed}")
        self._rules: list[Rule] = []
        self._plan: list[tuple[float, Limit | None]] = []
        self._gates: dict[str | None, Gate] = {}
        self._lowered: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})

    def __repr__(self) -> str:
        return f"<World seed={self.seed} models={sorted(self.models)} requests={self.requests} open={self.open}>"

    @property
    def open(self) -> int:
        """Connections that live now."""
        return len(self._live)

    @property
    def live(self) -> list[Seen]:
        """The requests whose connections live now."""
        return [seen for seen, _, _ in self._live.values()]

    @property
    def usd(self) -> float:
        """What all models bill together, as far as they have a price."""
        return sum(model.bill.usd for model in self.models.values())

    def model(self, name: str, *script: Act | Behaviour) -> SimModel:
        """The model of this name; with a script, it does that from now on (a new one without: `Act()`)."""
        if name not in self.models:
            self.models[name] = SimModel(name, f"{self.seed}:{name}")
        return self.models[name].does(*script) if script else self.models[name]

    def rule(self, rule: Rule) -> None:
        """Ask this function before any model: for a host that is down, a key that is revoked, a bad day for all."""
        self._rules.append(rule)

    def limit(
        self, rps: float | None = None, *, tps: float | None = None, burst: float | None = None,
        retry_after: Told = True, announced: Told = False, at: float = float("-inf"),
    ) -> None:
        """From now on, or from the instant `at` on, each key has this limit over all models (see `Limit`)."""
        limit = limit_of(rps, tps, burst, retry_after, announced)
        self._plan.append((at, limit))
        for gate in self._gates.values():
            gate.plan(at, limit)

    def asked(self, name: str) -> list[Seen]:
        """The requests this model saw."""
        return [seen for seen in self.seen if seen.model == name]

    def transport(self, *, pool: bool = False) -> SimTransport:
        """An in-process transport to this world, for any loop, virtual time included."""
        return SimTransport(self, pool=pool)

    def server(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> SimServer:
        """The world behind real sockets: `async with world.server() as server: server.base_url`. Port 0: any free."""
        return SimServer(self, host, port, tls)

    def config(self, *, base_url: str = BASE_URL, wire: Wire = "openai", **overrides: object) -> dict[str, object]:
        """A configuration whose default provider, "sim", is this world; a bare model name is a model of it.

        "sim" speaks `wire`; "sim-openai", "sim-anthropic" and "sim-gemini" are the same world in each language.
        `overrides` are tables of the configuration; one for `providers` is merged into ours, each provider for itself.
        """
        providers: dict[str, object] = {"sim": _provider(wire, base_url)}
        providers |= {f"sim-{spoken}": _provider(spoken, base_url) for spoken in WIRES}
        given = overrides.pop("providers", {})
        if isinstance(given, Mapping):
            for name, table in given.items():
                ours = providers.get(name, {})
                providers[name] = {**ours, **table} if isinstance(ours, dict) and isinstance(table, Mapping) else table
        return {"default_provider": "sim", "providers": providers, **overrides}

    # ── what the fronts call ─────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, url: str, headers: Mapping[str, str], body: bytes, at: float) -> tuple[Seen, Play]:
        """Log a request that begins now, and lay out what it gets. Its connection lives until `end`."""
        where, asked = route(url), _parsed(body)
        name = where.model if where.model is not None else asked.get("model")
        stream = where.stream if where.stream is not None else asked.get("stream") is True
        self._count += 1
        seen = Seen(self._count, name if isinstance(name, str) else "", url, self._lower(headers), asked, at,
                    where.wire or "openai", stream)
        model = None if where.listing else self.models.get(seen.model)
        if where.listing:
            played = answer(200, self._listing(seen))
        else:
            self.requests += 1
            self.seen.append(seen)
            if where.wire is None or model is None:
                played = self._nobody(seen, where.wire)
            else:
                played = model.play(seen, self._refusal(seen)) if self._rules or self._plan else model.play(seen)
                if self._plan:
                    played.headers |= self._gate(seen).announce(seen)
        self._live[seen.number] = seen, played, model if where.wire is not None else None
        return seen, played

    def end(self, seen: Seen, at: float, *, gone: bool = False) -> None:
        """Note that a request's connection is over; only the first time counts."""
        live = self._live.pop(seen.number, None)
        if live is None:
            return
        seen.ended, seen.gone = at, gone
        _, played, model = live
        if model is not None:
            model.end(seen, played)

    def _refusal(self, seen: Seen) -> Act | None:
        """What a rule, or the limit of its key, has for a request."""
        for rule in self._rules:
            if (act := rule(seen, self._random)) is not None:
                return act
        return self._gate(seen).admit(seen) if self._plan else None

    def _gate(self, seen: Seen) -> Gate:
        gate = self._gates.get(seen.key)
        if gate is None:
            gate = self._gates[seen.key] = Gate(f"{self.seed}:{seen.key}:limit", sorted(self._plan, key=itemgetter(0)))
        return gate

    def _nobody(self, seen: Seen, wire: Wire | None) -> Play:
        """What a request gets that no model answers."""
        told = f"The model {seen.model!r} does not exist; this world has {', '.join(sorted(self.models)) or 'none'}."
        if wire is None:
            told = f"no such path: {seen.url}"
        seen.act = Act(why="missing", message=told, code=None if wire is not None else "not_found")
        return play(seen.act, seen, self._random)

    def _lower(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers by their lower-case names. Calls share one object, so the last one is kept."""
        if headers is not self._lowered[0]:
            self._lowered = headers, {name.lower(): value for name, value in headers.items()}
        return self._lowered[1]

    def _listing(self, seen: Seen) -> bytes:
        if seen.wire == "gemini":
            return orjson.dumps({"models": [{"name": f"models/{name}"} for name in self.models]})
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "sim"} for name in self.models]
        return orjson.dumps({"object": "list", "data": listed})


def _provider(wire: Wire, base_url: str) -> dict[str, object]:
    """A provider's table. Google's version stands where the others' does."""
    return {"wire": wire, "base_url": f"{base_url}beta" if wire == "gemini" and base_url.endswith("/v1") else base_url}


def _parsed(body: bytes) -> dict[str, object]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return asked if isinstance(asked, dict) else {}
