"""Masking: a secret is found in whatever spelling a provider repeats it, and nothing else is taken out of a text."""

from __future__ import annotations

import base64
import html
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from asyncrouter._credentials.masking import mask, secrets_in, secrets_in_url
from tests.helpers.planted import KEY, PASSWORD, spelt

if TYPE_CHECKING:
    from collections.abc import Callable

ODD = "p4ss/w0rd+'\"&<é>\\ é=%41"
"""A secret of signs that every way to write it changes."""
SPELLINGS = {
    "plain": str,
    "in capitals": str.upper,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded in lower case": lambda text: quote(text, safe="").lower(),
    "every byte percent-encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "twice percent-encoded": lambda text: quote(quote(text, safe=""), safe=""),
    "in a form": quote_plus,
    "as HTML": html.escape,
    "as numbers in HTML": lambda text: "".join(f"&#{ord(sign)};" for sign in text),
    "as hexadecimal numbers in HTML": lambda text: "".join(f"&#x{ord(sign):X};" for sign in text),
    "as JSON": lambda text: json.dumps(text)[1:-1],
    "as JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "as JSON with every sign escaped": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
    "as PHP's JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "as a repr": lambda text: repr(text)[1:-1],
    "as ASCII": lambda text: ascii(text)[1:-1],
    "as hexadecimal escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode("latin-1")),
    "as JSON in HTML": lambda text: html.escape(json.dumps(text))[6:-6],
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "in hexadecimal": lambda text: text.encode().hex(),
    "in JavaScript's escapes": lambda text: "".join(f"%u{ord(sign):04x}" for sign in text),
}


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, ODD, "abc'd&7", "sk-1234"])
def test_every_spelling_is_masked(secret: str, how: str) -> None:
    """Plain or in capitals, escaped for a URL, for HTML, for JSON or by `repr`, also twice, or in base64."""
    spelt = SPELLINGS[how](secret)

    assert mask(f"bad key: {spelt}, said the server", [secret]) == "bad key: ***, said the server"


@pytest.mark.parametrize("gap", ["\n", "\r\n    ", " ", "=\n", "\u00ad", "\u200b", "\t"])
@pytest.mark.parametrize("how", ["plain", "in capitals", "percent-encoded", "in base64", "in hexadecimal"])
def test_a_broken_spelling_is_masked(how: str, gap: str) -> None:
    """A secret that was broken over lines, or by a character that nobody sees, at any place."""
    spelt = SPELLINGS[how](KEY)
    for at in (3, len(spelt) // 2, len(spelt) - 2):
        text = f"bad key: {spelt[:at]}{gap}{spelt[at:]} , said the server"

        assert mask(text, [KEY]) == "bad key: *** , said the server"


def test_two_words_are_no_broken_secret() -> None:
    """A short secret is not looked for across blanks."""
    assert mask("not found at all", ["notfound"]) == "not found at all"


@pytest.mark.parametrize("before", ["", "a", "ab", "Authorization: Bearer ", '{"key": "'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_inside_base64_is_masked(encode: Callable[[bytes], bytes], before: str) -> None:
    """A whole head, or JSON with the key in it, in base64: wherever the key begins in a group of four letters."""
    encoded = encode(f"{before}{KEY}-and-more".encode()).decode()
    shown = mask(f"echo {encoded}", [KEY])

    assert spelt(shown) is None
    assert "***" in shown


@pytest.mark.parametrize("shown", [f"{KEY[:22]}…{KEY[-4:]}", f"{KEY[:20]}...", f"...{KEY[-20:]}", f"{KEY[:19]}*****"])
def test_a_shortened_secret_is_masked(shown: str) -> None:
    """More than half of a long secret, its beginning or its end, wherever it stands."""
    masked = mask(f"bad key {shown} given", [KEY])

    assert spelt(masked) is None
    assert masked.startswith("bad key ")
    assert masked.endswith(" given")


def test_less_than_half_of_a_secret_stays() -> None:
    """The few letters by which providers let people recognise their keys."""
    text = f"Incorrect API key provided: {KEY[:8]}********{KEY[-4:]}."

    assert mask(text, [KEY]) == text


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_cut_spelling_is_masked(how: str) -> None:
    """The beginning of a secret at the end of a text that was cut, in every spelling."""
    spelt = SPELLINGS[how](KEY)
    shown = mask(f"bad key: {spelt[: len(spelt) * 3 // 4]}…", [KEY])

    assert shown.rstrip("…\\%&#x0123456789u") == "bad key: ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the key abc-123 is bad", "the key *** is bad"),
        ("the key 'abc-123'", "the key '***'"),
        ("xabc-123 and abc-1234", "xabc-123 and abc-1234"),  # in the middle of another word
        ("ABC-123", "***"),
        ("abc-12", "abc-12"),
        ("\\nabc-123", "\\n***"),
    ],
)
def test_short_keys_are_masked_as_words(text: str, expected: str) -> None:
    """A key of seven characters is masked where it stands by itself, and leaves longer words alone."""
    assert mask(text, ["abc-123"]) == expected


def test_what_is_no_secret_stays() -> None:
    """Percent signs, ampersands and backslashes of a text that holds no secret are left as they are."""
    text = r"100 % of C:\new\table &amp; \u00e9 %zz &#99999999; &; \x \ and 5 %2"

    assert mask(text, [KEY, ODD]) == text


def test_all_places_and_all_secrets() -> None:
    """Several secrets in one text, some of them inside each other, or side by side."""
    text = f"{KEY}{KEY} {KEY[:20]} {quote(ODD)} {ODD}!"

    assert mask(text, [KEY, ODD, KEY[:20]]) == "*** *** *** ***!"


def test_parts_of_values_are_secret() -> None:
    """The token behind "Bearer", each part of a cookie, and user and password of Basic authentication."""
    encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    values = {
        "Authorization": "Bearer abcdefgh1", "Cookie": 'session=s3ss10n1; theme="d4rkm0de"',
        "X-Auth": f"Basic {encoded}", "X-Flag": "true", "X-Api-Key": "k3y4567",
    }
    found = secrets_in(values)

    for part in ("abcdefgh1", "s3ss10n1", "d4rkm0de", encoded, PASSWORD, "k3y4567"):
        assert part in found
    assert "true" not in found


def test_the_password_of_a_proxy_is_secret() -> None:
    """As it stands in the URL, unescaped, and in the base64 that a proxy gets."""
    secrets = secrets_in_url("http://us%40er:p%40ssw0rd@proxy.test:8080")
    echo = base64.b64encode(b"us@er:p@ssw0rd").decode()

    assert mask(f"407: {echo}, p@ssw0rd, p%40ssw0rd", secrets) == "407: ***, ***, ***"
    assert secrets_in_url("http://proxy.test:8080") == secrets_in_url(None) == []


@pytest.mark.parametrize("sign", ["%", "&", "\\", "'", "a", "%41", "&#65;", "\\u0041", "…"])
def test_masking_is_linear(sign: str) -> None:
    """A hundred kilobytes of escapes are masked within half a second: 500 times what an error message has."""
    text = sign * (100_000 // len(sign))
    began = time.thread_time()
    mask(text, ["a" * 40, KEY, ODD])

    assert time.thread_time() - began < 0.5
