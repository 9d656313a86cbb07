"""Simulated models to test chains with: they do what you script, in virtual time or behind real sockets.

```python
from asyncrouter import Reply, Retry, Router
from asyncrouter.sim import Act, Clock, World

pytest_plugins = ["asyncrouter.sim.fixture"]

def test_a_dead_model_costs_no_time(clock: Clock, world: World) -> None:
    world.model("a", Act(status=500))
    world.model("b", Act(text="hi", first_token=0.5))
    async def scenario() -> Reply:
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("hello", chain=["a", "b"], retry=Retry(attempts=1))
    assert clock.run(scenario()).text == "hi" and clock.now == 0.5
```

`Act` says what one request gets, `World` holds the models and logs their requests, `Clock` runs a scenario in virtual
time. `async with world.server() as server` puts the same world behind real sockets at `server.base_url`.

Every model answers on four wires: `world.config(wire="responses")`, or `sim-gemini:m` for the model `m` on Google's.
What it does may depend on the request and change with time, and it has limits, a price and a bill:

```python
flaky = lambda request, random: Act(why="overloaded") if random.random() < 0.1 else Act(first_token=lognormal(0.5, 0.4))
m = world.model("m", flaky).at(60.0, Act(fault="hang")).at(120.0, flaky)
m.limit(50, announced=True).limit(20, at=150.0).capacity(100).price(input=0.1, output=0.4)
world.limit(200, retry_after="lying")      # for each key, over all models
world.rule(lambda request, random: Act(fault="refuse") if "down.test" in request.url and request.at < 30 else None)
world.seen, world.asked("m"), world.requests  # the logged requests, those of one model, how many there were
m.bill, world.usd, world.open                 # what was billed, and how many connections are open now
```

What people have met in the wild can be played too: `Act(fault="interrupted")` ends with a word like "abort",
`Act(fault="thoughts_only")` is a good end without an answer, `Act(sse=("empty_ids", "as_text"))` writes tool calls
without ids under a wrong label. `FAULTS` and `ODDITIES` list all of them.

`world.batches()` are the batch APIs of four vendors, with their faults: `batch.run(…, via="provider")` can be played
through a day of stuck, expired and half batches in a second.

A strict model refuses what its vendor refuses, with a 400 in the vendor's words: another vendor's thoughts, unknown
fields, ids of the wrong form, calls without results, parameters that its family does not take.

```python
World(strict=True)                                      # all models, each by the wire on which it is asked
world.model("open-mixtral", Act(text="hi"), strict="mistral")  # or groq, cerebras, deepseek on Chat Completions
```
"""

from asyncrouter.sim._batches.desk import Batches
from asyncrouter.sim._batches.faults import FAULTS as BATCH_FAULTS
from asyncrouter.sim._billing import Bill
from asyncrouter.sim._request import WIRES
from asyncrouter.sim._request_log import LoggedRequest
from asyncrouter.sim.act import FAULTS, ODDITIES, RETRY_AS, WHYS, Act
from asyncrouter.sim.clock import Clock, Deadlock, Livelock, VirtualLoop, run
from asyncrouter.sim.distributions import Lognormal, lognormal
from asyncrouter.sim.limits import Limit
from asyncrouter.sim.model import SimModel
from asyncrouter.sim.transport import SimTransport
from asyncrouter.sim.world import World

Seen = LoggedRequest
"""The name of `LoggedRequest` in asyncrouter 0.1.0."""

__all__ = [
    "BATCH_FAULTS", "FAULTS", "ODDITIES", "RETRY_AS", "WHYS", "WIRES", "Act", "Batches", "Bill", "Clock", "Deadlock",
    "Limit", "Livelock", "LoggedRequest", "Lognormal", "Seen", "SimModel", "SimTransport", "VirtualLoop", "World",
    "lognormal", "run",
]
