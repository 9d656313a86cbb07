"""Fallback chains of language models for asyncio: the best model that answers in time, and a record of every attempt.

```python
async with Router() as router:
    reply = await router.chat("Write a haiku about fallbacks.", task="creative")
    print(reply.text, reply.trace, sep="\\n")
```
"""

import typing

from asyncrouter._pickles import moved as _moved

_moved.register()

if typing.TYPE_CHECKING:
    from asyncrouter._api import *  # noqa: F403
    from asyncrouter._api import __all__ as __all__

    __version__: str
else:
    # The modules behind the names are imported when the first name is used. That takes some tenths of a second; if it
    # were done here, a Ctrl-C in that time would end the command line in a traceback before it could handle it.
    def __getattr__(name):
        import importlib

        if name == "__version__":
            from importlib.metadata import version  # reads the disk

            return version("asyncrouter")
        api = importlib.import_module("asyncrouter._api")
        globals().update({each: getattr(api, each) for each in api.__all__}, __all__=api.__all__)
        if name in globals():
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return [*globals(), *__getattr__("__all__"), "__version__"]
