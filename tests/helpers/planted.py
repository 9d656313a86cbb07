"""The secrets that tests plant, and a plugin that fails a test in which one of them comes up.

Every key, header and password of a test that stands for a real one is taken from here: all bear one mark. The plugin
gives every simulated provider of the suite such a key and such a header, and looks for the mark in what a test writes,
logs and warns, in what its commands write, on a terminal or into files, in every exception it meets, and in the traces,
errors and routers of its calls.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import subprocess
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Router

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

MARK = "pl4nt3d"
KEY = f"sk-or-{MARK}-0123456789abcdef"
ROTATED = f"sk-or-{MARK}-fedcba9876543210"
HEADER = f"providers-{MARK}-header-zyxwvuts"
QUERY = f"query-{MARK}-value-hgfedcba"
CALLERS = f"callers-{MARK}-header-abcdefgh"
PASSWORD = f"proxy-{MARK}-password-stuvwxyz"
SECRETS = (KEY, ROTATED, HEADER, QUERY, CALLERS, PASSWORD)
VARIABLE = "PLANTED_KEY"
"""Where the simulated providers' key is, for processes that a test starts, too."""
CALLS = 50
"""Of a test with more calls the first ones are looked at."""
WRITTEN = (".jsonl", ".json", ".log", ".txt", ".html", ".csv")
"""What commands write; a configuration may hold what a test must show to be refused."""

_found: list[str] = []
"""Where it came up in the test that is running."""
_warned: list[str] = []
_calls = 0


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and everything it hangs on to, suppressed contexts and members of groups included."""
    waiting, met = [error], set()
    while waiting:
        found = waiting.pop()
        if id(found) in met:
            continue
        met.add(id(found))
        yield found
        members = found.exceptions if isinstance(found, BaseExceptionGroup) else ()
        waiting += [other for other in (found.__cause__, found.__context__, *members) if other is not None]


def texts_of(error: BaseException) -> str:
    """Every text an exception can turn into."""
    texts = traceback.format_exception(error)
    for found in chain_of(error):
        with contextlib.suppress(ValueError):  # an int too long to be written
            texts += [str(found), repr(found), repr(found.args), repr(getattr(found, "__dict__", {}))]
        texts += getattr(found, "__notes__", [])
    return "\n".join(texts)


def look(where: str, text: object) -> None:
    """Note it if the mark is in a text, or in bytes."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    if MARK in shown:
        at = shown.index(MARK)
        _found.append(f"{where}: …{shown[max(0, at - 60) : at + 60]}…")


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        look("the log", logging.Formatter().format(record))


def _watched(cls: Any, name: str, after: Callable[[Any, Any], None]) -> None:
    """Have `after` see what a method was called on and what came of it."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        came = method(self, *args, **kwargs)
        after(self, came)
        return came

    setattr(cls, name, watched)


def pytest_configure() -> None:
    """Plant; watch the log, the calls, and what tests take away before the report sees it: output they read, exceptions
    they expect.
    """
    os.environ[VARIABLE] = KEY
    _plant()
    _watch_calls()
    logging.getLogger().addHandler(_Records())
    _watched(pytest.CaptureFixture, "readouterr", lambda _, came: look("the output", "".join(map(str, came))))
    _watched(subprocess.Popen, "communicate", lambda _, came: [look("a command's output", part) for part in came])
    _watched(pytest.RaisesExc, "__exit__", lambda raises, _: _look_at(raises.excinfo))


def _plant() -> None:
    """Give each simulated provider that has none a key and a header that must not come up."""
    begin = Router.__init__

    @functools.wraps(begin)
    def planted(self: Router, config: Any = None, **given: Any) -> None:
        if isinstance(config, Mapping) and isinstance(providers := config.get("providers"), Mapping):
            theirs = {"key": f"env:{VARIABLE}", "headers": {"X-Team": HEADER}}
            simulated = {name: {**theirs, **table} for name, table in providers.items() if name.startswith("sim")}
            config = {**config, "providers": {**providers, **simulated}}
        begin(self, config, **given)

    Router.__init__ = planted  # type: ignore[method-assign]


def _watch_calls() -> None:
    """Look at what is left of a call: its trace, its error, and the router that made it."""
    end = Router._end

    @functools.wraps(end)
    def watched(self: Router, engine: Any, call: Any, trace: Any, error: BaseException | None) -> None:
        global _calls
        _calls += 1
        end(self, engine, call, trace, error)
        if _calls <= CALLS:
            look("a trace", f"{trace}\n{trace!r}")
            look("a router", f"{self!r}\n{vars(self)!r}\n{self._life.engine!r}")
            if error is not None:
                look("the error of a call", texts_of(error))

    Router._end = watched  # type: ignore[method-assign]


def _look_into(folder: Path) -> None:
    """Look at the files that a test's commands have written."""
    for path in folder.rglob("*"):
        if path.suffix in WRITTEN and path.is_file():
            look(f"the file {path.name}", path.read_bytes())


def _look_at(caught: pytest.ExceptionInfo[BaseException] | None) -> None:
    if caught is not None:
        look("an exception", texts_of(caught.value))


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    """What is warned of is told when the test's reports are made: it fails the run."""
    if MARK in str(warning_message.message):
        _warned.append(nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _warned:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for nodeid in _warned:
        terminalreporter.line(f"FAILED {nodeid} - a planted secret came up in a warning")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what let a secret out, in the phase in which it did."""
    report = yield
    global _calls
    _calls = 0
    if call.when == "call" and "tmp_path" in getattr(item, "funcargs", {}):
        _look_into(item.funcargs["tmp_path"])  # type: ignore[attr-defined]
    for name, content in report.sections:
        look(name, content)
    if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.fail.Exception | AssertionError):
        look("an exception", texts_of(call.excinfo.value))
    if _found:
        report.outcome = "failed"
        report.longrepr = "a planted secret came up in " + "\nand in ".join(dict.fromkeys(_found))
        _found.clear()
    return report
