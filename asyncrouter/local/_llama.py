"""The script of the child process: llama.cpp's HTTP server with one model, and options read from standard input."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import xllamacpp


def main() -> None:
    """Serve until the standard input is closed; write the address to standard output when the model is loaded."""
    options = json.loads(sys.stdin.readline())
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints goes to the log
    ended = threading.Thread(target=_end_with_parent, daemon=True)
    ended.start()
    server = xllamacpp.Server(_parameters(options))  # it serves for as long as this object exists
    print(server.listening_address, file=output, flush=True)
    ended.join()


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(0)  # at once: an ordinary exit would wait for running requests


def _parameters(options: dict[str, object]) -> object:
    given = xllamacpp.CommonParams()
    given.model.path = options["weights"]
    given.model_alias = {options["alias"]}
    given.chat_template = Path(str(options["template"])).read_text(encoding="utf-8")
    given.hostnames = ["127.0.0.1"]
    given.port = options["port"]
    given.offline = True
    given.n_parallel = options["slots"]
    given.n_ctx = int(str(options["context"])) * int(str(options["slots"]))
    given.kv_unified = False
    given.n_batch = given.n_ubatch = 64  # small, so that a client that left is noticed while its prompt is read
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = options["threads"]
    given.cache_ram_mib = 0  # its default is 8 GB of remembered prompts
    given.endpoint_metrics = given.endpoint_slots = True
    given.verbosity = 2  # errors and warnings
    if options["key"] is not None:
        given.api_keys = [options["key"]]
    if options["ping"] is not None:
        given.sse_ping_interval = options["ping"]
    return given


if __name__ == "__main__":
    main()
