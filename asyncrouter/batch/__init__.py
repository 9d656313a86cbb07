"""Files of prompts, none lost and none paid twice; and the primitive below them, for any stream of calls.

```python
async with Router() as router:
    async for id, result in batch.map(router, prompts, task="fast"):
        ...  # a Reply, or the error as a value
    report = await batch.run(router, "in.jsonl", "out.jsonl", task="coding", budget_usd=5.0)
```

A run that was killed, stopped or ran out of budget is resumed by the same call. On the command line it is
`asyncrouter batch in.jsonl -o out.jsonl`.
"""

from asyncrouter.batch._errors import BatchError, InvalidInput, WriteFailed
from asyncrouter.batch._map import map  # noqa: A004  # `batch.map` is what it is
from asyncrouter.batch._processes import divided
from asyncrouter.batch._report import Progress, Report
from asyncrouter.batch._run import run
from asyncrouter.batch._source import Source
from asyncrouter.batch._survey import Estimate, estimate

__all__ = [
    "BatchError", "Estimate", "InvalidInput", "Progress", "Report", "Source", "WriteFailed", "divided", "estimate",
    "map", "run",
]
