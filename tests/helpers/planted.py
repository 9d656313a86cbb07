"""The secrets that tests use, and a pytest plugin that fails each test in which one of them gets out.

Every key, header and password of a test is one of these, and all of them contain one mark. The plugin gives every
simulated provider such a key and such a header. It looks for the mark, in whatever spelling, in what a test prints,
logs and warns, in what its commands print or write into files, in every exception that it raises or expects, with the
local variables of our frames and the HTTP client's, and in the traces, errors, pickles and routers of its calls.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import logging
import os
import pickle
import re
import subprocess
import traceback
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

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
"""The environment variable with the simulated providers' key, which processes that a test starts see as well."""
CALLS = 50
"""Calls of each test whose traces are searched; searching every call would make tests with many of them slow."""
WRITTEN = (".jsonl", ".json", ".log", ".txt", ".html", ".csv")
"""Suffixes of files that commands write. Others, such as a configuration that is to be refused, may hold a secret."""

_found: list[str] = []
"""Where the mark was found in the test that is running."""
_warned: list[str] = []
"""Tests in whose warnings the mark was found."""
_calls = 0
"""Calls of the test that is running."""
_searched = 0
"""Exceptions of the test that is running whose frames were searched."""


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and every other that it refers to: causes, contexts (suppressed ones, too) and members of groups."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        members = found.exceptions if isinstance(found, BaseExceptionGroup) else ()
        waiting += [other for other in (found.__cause__, found.__context__, *members) if other is not None]


def texts_of(error: BaseException) -> str:
    """Every text that an exception, or one that it refers to, can be turned into."""
    texts = traceback.format_exception(error)
    for found in chain_of(error):
        with contextlib.suppress(ValueError):  # an int too long to be written
            texts += [str(found), repr(found), repr(found.args), repr(getattr(found, "__dict__", {}))]
        texts += getattr(found, "__notes__", [])
    return "\n".join(texts)


def search(where: str, text: object) -> None:
    """Note the place if the mark is in a text, or in bytes, in whatever spelling."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    if (found := spelt(shown)) is not None:
        _found.append(f"{where}: …{found}…")


def spelt(text: str) -> str | None:
    """The place where the mark stands in a text, `None` for nowhere.

    Plain or in other case; percent-encoded, or escaped as in HTML, JSON or a `repr`, also twice; or in base64, where
    it begins at any of three places of a group.
    """
    stages = [text]
    while len(stages) < 3 and (unescaped := _unescaped(stages[-1])) != stages[-1]:
        stages.append(unescaped)
    for stage in stages:
        for pattern in (_MARK, _IN_BASE64):
            if found := pattern.search(stage):
                return stage[max(0, found.start() - 60) : found.end() + 60]
    return None


_MARK = re.compile(MARK, re.IGNORECASE)
_IN_BASE64 = re.compile("|".join(
    re.escape(base64.b64encode(b"\0" * offset + MARK.encode())[4 if offset else 0 : -4].decode()) for offset in range(3)
))  # fmt: skip


_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)


def _unescaped(text: str) -> str:
    if "\\" in text:
        text = _ESCAPE.sub(lambda one: chr(int(one[1] or one[2], 16)), text)
    return html.unescape(unquote(text)) if "%" in text or "&" in text else text


LIBRARY = ("asyncrouter", "aiohttp", "yarl", "multidict")
"""The packages in whose frames no local variable may show a secret. The simulated transport is no part of it: it plays
the provider, which gets the key."""
EXCEPTIONS = 30
"""Exceptions of each test whose frames are searched."""


def frames_of(error: BaseException) -> Iterator[tuple[str, dict[str, object]]]:
    """Names and local variables of the library's frames that an exception, or one it refers to, has gone through."""
    for found in chain_of(error):
        for frame, line in traceback.walk_tb(found.__traceback__):
            name = str(frame.f_globals.get("__name__"))
            if name.split(".")[0] in LIBRARY and not name.startswith("asyncrouter.sim"):
                yield f"{name}.{frame.f_code.co_qualname}:{line}", dict(frame.f_locals)


def shown(value: object, depth: int = 4) -> Iterator[str]:
    """What tools that print local variables show of a value: containers are walked, of all else the `repr` is taken."""
    with contextlib.suppress(Exception):
        if depth and isinstance(value, Mapping):
            for key, inner in list(value.items())[:50]:
                yield from (*shown(key, depth - 1), *shown(inner, depth - 1))
        elif depth and isinstance(value, list | tuple | AbstractSet):
            yield repr(value)
            for inner in list(value)[:50]:
                yield from shown(inner, depth - 1)
        else:
            yield repr(value)


