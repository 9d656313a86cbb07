"""`asyncrouter chat`: what is sent, what is printed, and the exit status."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act
from tests.helpers.commandline import command, environment, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.helpers.commandline import Shell


def body(shell: Shell) -> Mapping[str, object]:
    return shell.world.seen[-1].body


def test_the_whole_answer_goes_into_a_pipe(shell: Shell) -> None:
    """The text and a line end are printed, nothing else, and the status is 0."""
    shell.world.model("a", Act(text="Good morning."))

    assert shell.run("chat", "Hello") == (0, "Good morning.\n", "")
    assert body(shell)["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_pipe_never_sees_half_an_answer(shell: Shell) -> None:
    """An answer that breaks off is not printed; the next model's is."""
    shell.world.model("a", Act(text="one two three", fault="cut", at=2))
    shell.world.model("b", Act(text="sound"))

    assert shell.run("chat", "Hello") == (0, "sound\n", "")


def test_the_prompt_from_standard_input(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads the prompt from standard input, as UTF-8."""
    shell.world.model("a", Act(text="ok"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Grüß dich\n".encode())))

    assert shell.run("chat", "-").status == 0
    assert body(shell)["messages"] == [{"role": "user", "content": "Grüß dich\n"}]


def test_standard_input_that_is_not_utf_8(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a usage error that says at which byte."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))

    done = shell.run("chat", "-")

    assert done.status == 2
    assert "standard input is not UTF-8: byte 2" in done.err


def test_the_system_message_comes_first(shell: Shell) -> None:
    """--system is sent before the prompt."""
    shell.world.model("a", Act(text="ok"))

    assert shell.run("chat", "Hello", "--system", "Be brief.").status == 0
    assert body(shell)["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


def test_parameters_are_json_where_they_can_be(shell: Shell) -> None:
    """Numbers and lists are sent as such, everything else as text; null is left out."""
    shell.world.model("a", Act(text="ok"))
    given = ["temperature=0.2", 'stop=["x"]', "user=alice=1", "seed=null", "tag="]

    done = shell.run("chat", "Hello", *(part for text in given for part in ("--param", text)))

    assert done.status == 0, done.err
    expected = {"temperature": 0.2, "stop": ["x"], "user": "alice=1", "tag": ""}
    assert {name: body(shell)[name] for name in expected} == expected
    assert "seed" not in body(shell)


def test_images_from_a_file_and_from_a_url(shell: Shell) -> None:
    """A file is sent inside the message, a URL as it is."""
    shell.world.model("a", Act(text="ok"))
    picture = b"\x89PNG"
    Path("dot.png").write_bytes(picture)

    done = shell.run("chat", "What is it?", "--image", "dot.png", "--image", "https://h.test/x.jpg")

    assert done.status == 0, done.err
    inside = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    assert body(shell)["messages"] == [
        {"role": "user", "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": inside}},
            {"type": "image_url", "image_url": {"url": "https://h.test/x.jpg"}},
        ]}
    ]


@pytest.mark.parametrize(
    ("options", "models"),
    [
        ([], ["a", "b"]),
        (["--task", "coding"], ["b", "a"]),
        (["--model", "b"], ["b"]),
        (["--chain", "b, a,b"], ["b", "a", "b"]),
        (["--tier", "budget"], ["b"]),
        (["--tier"], ["b", "a"]),
        (["--task", "coding", "--tier=budget"], ["b"]),
    ],
)
def test_which_models_are_asked(shell: Shell, options: list[str], models: list[str]) -> None:
    """The options are those of `Router.chat`; --tier without a name is `standard`."""
    for name in "ab":
        shell.world.model(name, Act(status=404))

    assert shell.run("chat", "Hello", *options).status == 1
    asked = [seen.model for seen in shell.world.seen]
    assert list(dict.fromkeys(asked)) == list(dict.fromkeys(models))


def test_deadline_and_hedge_are_used(shell: Shell) -> None:
    """Two silent models end at the deadline; the hedge was sent before."""
    for name in "ab":
        shell.world.model(name, Act(fault="hang"))

    done = shell.run("chat", "Hello", "--deadline", "0.8", "--hedge", "0.05", "--json")

    assert done.status == 1
    answer = json.loads(done.out)
    assert answer["error"]["type"] == "DeadlineExceeded"
    assert [attempt["cause"] for attempt in answer["trace"]["attempts"]] == ["first", "hedge"]
    assert "give it a longer --deadline" in done.err


def test_json_is_one_object(shell: Shell) -> None:
    """--json prints text, model, usage, cost and the trace with every attempt, and nothing on standard error."""
    shell.world.model("b", Act(status=500, message="down"))
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    shell.world.model("a", Act(text="two words", usage=usage, served_model="a-1"))

    done = shell.run("chat", "Hello", "--task", "coding", "--json")

    assert (done.status, done.err) == (0, "")
    assert done.out.count("\n") == 1
    answer = json.loads(done.out)
    trace = answer.pop("trace")
    assert answer == {
        "text": "two words", "reasoning": "", "tool_calls": [], "finish_reason": "stop", "model": "a",
        "served_model": "a-1", "cost_usd": 7.0, "error": None, "parsed": None,
        "usage": {
            "input_tokens": 3, "output_tokens": 2, "cached_tokens": 0, "reasoning_tokens": 0, "cache_write_tokens": 0,
            "cache_write_1h_tokens": 0, "service_tier": None,
        },
    }
    assert (trace["task"], trace["cost_usd"], trace["cost_estimated"]) == ("coding", 7.0, False)
    failed, won = trace["attempts"]
    assert (failed["model"], failed["outcome"], failed["status"]) == ("b", "failed", 500)
    assert failed["error"] == {"type": "ServerFailed", "message": "down", "status": 500, "code": "server_error"}
    assert (won["model"], won["outcome"], won["cause"], won["error"]) == ("a", "won", "fallback", None)


def test_json_of_a_failure_has_the_same_keys(shell: Shell) -> None:
    """It has the error and the trace; the status is 1, and the message is on standard error too."""
    shell.world.model("a", Act(text="ok")).then(Act(status=404, message="gone"))

    fine, failed = (shell.run("chat", "Hello", "--model", "a", "--json") for _ in range(2))

    assert failed.status == 1
    answer = json.loads(failed.out)
    assert answer.keys() == json.loads(fine.out).keys()
    assert answer["error"]["type"] == "AllModelsFailed"
    assert answer["text"] is None
    assert "asyncrouter: All models failed: a: gone" in failed.err


def test_tool_calls_are_printed_a_line_each(shell: Shell) -> None:
    """Of an answer without text, the tool calls are printed as JSON."""
    shell.world.model("a", Act(text="", tool_calls=[{"name": "look", "arguments": '{"x": 1}'}]))

    done = shell.run("chat", "Hello")

    assert done.status == 0
    [line] = done.out.splitlines()
    assert json.loads(line)["function"] == {"name": "look", "arguments": '{"x": 1}'}


def test_a_cut_answer_says_so(shell: Shell) -> None:
    """An answer that has reached its limit of tokens is printed, with a warning on standard error."""
    shell.world.model("a", Act(text="one two", finish_reason="length"))

    done = shell.run("chat", "Hello")

    assert (done.status, done.out) == (0, "one two\n")
    assert done.err == "asyncrouter: the answer stops here because it has reached its limit of tokens\n"


def test_the_trace_is_drawn_on_standard_error(shell: Shell) -> None:
    """Only the answer goes to standard output."""
    shell.world.model("a", Act(status=500, message="down"))
    shell.world.model("b", Act(text="ok"))

    done = shell.run("chat", "Hello", "--trace")

    assert (done.status, done.out) == (0, "ok\n")
    assert "first: failed after" in done.err
    assert "down" in done.err
    assert "b answered after" in done.err


def test_all_models_failed(shell: Shell) -> None:
    """Status 1, and one message with the most useful cause and what to do next; nothing on standard output."""
    shell.world.model("a", Act(status=500))
    shell.world.model("b", Act(status=404, message="No such model"))

    done = shell.run("chat", "Hello")

    assert (done.status, done.out) == (1, "")
    message = "asyncrouter: All default models failed: b: No such model (HTTP 404)\n  --trace draws every attempt\n"
    assert done.err == message


def test_a_refusal_is_a_failure_of_its_own(shell: Shell) -> None:
    """`Refused` is status 1 with the provider's message."""
    shell.world.model("a", Act(status=400, code="content_policy_violation", message="Not this."))

    done = shell.run("chat", "Hello")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("asyncrouter: a: Not this.")


def test_a_missing_key_says_what_to_do(shell: Shell) -> None:
    """The message names the variable, and the commands that help."""
    Path("asyncrouter.toml").unlink()

    done = shell.run("chat", "Hello")

    assert done.status == 2
    assert "OPENROUTER_API_KEY is not set\n  set it in the environment; `asyncrouter check` checks all keys" in done.err


def allow_unknown_tasks() -> None:
    """Let the configuration say that the default chain is meant for them."""
    path = Path("asyncrouter.toml")
    path.write_text('unknown_task = "default"\n' + path.read_text())


@pytest.mark.parametrize("command", ["chat", "explain", "batch"])
def test_an_unknown_task_on_the_command_line(shell: Shell, command: str) -> None:
    """It is a slip: status 2 with the nearest name, and nothing is sent, unless the file says what it means."""
    Path("in.jsonl").write_text('{"prompt": "x"}\n')
    arguments = {"chat": ["Hello"], "explain": [], "batch": ["in.jsonl", "-o", "out.jsonl"]}[command]

    done = shell.run(command, *arguments, "--task", "codng")

    assert (done.status, done.out) == (2, "")
    assert "task: unknown task 'codng'; did you mean 'coding'?" in done.err
    assert not shell.world.seen


def test_a_notice_is_printed_beside_the_answer(shell: Shell) -> None:
    """It is printed once, on standard error."""
    shell.world.model("a", Act(text="ok"))

    allow_unknown_tasks()
    done = shell.run("chat", "Hello", "--task", "cooking")

    assert (done.status, done.out) == (0, "ok\n")
    assert done.err.count("unknown task 'cooking'") == 1


def test_an_unknown_task_is_named_beside_a_failure(shell: Shell) -> None:
    """It was another task's chain that failed; other notices are not repeated."""
    shell.world.model("a", Act(status=400, message="no such thing"))

    allow_unknown_tasks()
    done = shell.run("chat", "Hello", "--task", "codng")

    assert (done.status, done.out) == (1, "")
    assert "unknown task 'codng' (did you mean 'coding'?)" in done.err
    assert done.err.count("no such thing") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'PROMPT'"),
        (["  "], "PROMPT is empty"),
        (["\udcff"], "PROMPT is not valid Unicode"),
        (["x", "--system", ""], "--system is empty"),
        (["x", "--tier", "budget", "--model", "a"], "tier, chain and model each say which models are tried"),
        (["x", "--tier", "gold"], "tier: unknown tier 'gold'; the tiers are budget, standard"),
        (["x", "--model", "nobody:x/y/:", "--deadline", "-1"], "deadline: expected seconds above 0"),
        (["x", "--deadline", "soon"], "expected seconds or none, got 'soon'"),
        (["x", "--hedge", "soon"], "expected seconds or p95 or auto or none, got 'soon'"),
        (["x", "--hedge", "p7"], "hedge.after: expected seconds, a quantile like"),
        (["x", "--param", "temperature"], "expected name=value, got 'temperature'"),
        (["x", "--param", "stream=true"], "params.stream: is set by the router"),
        (["x", "--image", "notes.txt"], "notes.txt: expected an image"),
        (["x", "--image", "none.png"], "none.png: No such file or directory"),
        (["x", "--chain", "a,,b"], "chain.models[1]: expected a model's name"),
        (["x", "--config", "none.toml"], "none.toml: cannot be read: No such file or directory"),
        (["x", "--verbose"], "No such option"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_sent(shell: Shell, arguments: list[str], message: str) -> None:
    """Status 2, with the argument and what is wrong with it."""
    done = shell.run("chat", *arguments)

    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert not shell.world.seen


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_into_a_pipe_that_breaks(shell: Shell) -> None:
    """With --stream a pipe gets the answer as it comes; another model never continues it."""
    shell.world.model("a", Act(text="one two three", fault="cut", at=2))
    shell.world.model("b", Act(text="sound"))

    done = shell.run("chat", "Hello", "--stream")

    assert (done.status, done.out) == (1, "one two\n")
    assert "the stream broke after 7 characters" in done.err
    assert "with --no-stream nothing is printed until an answer is complete" in done.err


class Terminal:
    """A command on a pseudo-terminal, and everything it prints there."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment(TERM="xterm", COLUMNS="80"),
        )
        os.close(theirs)
        self.shown = ""

    def read(self, until: str | None = None) -> str:
        """What it has printed, up to `until` or to its end."""
        while until is None or until not in self.shown:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # Linux: the other side is gone
                break
            if not data:
                break
            self.shown += data.decode()
        return self.shown

    def end(self) -> int:
        self.read()
        os.close(self._ours)
        return self.process.wait(10)


def test_on_a_terminal_a_broken_answer_begins_again(shell: Shell) -> None:
    """The first part is printed, then a warning, then the whole answer of the next model."""
    shell.world.model("a", Act(text="one two three", fault="cut", at=2))
    shell.world.model("b", Act(text="a sound answer"))

    terminal = Terminal("chat", "Hello")

    assert terminal.end() == 0
    first, warning, whole = terminal.shown.splitlines()
    assert first == "one two"
    assert "the answer broke off; the next model begins it again:" in warning
    assert whole == "a sound answer"


def test_a_model_cannot_move_the_cursor(shell: Shell) -> None:
    """Control characters of an answer are not sent to the terminal."""
    shell.world.model("a", Act(text="red \x1b[31mor\x07 \x9bnot"))

    terminal = Terminal("chat", "Hello")

    assert terminal.end() == 0
    assert terminal.shown.strip() == "red [31mor not"


def test_ctrl_c_ends_a_stream_at_once(shell: Shell) -> None:
    """Status 130 within seconds, without a traceback."""
    shell.world.model("a", Act(text="well begun", gap=60.0))
    terminal = Terminal("chat", "Hello")
    terminal.read(until="well")

    began = time.monotonic()
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 130
    assert time.monotonic() - began < 5.0
    assert terminal.shown.strip() == "well"


@contextmanager
def interrupted(shell: Shell, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose request has been sent, to be interrupted; it is killed at the end."""
    with subprocess.Popen(
        command("chat", "Hello", *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as asking:
        try:
            while not shell.world.seen:
                assert asking.poll() is None, asking.communicate()
                time.sleep(0.01)
            yield asking
        finally:
            asking.kill()


def test_ctrl_c_before_the_first_content(shell: Shell) -> None:
    """Status 130, and nothing is printed."""
    shell.world.model("a", Act(fault="hang"))
    with interrupted(shell) as asking:
        asking.send_signal(signal.SIGINT)
        assert asking.communicate(timeout=10) == (b"", b"")
    assert asking.returncode == 130


@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_ctrl_c_with_trace_draws_the_trace(shell: Shell, how: str) -> None:
    """The attempts until then are drawn on standard error."""
    shell.world.model("a", Act(text="well begun", gap=60.0))
    with interrupted(shell, "--trace", how) as asking:
        asking.send_signal(signal.SIGINT)
        _, drawn = asking.communicate(timeout=10)

    assert asking.returncode == 130
    assert "first: cancelled" in drawn.decode()
    assert "Traceback" not in drawn.decode()


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.01])
def test_ctrl_c_twice_is_as_quiet(shell: Shell, pause: float) -> None:
    """The second one cuts the closing short, and nothing complains of connections left open."""
    shell.world.model("a", Act(text="well begun", gap=60.0))
    with interrupted(shell, "--no-stream") as asking:
        asking.send_signal(signal.SIGINT)
        time.sleep(pause)  # while it closes
        asking.send_signal(signal.SIGINT)
        assert asking.communicate(timeout=10) == (b"", b"")

    assert asking.returncode in {130, -signal.SIGINT}  # of both a shell says 130


@pytest.mark.parametrize("how", ["--stream", "--no-stream", "--json"])
def test_a_closed_pipe_is_no_error(shell: Shell, how: str) -> None:
    """Nothing is printed, and the status is that of a program ended by SIGPIPE."""
    shell.world.model("a", Act(tokens=20_000))
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        command("chat", "Hello", how), stdout=theirs, stderr=subprocess.PIPE, env=environment(), check=False, timeout=30
    )
    os.close(theirs)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
@pytest.mark.parametrize("arguments", [["chat", "Hello"], ["--help"], ["explain"]])
def test_a_full_device_is_one_message(shell: Shell, arguments: list[str]) -> None:
    """Status 1, and no second message when the interpreter exits."""
    shell.world.model("a", Act(tokens=20_000))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, env=environment(), check=False, timeout=30
        )

    assert (done.returncode, done.stderr) == (1, b"asyncrouter: No space left on device\n")


