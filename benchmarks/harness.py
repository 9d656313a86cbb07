"""Does `asyncrouter bench` measure what another harness measures? Beside guidellm, on one paced server.

    python -m venv GUIDELLM && GUIDELLM/bin/python -m pip install guidellm
    python benchmarks/harness.py --guidellm GUIDELLM/bin/guidellm [--rounds 5] [--calls 200] [--json FILE]

The server (`_paced_server.py`) is a process of its own and draws the same waits for both, and notes itself when each
request came and when it wrote the first and the last token. The harnesses take turns, each with the same file of
prompts and eight streams at once. Time to the first token (TTFT), between two tokens (ITL, a mean per call), and of the
whole answer (e2e) are means over all calls, with 95 % intervals of the bootstrap over blocks of calls; throughput is
the mean over the rounds, with Student's interval. The server's own figures say what is right: what the client sees can
only be later, by loopback and by the client.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _machine import HERE, environment
from _paced_server import TOKENS

from asyncrouter.bench.stats import estimate_mean

STREAMS = 8
STUDENT_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}
"""The 97.5 % quantile of Student's distribution for the mean of so many rounds."""
MEASURES = {"ttft": "TTFT, s", "itl": "ITL, s", "e2e": "e2e, s"}
CONFIG = """
[providers.paced]
base_url = "{url}/v1"

[models.paced]
provider = "paced"
id = "paced"
usd_per_mtok = {{ input = 0, output = 0 }}
"""
PROMPT = re.compile(r"prompt (\d+):")


class Call(NamedTuple):
    """Seconds of one call: when it began and ended, on a clock of its run; TTFT, ITL and e2e."""

    began: float
    ended: float
    ttft: float
    itl: float
    e2e: float


class Round(NamedTuple):
    """One run of a harness: the calls as it saw them, and as the server did; how often each prompt was asked."""

    seen: list[Call]
    served: list[Call]
    prompts: Counter[str]