def search_frames(where: str, error: BaseException) -> None:
    """Note each local variable of the library's frames that shows the mark.

    An exit status is no error: its frames begin with the arguments of the process, which everybody can see.
    """
    global _searched
    if isinstance(error, SystemExit):
        return
    _searched += 1
    if _searched <= EXCEPTIONS:
        for place, variables in frames_of(error):
            for name, value in variables.items():
                search(f"{where}, in {name} of {place}", "\n".join(shown(value)))


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        search("the log", logging.Formatter().format(record))


def _watch(cls: Any, name: str, after: Callable[[Any, Any], None]) -> None:
    """Replace a method by one that calls `after` with the object and the result."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        after(self, result)
        return result

    setattr(cls, name, watched)


def pytest_configure() -> None:
    """Give the providers their secrets, and search what pytest's reports do not have: the log, the calls, the output
    that tests read, and the exceptions that they expect.
    """
    os.environ[VARIABLE] = KEY
    _plant()
    _watch_calls()
    logging.getLogger().addHandler(_Records())
    _watch(pytest.CaptureFixture, "readouterr", lambda _, output: search("the output", "".join(map(str, output))))
    _watch(subprocess.Popen, "communicate", lambda _, output: [search("a command's output", part) for part in output])
    _watch(pytest.RaisesExc, "__exit__", lambda raises, _: _search_exception(raises.excinfo))


def _plant() -> None:
    """Give each simulated provider that has none a secret key and a secret header."""
    for name in ("__init__", "reload"):
        setattr(Router, name, _planting(getattr(Router, name)))


def _planting(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def planted(self: Router, config: Any = None, **given: Any) -> None:
        if isinstance(config, Mapping) and isinstance(providers := config.get("providers"), Mapping):
            theirs = {"key": f"env:{VARIABLE}", "headers": {"X-Team": HEADER}}
            simulated = {name: {**theirs, **table} for name, table in providers.items() if name.startswith("sim")}
            config = {**config, "providers": {**providers, **simulated}}
        method(self, config, **given)

    return planted


def _watch_calls() -> None:
    """Search the trace and the error of each call that ends, and its router."""
    end = Router._end

    @functools.wraps(end)
    def watched(self: Router, engine: Any, call: Any, trace: Any, error: BaseException | None) -> None:
        global _calls
        _calls += 1
        end(self, engine, call, trace, error)
        if _calls <= CALLS:
            search("a trace", f"{trace}\n{trace!r}")
            search("a router", f"{self!r}\n{vars(self)!r}\n{self._life.engine!r}")
            if error is not None:
                search("the error of a call", texts_of(error))
                search_frames("the error of a call", error)
            with contextlib.suppress(Exception):  # what a test has put into it cannot be pickled
                search("a pickle", pickle.dumps((trace, error)))

    Router._end = watched  # type: ignore[method-assign]


def _search_files(folder: Path) -> None:
    """Search the files that the commands of a test have written."""
    for path in folder.rglob("*"):
        if path.suffix in WRITTEN and path.is_file():
            search(f"the file {path.name}", path.read_bytes())


def _search_exception(caught: pytest.ExceptionInfo[BaseException] | None) -> None:
    if caught is not None:
        search("an exception", texts_of(caught.value))
        search_frames("an exception", caught.value)


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    """Note a test whose warning holds the mark. Its report has been made by then, so the whole run fails instead."""
    if spelt(str(warning_message.message)) is not None:
        _warned.append(nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _warned:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for nodeid in _warned:
        terminalreporter.line(f"FAILED {nodeid} - a planted secret got out in a warning")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that let a secret out, in the phase (setup, call or teardown) in which it did."""
    report = yield
    global _calls, _searched
    _calls = _searched = 0
    if call.when == "call" and "tmp_path" in getattr(item, "funcargs", {}):
        _search_files(item.funcargs["tmp_path"])  # type: ignore[attr-defined]
    for name, content in report.sections:
        search(name, content)
    if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.fail.Exception | AssertionError):
        search("an exception", texts_of(call.excinfo.value))
        search_frames("an exception", call.excinfo.value)
    if _found:
        report.outcome = "failed"
        report.longrepr = "a planted secret got out in " + "\nand in ".join(dict.fromkeys(_found))
        _found.clear()
    return report
