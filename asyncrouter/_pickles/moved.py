"""Modules under the names they had in asyncrouter 0.1.0, which stand in its pickles beside the names of classes."""

from importlib import import_module
from sys import modules
from types import ModuleType

MOVED = {
    "asyncrouter._catalog": "asyncrouter._config.catalog",
    "asyncrouter._http": "asyncrouter._transport.api",
    "asyncrouter._insight": "asyncrouter._explain",
    "asyncrouter._limits": "asyncrouter._config.settings",
    "asyncrouter.batch._survey": "asyncrouter.batch._estimate",
    "asyncrouter._wire.anthropic_block": "asyncrouter._pickles.decoders",
    "asyncrouter._wire.anthropic_reply": "asyncrouter._pickles.decoders",
    "asyncrouter._wire.assemble": "asyncrouter._pickles.decoders",
    "asyncrouter._wire.choice": "asyncrouter._pickles.decoders",
    "asyncrouter._wire.details": "asyncrouter._pickles.decoders",
    "asyncrouter._wire.gemini_reply": "asyncrouter._pickles.decoders",
    "asyncrouter._wire.toolcalls": "asyncrouter._pickles.decoders",
}
"""Where what a pickle names by its old module is found now. `asyncrouter._config` is a package that has its own."""


class MovedModule(ModuleType):
    """A module under its old name; the present one is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # of the module itself: whoever looks through all modules asks for these
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(MOVED[self.__name__]), name)


def register() -> None:
    """Let the old names be imported."""
    modules.update((name, MovedModule(name)) for name in MOVED)