def main(guidellm: str, rounds: int, calls: int, kept: Path | None) -> None:
    found: dict[str, list[Round]] = {"asyncrouter": [], "guidellm": []}
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen(
        [sys.executable, str(HERE / "_paced_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        out = Path(directory)
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        (out / "prompts.txt").write_text("".join(f"prompt {number:04}: Name a river.\n" for number in range(calls)))
        try:
            for _ in range(rounds):
                found["asyncrouter"].append(one_round(url, lambda: ours(url, calls, out)))
                found["guidellm"].append(one_round(url, lambda: theirs(guidellm, url, calls, out)))
        finally:
            server.stdin.close()
    figures = {name: figures_of(done) for name, done in found.items()}
    verdicts = {name: overlap(figures["asyncrouter"][name], figures["guidellm"][name])
                for name in (*MEASURES, "calls_s")}
    for name, one in figures.items():
        print(f"{name}: {one['calls']} calls; the server counted {one['served']}, "
              f"each prompt {one['each_prompt']} times a round")
    for name, title in (*MEASURES.items(), ("calls_s", "calls a second")):
        cells = "   ".join(f"{who} {_text(one[name])} (server {_text(one[f'server_{name}'])})"
                           for who, one in figures.items())
        print(f"{title:16}{cells}   {'overlap' if verdicts[name] else 'APART'}")
    if kept is not None:
        said = subprocess.run([guidellm, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
        document = {**environment(), "peers": {"guidellm": said, "asyncrouter": version("asyncrouter")},
                    "rounds": rounds, "streams": STREAMS, "tokens": TOKENS, "figures": figures, "overlap": verdicts}
        kept.write_text(json.dumps(document, indent=1) + "\n")


def one_round(url: str, run) -> Round:
    """Run a harness, and read what the server has noted."""
    urllib.request.urlopen(f"{url}/report").read()  # the draws begin anew
    seen = run()
    noted = json.loads(urllib.request.urlopen(f"{url}/report").read())
    served = [Call(one["arrived"], one["last"], one["first"] - one["arrived"],
                   (one["last"] - one["first"]) / (TOKENS - 1), one["last"] - one["arrived"]) for one in noted]
    return Round(seen, served, Counter(PROMPT.search(one["prompt"]).group(1) for one in noted))


def ours(url: str, calls: int, out: Path) -> list[Call]:
    """The calls of `asyncrouter bench run`, from its requests.jsonl."""
    config = out / "config.toml"
    config.write_text(CONFIG.format(url=url))
    subprocess.run([sys.executable, "-m", "asyncrouter", "bench", "run", "--config", str(config), "--arm",
                    "streamed: model=paced stream", "--concurrency", str(STREAMS), "--calls", str(calls), "--prompts",
                    str(out / "prompts.txt"), "--budget-usd", "1", "--out", str(out / "ours")],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = map(json.loads, (out / "ours" / "requests.jsonl").read_text().splitlines())
    return [_call_of_row(row) for row in rows if row["outcome"] == "ok"]


def theirs(guidellm: str, url: str, calls: int, out: Path) -> list[Call]:
    """The calls of `guidellm run`, from its JSON."""
    backend = f"kind=openai_http,target={url},model=paced,request_format=/v1/chat/completions,http2=false"
    subprocess.run([guidellm, "run", "--backend", backend, "--profile", f"kind=concurrent,streams={STREAMS}",
                    "--constraint", f"kind=max_requests,count={calls}", "--data",
                    f"kind=text_file,path={out / 'prompts.txt'}", "--output", f"kind=json,path={out / 'theirs.json'}",
                    "--disable-console"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "HF_HUB_OFFLINE": "1"})
    [run] = json.loads((out / "theirs.json").read_text())["benchmarks"]
    timed = [one["info"]["timings"] for one in run["requests"]["successful"]]
    return [Call(one["request_start"], one["request_end"], one["first_token_iteration"] - one["request_start"],
                 (one["last_token_iteration"] - one["first_token_iteration"]) / (TOKENS - 1),
                 one["request_end"] - one["request_start"]) for one in timed]


def _call_of_row(row: dict) -> Call:
    attempt = row["attempts"][-1]
    return Call(row["started"], row["ended"], row["first"] - row["started"],
                (attempt["last"] - attempt["first"]) / (TOKENS - 1), row["ended"] - row["started"])


def figures_of(rounds: list[Round]) -> dict[str, object]:
    """The figures of a harness, and of the server meanwhile: value, low, high."""
    found: dict[str, object] = {"calls": sum(len(one.seen) for one in rounds),
                                "served": sum(len(one.served) for one in rounds),
                                "each_prompt": _range([n for one in rounds for n in one.prompts.values()])}
    for prefix, calls in (("", [one.seen for one in rounds]), ("server_", [one.served for one in rounds])):
        for name in MEASURES:
            mean = estimate_mean(np.array([getattr(call, name) for done in calls for call in done]))
            found[prefix + name] = [mean.value, mean.low, mean.high]
        found[f"{prefix}calls_s"] = _mean_of_rounds([len(done) / (max(call.ended for call in done) - min(
            call.began for call in done)) for done in calls])
    return found


def overlap(one: list[float], other: list[float]) -> bool:
    """Whether two intervals have something in common."""
    return one[1] <= other[2] and other[1] <= one[2]


def _mean_of_rounds(rates: list[float]) -> list[float]:
    mean, half = float(np.mean(rates)), STUDENT_975[len(rates)] * float(np.std(rates, ddof=1)) / len(rates) ** 0.5
    return [mean, mean - half, mean + half]


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _text(one: list[float]) -> str:
    return f"{one[0]:.4f} [{one[1]:.4f}, {one[2]:.4f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guidellm", required=True, help="the command guidellm, of an environment of its own")
    parser.add_argument("--rounds", type=int, default=5, choices=sorted(STUDENT_975), help="of each (default: 5)")
    parser.add_argument("--calls", type=int, default=200, help="calls of a round (default: 200)")
    parser.add_argument("--json", type=Path, dest="kept", help="file to write the figures to")
    main(**vars(parser.parse_args()))
