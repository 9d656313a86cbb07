"""The public names of the package, its version, its import, and what its wheel contains."""

import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import asyncrouter

ROOT = Path(__file__).parent.parent


def test_all_is_what_can_be_imported() -> None:
    """`__all__` lists exactly the public names of the package, each once."""
    named = asyncrouter.__all__
    public = {
        name
        for name, value in vars(asyncrouter).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert set(named) == public
    assert len(named) == len(public)
    assert public < set(dir(asyncrouter))


def test_every_public_class_has_a_docstring() -> None:
    """`help()` of every exported class says what it is."""
    missing = [
        name
        for name in asyncrouter.__all__
        if isinstance(value := getattr(asyncrouter, name), type) and not (value.__doc__ or "").strip()
    ]

    assert missing == []


def test_the_version_is_the_distribution_s() -> None:
    """`asyncrouter.__version__` is the version of the installed distribution."""
    assert asyncrouter.__version__ == "0.1.0"


def test_the_wheel_contains_the_data_files(tmp_path: Path) -> None:
    """A wheel that is built from this tree has the catalogue, the type marker and the templates (it takes seconds)."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")

    data = {
        "asyncrouter/_config/catalog.toml", "asyncrouter/py.typed", "asyncrouter/local/template.jinja",
        "asyncrouter/serve/status.html", "asyncrouter/serve/status.css",
    }
    assert data - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The names are imported when they are first used; any other name is an `AttributeError`, as in any module."""
    with pytest.raises(AttributeError, match="module 'asyncrouter' has no attribute 'Routr'"):
        asyncrouter.Routr  # type: ignore[attr-defined]  # noqa: B018


def test_importing_does_nothing_else() -> None:
    """Importing the package configures no logging and imports no optional package."""
    code = (
        "import sys, logging; from asyncrouter import Router;"
        "assert not logging.getLogger('asyncrouter').handlers;"
        "assert not {'xllamacpp', 'click', 'rich', 'pytest', 'asyncrouter.sim', 'asyncrouter.local',"
        " 'asyncrouter.schema', 'pydantic', 'jsonschema'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", [
    "Accept", "Cause", "ChainLike", "FinishReason", "Headers", "HedgeLike", "Key", "Message", "Outcome", "Priority",
    "Prompt", "RetryLike", "Scope", "ToolCall",
])
def test_aliases_of_annotations_are_public(name: str) -> None:
    """What the signatures and records say can be written in a user's own annotations."""
    assert name in asyncrouter.__all__
    assert getattr(asyncrouter, name) is not None
