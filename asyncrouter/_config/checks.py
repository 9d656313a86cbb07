"""Checks of single values, which they never change, and the `ConfigError` that says where and what was expected."""

from __future__ import annotations

import math
import re
import reprlib
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeGuard, TypeVar
from urllib.parse import urlsplit

from asyncrouter._credentials.secret import forget_locals
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

NO_LIMIT = ' (no limit is None, "none" in a file)'
"""Is added to the message about a limit that is 0 or infinite, which is how many people write "no limit"."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
MAX_NAME_CHARACTERS = 1000
"""Characters of a name: much is remembered by the names of models and tasks, which may come from a caller's users. The
longest ids are paths of resources (Vertex, Azure), of 200."""
_KEY_LENGTH = 16
"""Characters that a key has at least; what may be one is not shown."""
_OTHER_NAMES = {
    "google": "gemini", "claude": "anthropic", "gpt": "openai", "grok": "xai", "aws": "bedrock", "amazon": "bedrock",
    "url": "base_url", "endpoint": "base_url", "api_base": "base_url", "api_key": "key", "protocol": "wire",
    "cafile": "ca", "ca_bundle": "ca", "verify": "ca", "price": "usd_per_mtok", "pricing": "usd_per_mtok",
    "cost": "usd_per_mtok", "fallbacks": "models", "chain": "models",
}
"""What people call a provider or a key of the configuration, where ours is not to be found by its letters."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0, bare keys


def without_locals(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function whose arguments may hold secrets: an error for them keeps no variables of our frames.

    A `ConfigError` or `TypeError` says where the value stands, so nobody needs them.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (ConfigError, TypeError) as error:
            args, kwargs = (), {}  # type: ignore[assignment]  # this frame is one of them
            error.__context__ = None  # a decoder's error has the whole text
            forget_locals(error)
            raise

    return wrapper


@contextmanager
def at(path: str) -> Iterator[None]:
    """Put `path` before the path of a `ConfigError` that is raised in this block."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(error.message, join(path, error.path), error.value) from None


def join(path: str, rest: str) -> str:
    """Join two parts of a path: `a` and `b` are `a.b`, `a` and `[0]` are `a[0]`."""
    return f"{path}.{rest}" if path and rest and not rest.startswith("[") else path + rest


def quoted(key: str) -> str:
    """The key as TOML writes it in a dotted path: quoted unless it is a bare key."""
    if _BARE.fullmatch(key):
        return key
    return f'"{key}"' if key.isprintable() else ascii(key)


def expected(what: str, value: object, path: str = "") -> ConfigError:
    """The error for a `value` that is not `what` was expected."""
    return ConfigError(f"expected {what}, got {show(value)}", path, value)


def withheld(what: str, path: str = "") -> ConfigError:
    """The same for a value that may be a secret: neither the message nor the error holds it."""
    return ConfigError(f"expected {what} (the value is not shown: it may be secret)", path)


def unknown(what: str, name: str, known: Iterable[str], path: str = "") -> ConfigError:
    """The error for a name that is not among the `known` ones: it suggests the closest, or else lists them all."""
    known = list(known)
    meant = _OTHER_NAMES.get(name.lower())
    if meant not in known:
        meant = closest(name, known)
    cure = f"did you mean {meant!r}?" if meant else f"known: {', '.join(known) or 'none'}"
    return ConfigError(f"unknown {what} {show(name)}; {cure}", path, name)


def show(value: object) -> str:
    """The value as a message shows it: shortened, and without what a table or list holds, which may be secret."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    try:
        return _short.repr(value)
    except Exception:  # an int of more than 4300 digits
        return f"an object of type {type(value).__name__}"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name of which `name` is probably a misspelling; `None` if there is none."""
    from difflib import get_close_matches  # a millisecond at import that only a mistake should cost

    return next(iter(get_close_matches(name[:100], list(known), n=1)), None)


def one_edit_apart(name: str, other: str) -> bool:
    """Whether one letter added, dropped, changed or swapped with its neighbour turns one name into the other."""
    shorter = min(len(name), len(other))
    same = next((index for index in range(shorter) if name[index] != other[index]), shorter)
    one, two = name[same:], other[same:]
    return name != other and two in {one[1:], two[:1] + one, two[:1] + one[1:], one[1::-1] + one[2:]}


def text(path: str, value: object) -> None:
    """Check that the value is text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise expected("text", value, path)


def name(path: str, value: object) -> None:
    """Check that the value is a name: text that is not blank, of at most `MAX_NAME_CHARACTERS`."""
    text(path, value)
    if isinstance(value, str) and len(value) > MAX_NAME_CHARACTERS:
        raise expected(f"at most {MAX_NAME_CHARACTERS:,} characters", value, path)


def one_of(path: str, value: object, *choices: str) -> None:
    """Check that the value is one of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise expected(" or ".join(f'"{choice}"' for choice in choices), value, path)


def flag(path: str, value: object) -> None:
    """Check that the value is `True` or `False`."""
    if not isinstance(value, bool):
        raise expected("true or false", value, path)


def count(path: str, value: object) -> None:
    """Check that the value is a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise expected("a whole number, 1 or more", value, path)


def amount(path: str, value: object, what: str = "a number") -> None:
    """Check that the value is a finite number, 0 or more."""
    if not _is_number(value):
        raise expected(what, value, path)
    if value < 0:
        raise expected(f"{what}, 0 or more", value, path)


def share(path: str, value: object) -> None:
    """Check that the value is a number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise expected("a share, 0 to 1", value, path)


def positive(path: str, value: object, what: str = "a number", cure: str = "") -> None:
    """Check that the value is a finite number above 0; `cure` is added to the message about 0 and infinity."""
    if not _is_number(value):
        raise expected(what + (cure if isinstance(value, float) and value > 0 else ""), value, path)
    if value <= 0:
        raise expected(f"{what} above 0{cure}", value, path)


def limit(path: str, value: object, what: str = "a number") -> None:
    """Check that the value is a finite number above 0, or `None` for no limit."""
    if value is not None:
        positive(path, value, what, NO_LIMIT)


def seconds(path: str, value: object) -> None:
    """Check that the value is a number of seconds above 0, or `None` for no limit."""
    limit(path, value, "seconds")


def url(path: str, value: object, *, secrets: bool = False) -> None:
    """Check that the value is an http(s) URL with a host; a user or password in it only where `secrets` are allowed."""
    if not isinstance(value, str):
        raise withheld("a URL", path)
    if not secrets and any(sign in value for sign in "@?#"):
        raise withheld("a URL without user, password, query or fragment", path)
    if not _is_url(value):
        what = "a URL that begins with http:// or https:// and has a host"
        raise withheld(what, path) if secrets or _may_be_a_key(value) else expected(what, value, path)


def _may_be_a_key(value: str) -> bool:
    """Whether what should be a URL is none at all, but one long word, or a reference to a key."""
    return value.startswith("env:") or (len(value) >= _KEY_LENGTH and not any(sign in value for sign in "./"))


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, a bracket that does not close
        return False
    return named and value.isprintable() and " " not in value
