"""Masking: replaces secrets in a text by `***`, however they are written there.

A provider may quote a key as it was sent, percent-encoded, escaped for HTML or JSON or by `repr`, in other case, in
hexadecimal, in base64 (also in the middle of something longer), or broken over lines. So the text is unescaped, up to
three times (an escape may itself be escaped), and each stage is searched without regard to case, once more without its
blanks; what is found is replaced where it stands in the original. Linear in the length of the text.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from asyncrouter._credentials.secret import SECRET_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VALUE_LENGTH: Final = 7
"""Characters from which on the value of a header field or query parameter is masked. A shorter one is a word like
"true", and masking it would take ordinary words out of every message."""
KEY_LENGTH: Final = 4
"""Characters from which on a key is masked."""
WORD_LENGTH: Final = 8
"""Characters below which a secret is masked only where it stands as a word of its own, and from which on the beginning
of one is masked at the end of a text that was cut."""

_SEPARATORS: Final = re.compile(r"[;,\s]+")
_ESCAPE: Final = re.compile(
    r"%([0-9a-f]{2})|&#x([0-9a-f]{1,6});?|&#([0-9]{1,7});?|&([a-z]{2,6});|[\\%]u([0-9a-f]{4})|\\u\{([0-9a-f]{1,6})\}"
    r"|\\U([0-9a-f]{8})|\\x([0-9a-f]{2})|\\([0-7]{3})|\\([^ux])",
    re.IGNORECASE | re.DOTALL,
)
"""Escapes of URLs, HTML, JSON, `repr` and C."""
_CUT_ESCAPE: Final = re.compile(r"(?:%[0-9a-f]?|&#?[0-9a-z]{0,6}|\\[ux]?[0-9a-f]{0,3})?\Z")
"""The beginning of an escape at the end of a text; "" where there is none."""
_LONGEST_CUT: Final = 9
_GAP: Final = re.compile(r"=?[\s\u00ad\u200b-\u200f\u2060\ufeff]+")
"""What a line that is too long is broken by: blanks, soft hyphens, blanks of no width, quoted-printable's "="."""
_UNBROKEN_LENGTH: Final = 12
"""Characters of a secret from which on it is found where it is broken; a shorter one may be two words."""
_TO_URL_SAFE: Final = str.maketrans("+/", "-_")
_QUOTES: Final = "…'\"\\"
_HEX_GROUPS: Final = frozenset({1, 2, 5, 6, 7, 8})
_OCTAL_GROUP, _DECIMAL_GROUP, _NAMED_GROUP = 9, 3, 4
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_STAGES: Final = 3
_TO_LOWER: Final = {upper: upper + 32 for upper in (*range(0x41, 0x5B), *range(0xC0, 0xD7), *range(0xD8, 0xDF))}
"""Only Latin-1, which header fields are written in: other letters may change their number with their case."""
_UNPRINTED: Final = "\ufffd"


def mask(text: str, secrets: Iterable[str]) -> str:
    """`text` without any of the secrets, in whatever spelling; nor the beginning of one at its end."""
    spellings = sorted({spelling for secret in secrets for spelling in _spellings(secret)}, key=len, reverse=True)
    if not spellings:
        return text
    spans: list[tuple[int, int]] = []
    for stage, starts in _stages(text):
        for spelling in spellings:
            find = _finds if len(spelling) <= _UNBROKEN_LENGTH else _finds_parts
            spans += ((starts[start], starts[end]) for start, end in find(stage, spelling))
        spans += ((starts[first], starts[last + 1]) for first, last in _finds_broken(stage, spellings))
        if (cut := _beginning_at_the_end(stage, spellings)) is not None:
            spans.append((starts[cut[0]], starts[cut[1]]))
    return _without(text, spans)


def secrets_in(values: Mapping[str, str]) -> list[str]:
    """What may be secret in the values of these header fields or query parameters: see `VALUE_LENGTH`.

    The value itself, what follows its first word ("Bearer …") and, where the name says that it is a secret, its parts.
    """
    found: list[str] = []
    for name, value in values.items():
        scheme, _, rest = value.partition(" ")
        parts = [value, rest]
        if SECRET_NAME.search(name):
            pieces = _SEPARATORS.split(value)
            parts += [part.strip("\"'") for piece in pieces for part in (piece, piece.partition("=")[2])]
        if scheme.lower() == "basic":
            parts += _basic(rest)
        found += (part for part in parts if len(part) >= VALUE_LENGTH or (part == rest and len(part) >= KEY_LENGTH))
    return found


def secrets_in_url(url: str | None) -> list[str]:
    """The password of a URL, as it stands there and as it is sent in `Proxy-Authorization`."""
    parts = urlsplit(url or "")
    if not parts.password:
        return []
    user, password = unquote(parts.username or ""), unquote(parts.password)
    pair = f"{user}:{password}"
    return [password, pair, base64.b64encode(pair.encode("utf-8", "replace")).decode()]


def _basic(encoded: str) -> list[str]:
    """User and password of Basic authentication (RFC 7617), and the password alone."""
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return []
    return [pair, pair.partition(":")[2]]


