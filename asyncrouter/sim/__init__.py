"""A simulated world to test chains with: models that do what you script, in virtual time or behind real sockets.

```python
pytest_plugins = ["asyncrouter.sim.fixture"]

def test_a_dead_model_costs_no_time(clock, world):
    world.model("a", Act(status=500))
    world.model("b", Act(text="hi", first_token=0.5))
    async def scenario():
        async with Router(world.config(), transport=world.transport()) as router:
            return await router.chat("hello", chain=["a", "b"], retry=Retry(attempts=1))
    assert "hi" == clock.run(scenario()).text and 0.5 == clock.now
```

`Act` says what one request gets, `World` holds the models and logs what they saw, `Clock` runs a scenario in virtual
time. `async with world.server() as server` puts the same world behind real sockets at `server.base_url`.
"""

from asyncrouter.sim._stage import Seen
from asyncrouter.sim.act import FAULTS, Act, lognormal
from asyncrouter.sim.clock import Clock, Deadlock, Livelock, VirtualLoop, run
from asyncrouter.sim.transport import SimTransport
from asyncrouter.sim.world import SimModel, World

__all__ = [
    "FAULTS", "Act", "Clock", "Deadlock", "Livelock", "Seen", "SimModel", "SimTransport", "VirtualLoop", "World",
    "lognormal", "run",
]
