"""The names of all measures, and what each means. Shares are of 1, times are seconds, money is USD."""

POINTS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""The quantiles of every latency, by name."""

LATENCIES = {
    "e2e": "from the scheduled start to the whole answer; a failed call counts as infinite",
    "answered": "from the scheduled start to the whole answer, of answered calls only (survivorship bias: it flatters "
                "an arm that gives up early)",
    "service": "from the start of the call to its end, failed or not",
    "ttft": "from the scheduled start to the first content of the answer (time to first token); a failed call counts "
            "as infinite",
    "tpot": "(latency - ttft) / (output tokens - 1) of the answer, latency to its last content (time per output "
            "token, as vLLM and aiperf have it), tokens as its provider counted them",
    "itl": "between two contents of a streamed answer, all gaps of all calls together (inter-token latency, as vLLM "
           "has it; a content may hold several tokens)",
    "waiting": "of a call without a request in flight: queues, holds, pauses before a retry, the router itself",
}
"""The kinds of seconds that are measured."""

DEFINITIONS = {
    "calls": "calls that were measured, without the warm-up",
    "quality": "mean of the lowest score of each call: with yes-or-no scorers, calls whose answer passes all of them / "
               "calls; a call without an answer counts as 0",
    "success": "calls that got a whole answer from some model of the chain / calls",
    **{f"{point}_{name}": f"{point} of the seconds {text}" for name, text in LATENCIES.items() for point in POINTS},
    **{f"mean_{name}": f"mean of the seconds {text}" for name, text in LATENCIES.items()},
    **{f"max_{name}": f"largest of the seconds {text}" for name, text in LATENCIES.items()},
    "attempts": "requests sent / calls",
    "p99_attempts": "p99 of the requests sent for one call",
    "max_attempts": "most requests sent for one call",
    "fallback_rate": "calls in which a model was tried because the one before had failed / calls",
    "depth": "models asked / calls (a retry on the same model is not another model)",
    "hedges_fired": "calls with a hedge / calls",
    "hedges_won": "calls that a hedge answered / calls with a hedge",
    "hedges_denied": "hedges that were due and not allowed (no budget, or no other model to ask) / calls",
    "extra_load": "requests sent beyond the first / calls",
    "usd_per_1000": "dollars of all attempts for 1,000 calls, cancelled and failed ones included",
    "wasted_usd_per_1000": "dollars for 1,000 calls of attempts that were not the answer",
    "wasted_share": "wasted dollars / dollars",
    "estimated_share": "dollars that are our estimate (the provider reported no usage) / dollars",
    "usd_per_second_saved": "extra dollars for 1,000 calls against the baseline / seconds of p99_e2e saved against it",
    "saved_p50_e2e": "p50_e2e of the baseline - p50_e2e, paired",
    "saved_p95_e2e": "p95_e2e of the baseline - p95_e2e, paired",
    "saved_p99_e2e": "p99_e2e of the baseline - p99_e2e, paired",
    "saved_mean": "mean over the calls that both arms answered of the baseline's seconds - this arm's, paired",
    "saved_success": "success - success of the baseline, paired",
    "goodput": "calls a second that were answered within every limit of --slo",
    "goodput_share": "calls that were answered within every limit of --slo / calls",
    "offered_rate": "calls a second as scheduled",
    "achieved_rate": "answered calls a second until the last one ended (request throughput)",
    "p50_tokens_per_second": "p50 of the output tokens a second of one call after its first content, 1 / tpot",
    "mean_tokens_per_second": "mean of the output tokens a second of one call after its first content, 1 / tpot",
    "output_tokens_per_second": "output tokens of all answers a second until the last call ended (output throughput)",
    "mean_output_tokens": "output tokens of an answer, as its provider counted them",
    "peak_in_flight": "most calls in flight at once",
    "start_lag_p99": "p99 of the seconds by which the harness started a call late",
    "cpu_ms": "CPU milliseconds a call, of harness, router and (in a scenario) simulated models together",
}
"""Every measure a report may hold, by name; beside these there is `score_NAME` for each scorer."""
SCORE = "score_"
"""How the measure of one scorer begins; its name follows."""


def definition(name: str) -> str:
    """What a measure means."""
    if name in DEFINITIONS:
        return DEFINITIONS[name]
    return f"mean of the score that {name.removeprefix(SCORE)} gave; a call without an answer counts as 0"


def is_measure(name: str) -> bool:
    """Whether there may be a measure of this name."""
    return name in DEFINITIONS or (name.startswith(SCORE) and name != SCORE)
