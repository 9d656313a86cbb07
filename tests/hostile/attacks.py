"""The kinds of attack, and the tests that hold against each."""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    """One kind: what is tried, the files and folders with its tests, and how many seconds they may take."""

    what: str
    tests: tuple[str, ...]
    seconds: int = 300


ATTACKS: dict[str, Attack] = {
    "pages": Attack(
        "markup and scripts in names, in a report opened in a real browser", ("tests/bench/test_html.py",)
    ),
    "terminals": Attack(
        "escape sequences and marks of direction, on a pseudo-terminal and in every text",
        ("tests/test_visible.py", "tests/cli/test_chat.py", "tests/cli/test_timeline.py"), 600,
    ),
    "tls": Attack("certificates of others, handshakes that hang, storms of them", ("tests/transport/test_tls.py",)),
    "http": Attack(
        "redirects, smuggled lines, responses nobody asked for, heads that are none",
        ("tests/transport/test_aiohttp.py", "tests/transport/test_exchange.py", "tests/transport/test_pool.py",
         "tests/transport/test_response.py", "tests/transport/test_long_headers.py"),
    ),
    "bombs": Attack(
        "bodies that unpack, nest or multiply beyond measure",
        ("tests/transport/test_unpacking.py", "tests/wire/test_heavy_answers.py", "tests/wire/test_linear_time.py",
         "tests/test_linear_expressions.py"), 900,
    ),
    "garbage": Attack(
        "answers and errors of any bytes, through router, decoders and classifier",
        ("tests/engine/test_garbage.py", "tests/wire/test_odd_answers.py", "tests/wire/test_halved_errors.py",
         "tests/engine/test_error_bodies.py", "tests/test_fuzz.py", "tests/test_hostile.py"), 900,
    ),
    "headers": Attack(
        "pauses, limits and costs that are nonsense",
        ("tests/wire/test_retry_after.py", "tests/wire/test_long_values.py", "tests/policies/test_announced_limits.py"),
    ),
    "secrets": Attack(
        "keys in errors, frames, logs, traces, pickles and pages, in any spelling; key functions that hang or lie",
        ("tests/router/test_planted_secrets.py", "tests/router/test_secrets.py", "tests/credentials",
         "tests/test_hostile_arguments.py"), 900,
    ),
    "ends": Attack(
        "streams that are closed or full, interrupts at any instant, cancellations that nobody has asked for",
        ("tests/cli/test_ends.py", "tests/engine/test_spurious_cancel.py"), 600,
    ),
    "storms": Attack(
        "cancellation at every await, closing in flight, crowds without descriptors",
        ("tests/engine/test_cancel.py", "tests/engine/test_cancel_scopes.py", "tests/engine/test_closing_in_flight.py",
         "tests/engine/test_race_over_sockets.py", "tests/transport/test_few_descriptors.py"), 900,
    ),
    "kills": Attack("a batch that is killed at any instant", ("tests/batch/test_kill.py",), 900),
    "disks": Attack(
        "disks that are full, recordings with half a line",
        ("tests/batch/test_full_disk.py", "tests/bench/test_trace.py"),
    ),
    "files": Attack(
        "links, names that can be guessed, rows that can hardly be written, a checkout's configuration",
        ("tests/test_files.py", "tests/batch/test_hostile_rows.py", "tests/cli/test_found_file.py"), 600,
    ),
    "names": Attack("ids that callers invent without end", ("tests/policies/test_bounded_names.py",)),
    "network": Attack(
        "hosts that move, names that cannot be looked up, connections that a NAT forgets",
        ("tests/transport/test_moving.py", "tests/transport/test_keep_alive.py",
         "tests/transport/test_other_versions.py"),
    ),
}
"""In the order in which they are run. All of them are part of the suite, too."""
