"""What the doors to other engines say where those are not installed."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the missing package and the extra that installs it."""
    monkeypatch.delitem(sys.modules, "asyncrouter.integrations.ray", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("asyncrouter.integrations.ray")

    assert str(caught.value) == "pyarrow is not installed: pip install 'asyncrouter[ray]'"
