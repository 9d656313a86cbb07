"""Files of prompts answered through a router: nothing lost; finished rows are never asked again.

```python
async with Router() as router:
    report = await batch.run(router, "in.jsonl", "out.jsonl", task="coding", budget_usd=5.0)

    async for id, result in batch.map(router, prompts, task="fast"):
        ...  # a Reply, or the exception of a failed call
```

`run(…, via="provider")` answers them through the vendors' batch APIs, within hours and for half the price; `status`
tells where these batches stand.

`run` reads a file of rows and writes a line for each answer as it comes. When a run was killed, stopped or ran out of
budget, the same call resumes it; only rows that were in flight at a kill are asked a second time. `map` takes any
iterable of calls instead and yields their results. On the command line `run` is `asyncrouter batch in.jsonl -o
out.jsonl`.
"""

from asyncrouter.batch._divided import divided
from asyncrouter.batch._errors import BatchError, InvalidInput, WriteFailed
from asyncrouter.batch._estimate import Estimate
from asyncrouter.batch._flex import FLEX
from asyncrouter.batch._ids import IdSet
from asyncrouter.batch._lines import failure_record
from asyncrouter.batch._map import map  # noqa: A004  # `batch.map` is what it is
from asyncrouter.batch._preflight import estimate
from asyncrouter.batch._report import Progress, Report
from asyncrouter.batch._rows import ROW_FIELDS
from asyncrouter.batch._run import run
from asyncrouter.batch._sample import Sample, sample
from asyncrouter.batch._sampling import Interval
from asyncrouter.batch._source import Source
from asyncrouter.batch._vendors.status import BatchStatus, status

__all__ = [
    "FLEX", "ROW_FIELDS", "BatchError", "BatchStatus", "Estimate", "IdSet", "Interval", "InvalidInput", "Progress",
    "Report", "Sample", "Source", "WriteFailed", "divided", "estimate", "failure_record", "map", "run", "sample",
    "status",
]
