"""A world of simulated models, the log of the requests it saw, and the rules and limits over all of them.

Theory of operation. The world has no task and no timer of its own. `begin` plans the whole response to a request, as
bytes with the instants at which they come (a `Play`), and the front sends what is due: the in-process transport when
the client reads, the socket server by timers. Instants are those of the running event loop; under a `Clock` they are
virtual, and a run is exact and takes no time. Whatever is random is drawn from generators seeded by the world's seed
and the name of what they decide (a model, a key), so that the traffic of one never changes what another draws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._batches.desk import Batches
from asyncrouter.sim._batches.front import respond
from asyncrouter.sim._request import WIRES, route
from asyncrouter.sim._request_log import LoggedRequest
from asyncrouter.sim.act import Act
from asyncrouter.sim.clock import EPOCH
from asyncrouter.sim.limits import Limit, RateLimiter
from asyncrouter.sim.model import Behaviour, SimModel, check_function, limit_of
from asyncrouter.sim.play import Play, json_response, plan
from asyncrouter.sim.server import SimServer
from asyncrouter.sim.transport import SimTransport

if TYPE_CHECKING:
    import ssl

    from asyncrouter.sim._batches.faults import Chance
    from asyncrouter.sim._request import Wire
    from asyncrouter.sim._strict.complaint import Host
    from asyncrouter.sim.distributions import Seconds
    from asyncrouter.sim.limits import Announcement

Rule = Callable[[LoggedRequest, Random], Act | None]
"""Decides what a request gets, whichever model it asks; `None` leaves it to the model."""

MAX_PARTS = 1000
"""Parts of a body that are read for a batch: an act without end has more."""
BASE_URL = "http://sim.test/v1"
"""The address of a world that is reached in process; a name that cannot exist (RFC 6761, `.test`)."""


class World:
    """Simulated models behind one address, which understands the wires of three vendors, four in all.

    `seen` (a deque) logs the requests in the order in which they began: the last `keep` of them, `None` for all.
    `requests` counts them; `open` counts the connections that are open now, 0 when every call is over. Two worlds with
    the same seed give the same requests the same responses.

    With `strict` its models refuse, as the real vendors do, what another vendor has made and what a family of models
    does not take: foreign thoughts and signatures, unknown fields, ids of the wrong form, calls without results.
    """

    def __init__(self, seed: int = 0, *, keep: int | None = None, strict: bool = False) -> None:
        self.seed: int = seed
        self._strict = strict
        self.models: dict[str, SimModel] = {}
        self.seen: deque[LoggedRequest] = deque(maxlen=keep)
        self.requests: int = 0
        self._live: dict[int, tuple[LoggedRequest, Play, SimModel | None]] = {}
        self._last_number = 0
        self._random = Random(f"{seed}")
        self._rules: list[Rule] = []
        self._limits: list[tuple[float, Limit | None]] = []
        self._limiters: dict[str | None, RateLimiter] = {}
        self._last_headers: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})
        self._batches: Batches | None = None

    def __repr__(self) -> str:
        return f"<World seed={self.seed} models={sorted(self.models)} requests={self.requests} open={self.open}>"

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._live)

    @property
    def live(self) -> list[LoggedRequest]:
        """The requests whose connections are open now."""
        return [request for request, _, _ in self._live.values()]

    @property
    def usd(self) -> float:
        """What all models that have a price bill together, in US dollars."""
        return sum(model.bill.usd for model in self.models.values())

    def model(self, name: str, *script: Act | Behaviour, strict: Host | bool | None = None) -> SimModel:
        """The model of this name, made if there is none; with a script it follows that from now on.

        `strict`: whether it refuses what its vendor refuses, see `SimModel.strict`; `None`: as it was. Raises
        `TypeError` for a script that is neither `Act`s nor functions of a request.
        """
        if name not in self.models:
            self.models[name] = SimModel(name, f"{self.seed}:{name}").strict(self._strict)
        if strict is not None:
            self.models[name].strict(strict)
        return self.models[name].does(*script) if script else self.models[name]

    def rule(self, rule: Rule) -> None:
        """Ask this function before any model. For what concerns all of them: a host that is down, a revoked key.

        Raises `TypeError` for what is no plain function of a request and a `random.Random`.
        """
        check_function("rule", "a function of a request", rule)
        self._rules.append(rule)

    def limit(
        self, rps: float | None = None, *, tps: float | None = None, burst: float | None = None,
        retry_after: Announcement = True, announced: Announcement = False, at: float = float("-inf"),
    ) -> None:
        """Limit each API key over all models, from now on or from the instant `at` on, see `Limit`."""
        limit = limit_of(rps, tps, burst, retry_after, announced)
        self._limits.append((at, limit))
        for limiter in self._limiters.values():
            limiter.schedule(at, limit)

    def batches(self, *, takes: Seconds | None = None, **faults: Chance) -> Batches:
        """The batch APIs of this world, made at the first call; until then there are none.

        They answer on the paths of OpenAI (`/v1/batches`, `/v1/files`), Anthropic, Gemini and OpenRouter
        (`/api/v1/batches`), with the acts of the models, at half of their prices. A batch runs for `takes` seconds, by
        default for some 20 minutes. `faults` say how often each strikes: a share from 0 to 1, or the numbers of the
        occasions, from 0; `BATCH_FAULTS` lists them. Raises `ValueError` for an unknown fault.
        """
        if self._batches is None:
            self._batches = Batches(f"{self.seed}:batches", self._answer_in_batch, EPOCH)
        self._batches.set(takes, faults)
        return self._batches

    def _answer_in_batch(
        self, name: str, wire: Wire, body: Mapping[str, object], at: float
    ) -> tuple[int, object, float]:
        """Status and body of a model's answer to a row of a batch, and its price there, in US dollars."""
        self._last_number += 1
        request = LoggedRequest(self._last_number, name, "", {}, body, at, wire)
        model = self.models.get(name)
        if model is None:
            return 404, {"error": {"message": f"The model {name!r} does not exist", "code": "model_not_found"}}, 0.0
        play, usd = model.play_in_batch(request)
        data = b"".join(part.data for part in islice(play.body, MAX_PARTS))
        return play.status, _parsed(data), usd / 2

    def asked(self, name: str) -> list[LoggedRequest]:
        """The logged requests that asked this model."""
        return [request for request in self.seen if request.model == name]

    def transport(self, *, pool: bool = False) -> SimTransport:
        """An in-process transport to this world, for any event loop; `pool` keeps connections, see `SimTransport`."""
        return SimTransport(self, pool=pool)

    def server(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> SimServer:
        """The world behind real sockets, `async with world.server() as server: …`; port 0 takes a free one."""
        return SimServer(self, host, port, tls)

    def config(self, *, base_url: str = BASE_URL, wire: Wire = "openai", **overrides: object) -> dict[str, object]:
        """A configuration for `Router` whose default provider, "sim", is this world.

        A name without a provider is a model of the world. "sim" uses `wire`; "sim-openai", "sim-responses",
        "sim-anthropic" and "sim-gemini" are the same world on each wire. `overrides` are tables of the configuration; a
        table of a provider is merged into ours.
        """
        providers: dict[str, object] = {"sim": _provider(wire, base_url)}
        providers |= {f"sim-{each}": _provider(each, base_url) for each in WIRES}
        given = overrides.pop("providers", {})
        if isinstance(given, Mapping):
            for name, table in given.items():
                ours = providers.get(name, {})
                providers[name] = {**ours, **table} if isinstance(ours, dict) and isinstance(table, Mapping) else table
        return {"default_provider": "sim", "providers": providers, **overrides}

    # ── what the fronts call (`WorldApi`) ────────────────────────────────────────────────────────────────────────────

    def begin(
        self, url: str, headers: Mapping[str, str], body: bytes, at: float, method: str = "POST"
    ) -> tuple[LoggedRequest, Play]:
        """Log a request that begins now, and plan its response. Its connection is open until `end`."""
        if self._batches is not None and (play := respond(self._batches, method, url, headers, body, at)) is not None:
            self._last_number += 1
            request = LoggedRequest(self._last_number, "", url, self._with_lower_names(headers), {}, at)
            self._live[request.number] = request, play, None
            return request, play
        endpoint, parsed = route(url), _parsed(body)
        name = endpoint.model if endpoint.model is not None else parsed.get("model")
        stream = endpoint.stream if endpoint.stream is not None else parsed.get("stream") is True
        self._last_number += 1
        request = LoggedRequest(
            self._last_number, name if isinstance(name, str) else "", url, self._with_lower_names(headers), parsed, at,
            endpoint.wire or "openai", stream, embeds=endpoint.embeds,
        )
        model = None if endpoint.listing else self.models.get(request.model)
        if endpoint.listing:
            play = json_response(200, self._listing(request))
        else:
            self.requests += 1
            self.seen.append(request)
            if endpoint.wire is None or model is None:
                play = self._not_found(request, endpoint.wire)
            else:
                refused = self._refusal(request) if self._rules or self._limits else None
                play = model.play(request, refused)
                if self._limits:
                    play.headers |= self._limiter(request).announce(request)
        self._live[request.number] = request, play, model if endpoint.wire is not None else None
        return request, play

    def end(self, request: LoggedRequest, at: float, *, gone: bool = False) -> None:
        """Note that a request's connection is over; only the first call for a request counts."""
        live = self._live.pop(request.number, None)
        if live is None:
            return
        request.ended, request.gone = at, gone
        _, play, model = live
        if model is not None:
            model.end(request, play)

    def _refusal(self, request: LoggedRequest) -> Act | None:
        """What a rule, or the limit of its key, has for a request; `None`: the model decides."""
        for rule in self._rules:
            if (act := rule(request, self._random)) is not None:
                return act
        return self._limiter(request).admit(request) if self._limits else None

    def _limiter(self, request: LoggedRequest) -> RateLimiter:
        """The limiter of a request's key."""
        limiter = self._limiters.get(request.key)
        if limiter is None:
            schedule = sorted(self._limits, key=itemgetter(0))
            limiter = self._limiters[request.key] = RateLimiter(f"{self.seed}:{request.key}:limit", schedule)
        return limiter

    def _not_found(self, request: LoggedRequest, wire: Wire | None) -> Play:
        """The 404 for a request to a model or a path that does not exist."""
        if wire is None:
            request.act = Act(why="missing", message=f"no such path: {request.url}", code="not_found")
        else:
            names = ", ".join(sorted(self.models)) or "no models"
            message = f"The model {request.model!r} does not exist; this world has {names}."
            request.act = Act(why="missing", message=message)
        return plan(request.act, request, self._random)

    def _with_lower_names(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers by lower-case names. Calls often share one mapping, so the last result is kept."""
        if headers is not self._last_headers[0]:
            self._last_headers = headers, {name.lower(): value for name, value in headers.items()}
        return self._last_headers[1]

    def _listing(self, request: LoggedRequest) -> bytes:
        """The list of models, as its provider writes it."""
        if request.wire == "gemini":
            return orjson.dumps({"models": [{"name": f"models/{name}"} for name in self.models]})
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "sim"} for name in self.models]
        return orjson.dumps({"object": "list", "data": listed})


def _provider(wire: Wire, base_url: str) -> dict[str, object]:
    """The table of a provider. The version in Google's URL is v1beta where the others' is v1."""
    return {"wire": wire, "base_url": f"{base_url}beta" if wire == "gemini" and base_url.endswith("/v1") else base_url}


def _parsed(body: bytes) -> dict[str, object]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
