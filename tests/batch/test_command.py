"""`asyncrouter batch`: files, options, what is shown where, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter.batch import Progress
from asyncrouter.cli._batch_output import progress_line, render
from asyncrouter.sim import Act
from tests.helpers.batching import ids, poisoned, read_lines, rows, write_lines
from tests.helpers.commandline import ROOT, command, environment, spawn

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell

CONFIG = """
default_provider = "sim"
tasks = {{ default = ["m"] }}
[providers.sim]
base_url = "{base_url}"
[models.m]
provider = "sim"
id = "m"
usd_per_mtok = {{ input = 1000000.0, output = 1000000.0 }}
"""
PROGRESS = Progress(
    rows=1000, skipped=100, done=300, failed=2, in_flight=64, seconds=10.0, rate=30.2, seconds_left=19.8,
    input_tokens=12_000, output_tokens=34_000, cost_usd=1.5, cost_known=True, projected_usd=4.5, hedges=3,
    models={"a": 0.75, "b": 0.25},
)


@pytest.fixture
def batch_shell(shell: Shell) -> Shell:
    shell.write(CONFIG)
    shell.world.model("m", poisoned)
    return shell


def test_a_file_in_a_file_out(batch_shell: Shell) -> None:
    """Answers and failures go to two files, the summary to standard error, and the status says that rows failed."""
    write_lines(Path("in.jsonl"), [*rows(3), {"id": "bad", "prompt": "malformed"}])

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--ordered")

    assert (done.status, done.out) == (1, "")
    assert ids(Path("out.jsonl")) == ["r0", "r1", "r2"]
    assert ids(Path("out.errors.jsonl")) == ["bad"]
    assert "3 answered, 1 failed, of 4 rows" in done.err
    assert "failed rows: 1 Rejected; they are in out.errors.jsonl" in done.err


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_proxy_of_the_environment_is_used(
    batch_shell: Shell, monkeypatch: pytest.MonkeyPatch, processes: str
) -> None:
    """Every process uses the environment's proxy, as other commands do. (Starting processes takes a second.)"""
    batch_shell.write(CONFIG.replace("{base_url}", "http://nowhere.invalid/v1"))
    write_lines(Path("in.jsonl"), rows(4))
    monkeypatch.setenv("HTTP_PROXY", batch_shell.base_url.removesuffix("/v1"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--processes", processes)

    assert (done.status, done.out) == (0, "")
    assert len(batch_shell.world.seen) == 4


def test_the_summary_as_json(batch_shell: Shell) -> None:
    """`--json` prints one object to standard output; a second run has nothing left to do."""
    write_lines(Path("in.jsonl"), rows(3))

    first, second = (batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--json") for _ in range(2))

    assert (first.status, json.loads(first.out)["done"], json.loads(first.out)["skipped"]) == (0, 3, 0)
    assert (second.status, json.loads(second.out)["done"], json.loads(second.out)["skipped"]) == (0, 0, 3)


def test_standard_input_to_standard_output(batch_shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With `-o -` nothing but answers goes to standard output."""
    Path("in.jsonl").write_bytes(b'{"id": "x", "prompt": "hi"}\n')
    with Path("in.jsonl").open("rb") as given:
        done = subprocess.run(
            command("batch", "-", "-o", "-"), stdin=given, capture_output=True, timeout=60, check=False
        )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "you said hi"


def test_a_pipe_with_a_name_is_read_as_standard_input_is(batch_shell: Shell) -> None:
    """A named pipe, as of `<(head -100 in.jsonl)`, can be the input, although a batch reads its input twice."""
    os.mkfifo("pipe")
    writing = threading.Thread(target=Path("pipe").write_text, args=('{"prompt": "hi"}\n',))
    writing.start()

    done = batch_shell.run("batch", "pipe", "-o", "out.jsonl")
    writing.join()

    assert done.status == 0
    assert read_lines(Path("out.jsonl"))[0]["text"] == "you said hi"


def test_a_template_for_standard_input_reads_it_as_csv(batch_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input has no suffix, so a prompt template says that it is a CSV table."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"word\nhouse\n")))

    done = batch_shell.run("batch", "-", "-o", "out.jsonl", "--prompt-template", "Translate: {word}")

    assert done.status == 0
    assert read_lines(Path("out.jsonl"))[0]["text"] == "you said Translate: house"


def test_problems_are_listed_and_nothing_is_sent(batch_shell: Shell) -> None:
    """Every invalid line is listed with its number, the status is 2, and nothing is sent."""
    Path("in.jsonl").write_text('{"prompt": "a"}\n{\n{"promt": "b"}\n')

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl")

    assert done.status == 2
    assert "in.jsonl: 2 problems" in done.err
    assert "line 2: is not JSON" in done.err
    assert "line 3: unknown field 'promt': did you mean 'prompt'?" in done.err
    assert batch_shell.world.requests == 0


def test_a_dry_run_sends_nothing_and_writes_nothing(batch_shell: Shell) -> None:
    """`--dry-run` prints the estimate, sends nothing and writes no file."""
    write_lines(Path("in.jsonl"), [{"prompt": "x" * 39, "max_tokens": 90}] * 2)

    shown = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--dry-run")
    as_json = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--dry-run", "--json")

    assert "2 rows: about 20 tokens in, 180 out" in shown.out
    assert (as_json.status, json.loads(as_json.out)["cost_usd"]) == (0, 200.0)
    assert batch_shell.world.requests == 0
    assert not Path("out.jsonl").exists()


def test_an_estimate_without_any_price_is_not_nothing(batch_shell: Shell) -> None:
    """An estimate names a model without a known price and does not count it as $0."""
    write_lines(Path("in.jsonl"), rows(2))

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--dry-run", "--model", "n")

    assert (done.status, done.out, done.err) == (
        0, "2 rows: about 4 tokens in, 1,000 out\nnot included, because their price is unknown: n\n", ""
    )


def test_an_unknown_task_is_reported_before_anything_is_paid(batch_shell: Shell) -> None:
    """Where the file allows it, an unknown task takes the default chain, and a warning says so first."""
    batch_shell.write('unknown_task = "default"\n' + CONFIG)
    write_lines(Path("in.jsonl"), rows(1))

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--task", "codign")

    assert done.err.splitlines()[0] == 'asyncrouter: unknown task \'codign\': taking the chain of "default"'


def test_an_unknown_task_in_a_row_is_refused(batch_shell: Shell) -> None:
    """It is a problem of its line, with the nearest name; nothing is sent."""
    batch_shell.write(CONFIG.replace("default = ", 'coding = ["m"], default = '))
    write_lines(Path("in.jsonl"), [{"prompt": "x", "task": "coding"}, {"prompt": "x", "task": "codign"}])

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl")

    assert done.status == 2
    assert "line 2: task: unknown task 'codign'; did you mean 'coding'?" in done.err
    assert not batch_shell.world.seen


def test_rows_that_name_their_own_models_need_no_default_task(batch_shell: Shell) -> None:
    """A configuration without a default task is enough when each row names its own."""
    batch_shell.write(CONFIG.replace("default =", "coding ="))
    write_lines(Path("in.jsonl"), [{"prompt": "x", "task": "coding"}])

    assert batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl").status == 0


def test_a_run_to_standard_output_cannot_be_resumed(batch_shell: Shell) -> None:
    """A run that wrote to standard output cannot be resumed, so the summary does not suggest it."""
    write_lines(Path("in.jsonl"), [{"prompt": "x", "max_tokens": 4}] * 9)

    done = batch_shell.run("batch", "in.jsonl", "-o", "-", "--budget-usd", "20")

    assert done.status == 3
    assert "stopped: the budget of $20 has no room for another row" in done.err
    assert "goes on" not in done.err


def test_a_budget_stops_it_with_a_status_of_its_own(batch_shell: Shell) -> None:
    """A run that is out of budget ends with status 3, after some answers."""
    write_lines(Path("in.jsonl"), [{"prompt": f"x{n}", "max_tokens": 4} for n in range(30)])

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--budget-usd", "40", "--max-concurrency", "2")

    assert done.status == 3
    assert "stopped: the budget of $40 has no room for another row" in done.err
    assert 0 < len(ids(Path("out.jsonl"))) < 30


def test_options_reach_the_wire(batch_shell: Shell) -> None:
    """The chain and the parameters given as options are used for every row."""
    batch_shell.world.model("n", Act())
    write_lines(Path("in.jsonl"), rows(2))

    done = batch_shell.run(
        "batch", "in.jsonl", "-o", "out.jsonl", "--chain", "n,m", "--param", "temperature=0.5", "--max-attempts", "1"
    )

    assert done.status == 0
    assert [(seen.model, seen.body["temperature"]) for seen in batch_shell.world.seen] == [("n", 0.5)] * 2


def test_progress_as_json_lines(batch_shell: Shell) -> None:
    """`--progress json` writes a JSON object a line to standard error, from the first to the last row."""
    write_lines(Path("in.jsonl"), rows(3))

    done = batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--progress", "json")

    updates = [json.loads(each) for each in done.err.splitlines() if each.startswith("{")]
    assert (updates[0]["done"], updates[-1]["done"]) == (0, 3)


def test_progress_on_one_line() -> None:
    """The line of progress has rows, rate, cost, projected cost and time left."""
    expected = "400 of 1,000 done, 2 failed, 64 in flight, 30.2/s, $1.5000 of about $4.5000, 19.8 s left"
    assert progress_line(PROGRESS) == expected


def test_progress_on_a_terminal() -> None:
    """On a terminal the progress also has the tokens and each model's share."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with console.capture() as captured:
        console.print(render(PROGRESS))

    shown = captured.get()
    assert "400 of 1,000 done" in shown
    assert "12,000 tokens in, 34,000 out" in shown
    assert "a 75%  b 25%  3 hedges" in shown


def begun(batch_shell: Shell) -> subprocess.Popen[str]:
    """A batch of 100 rows in a process of its own, with its first rows on their way."""
    write_lines(Path("in.jsonl"), rows(100))
    process = subprocess.Popen(
        command("batch", "in.jsonl", "-o", "out.jsonl", "--progress", "none"), stderr=subprocess.PIPE, text=True,
        env=environment(),
    )
    limit = time.monotonic() + 20
    while batch_shell.world.requests < 16 and time.monotonic() < limit:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_rows_in_flight(batch_shell: Shell, number: signal.Signals) -> None:
    """After Ctrl-C or SIGTERM rows in flight are answered, and no more are sent. (Over 1 s: a whole answer.)"""
    batch_shell.world.model("m", Act(first_token=0.7))
    process = begun(batch_shell)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "letting the rows in flight finish; Ctrl-C again cancels them" in err
    assert "84 left" in err
    assert batch_shell.world.requests == len(ids(Path("out.jsonl"))) == 16


def test_a_second_ctrl_c_stops_at_once(batch_shell: Shell) -> None:
    """A second Ctrl-C does not wait for answers that never come."""
    batch_shell.world.model("m", Act(fault="hang"))
    process = begun(batch_shell)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "Ctrl-C again cancels them" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "the same command resumes it" in err
    assert "Traceback" not in err


def test_further_ctrl_cs_change_nothing(batch_shell: Shell) -> None:
    """A third Ctrl-C, and any further one, leaves the status at 130 and shows no traceback."""
    batch_shell.world.model("m", Act(fault="hang"))
    process = begun(batch_shell)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "Ctrl-C again cancels them" in process.stderr.readline()
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "the same command resumes it" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_before_anything_is_sent_ends_it_there_and_then(batch_shell: Shell, processes: str) -> None:
    """Ctrl-C during the check of the input ends all processes, without a traceback. (The check takes seconds.)"""
    write_lines(Path("in.jsonl"), rows(300_000))
    process = subprocess.Popen(
        command("batch", "in.jsonl", "-o", "out.jsonl", "--processes", processes),
        stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment(),
    )
    limit = time.monotonic() + 20
    while "in.jsonl" not in opened(process.pid) and time.monotonic() < limit:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=20)

    assert (process.returncode, batch_shell.world.requests) == (130, 0)
    assert err == "asyncrouter: stopped; the same command resumes it with the rows that have no answer\n"
    assert not Path("out.jsonl").exists()


def opened(process: int) -> set[str]:
    """The names of the files that a process has open."""
    names = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            names.add(link.readlink().name)
    return names


def test_a_full_disk(batch_shell: Shell) -> None:
    """A full disk ends the run with status 3, and the summary says that the same command resumes."""
    write_lines(Path("in.jsonl"), rows(3))

    done = batch_shell.run("batch", "in.jsonl", "-o", "/dev/full", "--errors", "errors.jsonl")

    assert done.status == 3
    assert "stopped: /dev/full: No space left on device; the same command resumes it" in done.err
    assert "0 answered" in done.err


def test_two_processes_answer_every_row_once(batch_shell: Shell) -> None:
    """Two processes answer each row once, into one output with one summary. (Starting processes takes a second.)"""
    write_lines(Path("in.jsonl"), [*rows(200), {"id": "bad", "prompt": "malformed"}])

    done = spawn("batch", "in.jsonl", "-o", "out.jsonl", "--processes", "2", "--json", "--ordered")

    assert done.status == 1, done.err
    assert ids(Path("out.jsonl")) == [row["id"] for row in rows(200)]
    report = json.loads(done.out)
    assert (report["done"], report["failed"], report["attempts"], report["left"]) == (200, 1, 201, 0)
    assert batch_shell.world.requests == 201
    assert ids(Path("out.errors.jsonl")) == ["bad"]


def test_two_processes_share_a_budget(batch_shell: Shell) -> None:
    """Two processes together stay within the budget. (Starting processes takes a second.)"""
    write_lines(Path("in.jsonl"), [{"prompt": f"x{n}", "max_tokens": 4} for n in range(60)])

    done = spawn("batch", "in.jsonl", "-o", "out.jsonl", "--processes", "2", "--budget-usd", "60", "--json")

    report = json.loads(done.out)
    assert done.status == 3, done.err
    assert 0 < report["cost_usd"] <= 60
    assert report["stopped"] == f"the budget of $60 has no room for another row: ${report['cost_usd']:g} are spent"


def test_a_warning_of_every_process_is_written_once(batch_shell: Shell) -> None:
    """A warning that every process has is written once. (Starting processes takes a second.)"""
    write_lines(Path("in.jsonl"), [{"prompt": f"x{n}", "model": "nowhere"} for n in range(4)])

    done = spawn("batch", "in.jsonl", "-o", "out.jsonl", "--processes", "2", "--progress", "none")

    assert done.status == 3, done.err
    [warning] = [line for line in done.err.splitlines() if "does not exist" in line]
    assert warning.startswith("asyncrouter: nowhere: ")


def test_ctrl_c_reaches_every_process(batch_shell: Shell) -> None:
    """After Ctrl-C the rows in flight in each process are answered. (Starting processes takes a second.)"""
    batch_shell.world.model("m", Act(first_token=0.7))
    write_lines(Path("in.jsonl"), rows(100))
    process = subprocess.Popen(
        command("batch", "in.jsonl", "-o", "out.jsonl", "--progress", "none", "--processes", "2"),
        stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment(),
    )
    limit = time.monotonic() + 20
    while batch_shell.world.requests < 16 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130, err
    assert batch_shell.world.requests == len(ids(Path("out.jsonl"))) < 100


def test_a_process_that_dies_ends_the_batch_and_loses_nothing(batch_shell: Shell) -> None:
    """When a process is killed the run stops, and the next one answers the rest. (Processes take a second.)"""
    batch_shell.world.model("m", Act(first_token=0.7))
    write_lines(Path("in.jsonl"), rows(60))
    process = subprocess.Popen(
        command("batch", "in.jsonl", "-o", "out.jsonl", "--progress", "none", "--processes", "2"),
        stderr=subprocess.PIPE, text=True,
    )
    limit = time.monotonic() + 20
    while batch_shell.world.requests < 16 and time.monotonic() < limit:
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 3
    assert "stopped: a process died" in err
    assert f"{len(ids(Path('out.jsonl')))} answered" in err
    batch_shell.world.model("m", Act())
    assert batch_shell.run("batch", "in.jsonl", "-o", "out.jsonl").status == 0
    assert sorted(map(str, ids(Path("out.jsonl")))) == sorted(str(row["id"]) for row in rows(60))