def test_characters_that_the_output_lacks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are printed as question marks; the answer is not lost."""
    shell.world.model("a", Act(text="naïve ✓"))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    assert spawn("chat", "Hello") == (0, "na?ve ?\n", "")


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_is_piped_in_is_put_below_the_prompt(shell: Shell, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A pipe or a file on standard input beside a prompt is a part of it; an empty one is not."""
    shell.world.model("a", Act(text="ok"))
    for text in ("line 1\nline 2\n", " \n"):
        if kind == "file":
            Path("piped.txt").write_text(text)
            source = open("piped.txt")  # noqa: SIM115
        else:
            read, write = os.pipe()
            os.write(write, text.encode())
            os.close(write)
            source = os.fdopen(read)
        with source:
            monkeypatch.setattr(sys, "stdin", source)
            assert shell.run("chat", "Explain.", "--model", "a").status == 0

    assert [seen.body["messages"][-1]["content"] for seen in shell.world.seen] == [
        "Explain.\n\nline 1\nline 2\n", "Explain.",
    ]


def test_a_socket_or_a_device_is_not_waited_for(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's standard input may never end: it is left alone."""
    shell.world.model("a", Act(text="ok"))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert shell.run("chat", "Explain.", "--model", "a").status == 0

    assert shell.world.seen[0].body["messages"] == [{"role": "user", "content": "Explain."}]
