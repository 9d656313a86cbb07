"""A small evaluation with inspect_ai, its data in code: `python inspect_task.py MODEL FOLDER` prints what came of it.

The server is found by `OPENAI_BASE_URL` and `OPENAI_API_KEY`, or for `openai-api/NAME/…` by `NAME_BASE_URL` and
`NAME_API_KEY`. inspect_ai asks OpenAI's own models by the Responses API, unless it is told not to.
"""

import json
import sys

from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message

CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Egypt": "Cairo", "Peru": "Lima", "Norway": "Oslo"}


def main(model: str, folder: str) -> None:
    samples = [Sample(f"What is the capital of {land}?", target=town) for land, town in CAPITALS.items()]
    task = Task(
        dataset=MemoryDataset(samples), solver=[system_message("Answer in one word."), generate()], scorer=includes(),
        config=GenerateConfig(max_tokens=12, temperature=0.0),
    )
    chat = {"responses_api": False}
    [log] = evaluate(task, model=model, model_args=chat, display="none", log_dir=folder, max_connections=4)
    sys.stdout.write(json.dumps({
        "status": log.status,
        "scored": None if log.results is None else log.results.completed_samples,
        "answers": [sample.output.completion for sample in log.samples or []],
        "errors": [str(log.error)] * (log.error is not None),
        "models": sorted(log.stats.model_usage),
        "output_tokens": sum(usage.output_tokens for usage in log.stats.model_usage.values()),
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