def _spellings(secret: str) -> Iterator[str]:
    """The ways to write a secret that are no escapes, in lower case.

    What is an escape by itself is unescaped with the text around it, so the unescaped secret is one of them.
    """
    if len(secret) < KEY_LENGTH:
        return
    raw = secret.encode("utf-8", "replace")
    # Unescaping `%C3%A9` gives two letters.
    for form in {secret} if secret.isascii() else {secret, raw.decode("latin-1")}:
        for stage, _ in _stages(form):
            if len(stage) >= KEY_LENGTH:
                yield stage
                yield stage.replace(" ", "+")
    if len(secret) >= VALUE_LENGTH:
        yield raw.hex()
        for encoded in _in_base64(raw):
            lower = encoded.lower()
            yield lower
            yield lower.translate(_TO_URL_SAFE)


def _in_base64(raw: bytes) -> Iterator[str]:
    """The ways to write bytes in base64: by themselves, and after others."""
    encoded = base64.b64encode(raw).decode()
    yield encoded
    yield encoded.rstrip("=")
    for before in (1, 2):
        bits = 8 * (before + len(raw))
        yield base64.b64encode(bytes(before) + raw).decode()[-(-8 * before // 6) : bits // 6]


def _stages(text: str) -> Iterator[tuple[str, list[int] | range]]:
    """The text in lower case, then unescaped once, twice …; and where each of its characters begins in the original."""
    starts: list[int] | range = range(len(text) + 1)
    yield text.translate(_TO_LOWER), starts
    for _ in range(_STAGES):
        unescaped, starts = _unescape(text, starts)
        if unescaped == text:
            return
        text = unescaped
        yield text.translate(_TO_LOWER), starts


def _unescape(text: str, starts: list[int] | range) -> tuple[str, list[int]]:
    parts: list[str] = []
    moved: list[int] = []
    done = 0
    for found in _ESCAPE.finditer(text):
        parts += (text[done : found.start()], _character(found))
        moved += starts[done : found.start()]
        moved.append(starts[found.start()])
        done = found.end()
    parts.append(text[done:])
    moved += starts[done:]
    return "".join(parts), moved


def _character(found: re.Match[str]) -> str:
    """The one character that an escape stands for."""
    group = found.lastindex or 0
    value = found[group]
    if group in _HEX_GROUPS or group in {_OCTAL_GROUP, _DECIMAL_GROUP}:
        number = int(value, 16 if group in _HEX_GROUPS else 8 if group == _OCTAL_GROUP else 10)
        return chr(number) if number <= 0x10FFFF else _UNPRINTED
    if group == _NAMED_GROUP:
        from html import unescape  # its table of names is large, and hardly any process needs it

        named = unescape(f"&{value.lower()};")
        return named if len(named) == 1 else _UNPRINTED
    return _CONTROLS.get(value, value)


def _finds(stage: str, spelling: str) -> Iterator[tuple[int, int]]:
    """Where a spelling begins and ends; a short one only as a word of its own."""
    at = stage.find(spelling)
    while at >= 0:
        end = at + len(spelling)
        if len(spelling) >= WORD_LENGTH or not (_in_word(stage, at - 1) or _in_word(stage, end)):
            yield at, end
        at = stage.find(spelling, at + 1)


def _finds_parts(stage: str, spelling: str) -> Iterator[tuple[int, int]]:
    """Where a long spelling stands, or more than half of it, its beginning or its end: providers shorten quotes."""
    half = max(len(spelling) * 5 // 8, _UNBROKEN_LENGTH)
    at = stage.find(spelling[:half])
    while at >= 0:
        end = at + half
        while end - at < len(spelling) and end < len(stage) and stage[end] == spelling[end - at]:
            end += 1
        yield at, end
        at = stage.find(spelling[:half], end)
    at = stage.find(spelling[-half:])
    while at >= 0:
        yield at, at + half
        at = stage.find(spelling[-half:], at + half)


def _finds_broken(stage: str, spellings: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The first and the last character of each long spelling that stands there with gaps in it."""
    if _GAP.search(stage) is None:
        return
    kept: list[int] = []
    done = 0
    for gap in _GAP.finditer(stage):
        kept += range(done, gap.start())
        done = gap.end()
    kept += range(done, len(stage))
    unbroken = "".join([stage[at] for at in kept])
    for spelling in spellings:
        if len(spelling) >= _UNBROKEN_LENGTH:
            yield from ((kept[start], kept[end - 1]) for start, end in _finds(unbroken, spelling))


def _in_word(stage: str, at: int) -> bool:
    return 0 <= at < len(stage) and (stage[at].isalnum() or stage[at] == "_")


def _beginning_at_the_end(stage: str, spellings: Iterable[str]) -> tuple[int, int] | None:
    """Where the longest beginning of a secret stands at the end: a message that quotes one may have been cut there."""
    quoted = stage.rstrip(_QUOTES)
    quoted = quoted[: len(quoted) - len(_CUT_ESCAPE.search(quoted[-_LONGEST_CUT:])[0])]  # type: ignore[index]  # always
    for spelling in spellings:
        for length in range(min(len(spelling) - 1, len(quoted)), WORD_LENGTH - 1, -1):
            if quoted.endswith(spelling[:length]):
                return len(quoted) - length, len(quoted)
    return None


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """`text` with `***` in place of these spans; those that overlap or touch become one."""
    parts: list[str] = []
    done, open_until = 0, -1
    for start, end in sorted(spans):
        if start > open_until:
            parts += (text[done:start], "***")
        open_until = done = max(open_until, end)
    return "".join([*parts, text[done:]])
