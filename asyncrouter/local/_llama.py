"""Runs as a script, in a child process: llama.cpp's HTTP server with one model, as its standard input orders."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import xllamacpp


def main() -> None:
    """Serve until the standard input ends; say the address when the model is loaded."""
    order = json.loads(sys.stdin.readline())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever native code prints belongs into the log
    ended = threading.Thread(target=_end_with_parent, daemon=True)
    ended.start()
    server = xllamacpp.Server(_parameters(order))  # lives as long as this name
    print(server.listening_address, file=answers, flush=True)
    ended.join()


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(0)  # at once: a regular exit would wait for the requests that are running


def _parameters(order: dict[str, object]) -> object:
    given = xllamacpp.CommonParams()
    given.model.path = order["weights"]
    given.model_alias = {order["alias"]}
    given.chat_template = Path(str(order["template"])).read_text(encoding="utf-8")
    given.hostnames = ["127.0.0.1"]
    given.port = order["port"]
    given.offline = True
    given.n_parallel = order["slots"]
    given.n_ctx = int(str(order["context"])) * int(str(order["slots"]))
    given.kv_unified = False
    given.n_batch = given.n_ubatch = 64  # small, so that a client that left is noticed while its prompt is read
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = order["threads"]
    given.cache_ram_mib = 0  # its default is 8 GB of remembered prompts
    given.endpoint_metrics = given.endpoint_slots = True
    given.verbosity = 2  # errors and warnings
    if order["key"] is not None:
        given.api_keys = [order["key"]]
    if order["ping"] is not None:
        given.sse_ping_interval = order["ping"]
    return given


if __name__ == "__main__":
    main()
