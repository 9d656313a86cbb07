"""The local model with answers of 400 tokens: does a batch at default settings lose a row, and how fast is it?

    python benchmarks/batch_local.py [--rows 48] [--tokens 400] [--fixed 1,2,4,8,16] [--json results/batch_local.json]

SmolLM2 behind llama.cpp's HTTP server with eight slots and one thread (`asyncrouter.local`). The fixed windows are
pools of so many workers over the same router. Tokens a second are those of all answers over the time of the whole run;
`share` is the batch's beside the best fixed window's. Wants a quiet machine with two cores; `--fixed ""` leaves the
fixed windows out, and shows alone that no row fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from _machine import environment

from asyncrouter import Router, batch, local

ALIAS = "smollm2"


def main() -> None:
    """Print each run, and keep them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=400, help="tokens of each answer, which is cut there")
    parser.add_argument("--fixed", default="1,2,4,8,16", help="fixed windows, separated by commas")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "batch_local.json")
    options = parser.parse_args()
    prompts = [f"Tell a long story about the number {number}." for number in range(options.rows)]
    with local.serve() as server:
        config = server.config()
        ours = asyncio.run(by_batch(config, prompts, options.tokens))
        print("batch", json.dumps(ours), flush=True)
        fixed: dict[str, float] = {}
        for window in filter(None, options.fixed.split(",")):
            fixed[window] = asyncio.run(by_pool(config, prompts, options.tokens, int(window)))
            print(window, fixed[window], flush=True)
    figures = {"rows": options.rows, "max_tokens": options.tokens, "batch": ours, "fixed": fixed}
    if fixed:
        figures["share"] = round(float(ours["tokens_a_second"]) / max(fixed.values()), 3)
    options.json.write_text(json.dumps({**environment(), "figures": figures}, indent=1) + "\n")


async def by_batch(config: dict[str, object], prompts: list[str], tokens: int) -> dict[str, float]:
    """`batch.run` as it comes."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "in.jsonl"
        rows = ({"id": n, "prompt": prompt, "max_tokens": tokens} for n, prompt in enumerate(prompts))
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))  # before the run
        async with Router(config) as router:
            report = await batch.run(router, source, Path(directory) / "out.jsonl", model=ALIAS)
    return {
        "done": report.done, "failed": report.failed, "left": report.left, "attempts": report.attempts,
        "mean_tokens": round(report.output_tokens / max(1, report.done)), "seconds": round(report.seconds, 1),
        "tokens_a_second": round(report.output_tokens / report.seconds, 1),
    }


async def by_pool(config: dict[str, object], prompts: list[str], tokens: int, window: int) -> float:
    """Tokens a second of so many workers."""
    left, made, began = iter(prompts), 0, time.monotonic()
    async with Router(config) as router:

        async def work() -> None:
            nonlocal made
            for prompt in left:
                reply = await router.chat(
                    prompt, model=ALIAS, max_tokens=tokens, deadline=None, first_token=None, idle=None, total=None
                )
                made += 0 if reply.usage is None else reply.usage.output_tokens or 0

        await asyncio.gather(*(work() for _ in range(window)))
    return round(made / (time.monotonic() - began), 1)


if __name__ == "__main__":
    main()
