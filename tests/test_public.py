"""What is public is what is said to be, and the wheel carries it."""

import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import asyncrouter

ROOT = Path(__file__).parent.parent


def test_all_is_what_can_be_imported() -> None:
    """`__all__` names exactly the public names of the package, sorted."""
    named = asyncrouter.__all__
    public = {
        name
        for name, value in vars(asyncrouter).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert public == set(named)
    assert len(named) == len(public)
    assert public < set(dir(asyncrouter))


def test_everything_public_says_what_you_get() -> None:
    """Every exported class has a docstring of its own."""
    silent = [
        name
        for name in asyncrouter.__all__
        if isinstance(value := getattr(asyncrouter, name), type) and not (value.__doc__ or "").strip()
    ]

    assert silent == []


def test_version_is_read_when_asked() -> None:
    """The version is the installed distribution's."""
    assert asyncrouter.__version__ == "0.1.0"


def test_the_wheel_carries_the_data(tmp_path: Path) -> None:
    """A wheel built from this tree has the catalogue, the type marker and the template (a build takes seconds)."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")

    names = set(zipfile.ZipFile(wheel).namelist())

    assert {"asyncrouter/_config/catalog.toml", "asyncrouter/py.typed", "asyncrouter/local/template.jinja"} <= names


def test_a_name_that_is_not_there_is_an_error() -> None:
    """The names are read when they are asked for; asking for another one fails as it does everywhere."""
    with pytest.raises(AttributeError, match="module 'asyncrouter' has no attribute 'Routr'"):
        asyncrouter.Routr  # type: ignore[attr-defined]  # noqa: B018


def test_importing_does_nothing_else() -> None:
    """Importing the package configures no logging, starts no loop and imports no optional package."""
    code = (
        "import sys, logging; from asyncrouter import Router;"
        "assert not logging.getLogger('asyncrouter').handlers;"
        "assert not {'xllamacpp', 'click', 'rich', 'pytest', 'asyncrouter.sim', 'asyncrouter.local'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
