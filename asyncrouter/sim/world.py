"""A world of simulated models: how each behaves, and a log of every request it saw. Everything comes from one seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING

import orjson

from asyncrouter.sim._stage import Seen
from asyncrouter.sim.act import Act
from asyncrouter.sim.play import Play, answer, play
from asyncrouter.sim.server import SimServer
from asyncrouter.sim.transport import SimTransport

if TYPE_CHECKING:
    import ssl

Behaviour = Callable[[Seen, Random], Act]
"""Decides what one request gets; the generator belongs to the model, so one model's traffic never moves another's."""

BASE_URL = "http://sim.test/v1"


class SimModel:
    """One model of the world and what it does: a script of acts whose last one repeats, or a function."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self._random = random
        self._script: deque[Act | Behaviour] = deque([Act()])

    def __repr__(self) -> str:
        return f"<SimModel {self.name!r}: {', '.join(map(repr, self._script))}>"

    def does(self, *script: Act | Behaviour) -> SimModel:
        """From now on: these acts, one a request; the last one repeats."""
        self._script = deque(script or [Act()])
        return self

    def then(self, *script: Act | Behaviour) -> SimModel:
        """And after those: these acts."""
        self._script.extend(script)
        return self

    def play(self, seen: Seen) -> Play:
        """What this request gets."""
        act = self._script.popleft() if len(self._script) > 1 else self._script[0]
        seen.act = act if isinstance(act, Act) else act(seen, self._random)
        return play(seen.act, self.name, seen.number, seen.body, self._random)


class World:
    """Simulated models behind one provider.

    `seen` logs every request in the order they began (the last `keep` of them; `None`: all), `open` counts the
    connections that live now: 0 when all is over. Two worlds with one seed and the same requests do the same.
    """

    def __init__(self, seed: int = 0, *, keep: int | None = None) -> None:
        self.seed = seed
        self.models: dict[str, SimModel] = {}
        self.seen: deque[Seen] = deque(maxlen=keep)
        self._live: dict[int, Seen] = {}
        self._count = 0

    def __repr__(self) -> str:
        return f"<World seed={self.seed} models={sorted(self.models)} requests={self._count} open={self.open}>"

    @property
    def open(self) -> int:
        """Connections that live now."""
        return len(self._live)

    @property
    def live(self) -> list[Seen]:
        """The requests whose connections live now."""
        return list(self._live.values())

    def model(self, name: str, *script: Act | Behaviour) -> SimModel:
        """The model of this name; with a script, it does that from now on (a new one without: `Act()`)."""
        if name not in self.models:
            # A string seeds the same generator whatever PYTHONHASHSEED says.
            self.models[name] = SimModel(name, Random(f"{self.seed}:{name}"))
        return self.models[name].does(*script) if script else self.models[name]

    def asked(self, name: str) -> list[Seen]:
        """The requests this model saw."""
        return [seen for seen in self.seen if seen.model == name]

    def transport(self) -> SimTransport:
        """An in-process transport to this world, for any loop, virtual time included."""
        return SimTransport(self)

    def server(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> SimServer:
        """The world behind real sockets: `async with world.server() as server: server.base_url`. Port 0: any free."""
        return SimServer(self, host, port, tls)

    def config(self, *, base_url: str = BASE_URL, **overrides: object) -> dict[str, object]:
        """A configuration whose default provider, "sim", is this world; a bare model name is a model of it.

        `overrides` are tables of the configuration; one for `providers` is merged into ours, each provider for itself.
        """
        providers: dict[str, object] = {"sim": {"wire": "openai", "base_url": base_url}}
        given = overrides.pop("providers", {})
        if isinstance(given, Mapping):
            for name, table in given.items():
                ours = providers.get(name, {})
                providers[name] = {**ours, **table} if isinstance(ours, dict) and isinstance(table, Mapping) else table
        return {"default_provider": "sim", "providers": providers, **overrides}

    # ── what the fronts call ─────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, url: str, headers: Mapping[str, str], body: bytes, at: float) -> tuple[Seen, Play]:
        """Log a request that begins now, and lay out what it gets. Its connection lives until `end`."""
        asked = _parsed(body)
        name = asked.get("model")
        self._count += 1
        lowered = {header.lower(): value for header, value in headers.items()}
        seen = Seen(self._count, name if isinstance(name, str) else "", url, lowered, asked, at)
        self._live[seen.number] = seen
        if url.partition("?")[0].endswith("/models"):
            return seen, answer(200, self._listing())
        self.seen.append(seen)
        if not url.partition("?")[0].endswith("/chat/completions"):
            return seen, answer(404, _problem("not_found", f"no such path: {url}"))
        if seen.model not in self.models:
            told = f"The model {name!r} does not exist; this world has {', '.join(sorted(self.models)) or 'none'}."
            return seen, answer(404, _problem("model_not_found", told))
        return seen, self.models[seen.model].play(seen)

    def end(self, seen: Seen, at: float, *, gone: bool = False) -> None:
        """Note that a request's connection is over; only the first time counts."""
        if self._live.pop(seen.number, None) is not None:
            seen.ended, seen.gone = at, gone

    def _listing(self) -> bytes:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "sim"} for name in self.models]
        return orjson.dumps({"object": "list", "data": listed})


def _parsed(body: bytes) -> dict[str, object]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _problem(code: str, message: str) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})
