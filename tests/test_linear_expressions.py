"""Regular expressions take time in proportion to the text, also on the worst text that there is for each of them.

Those that would take quadratic time only meet texts of a bounded length, and their time is bounded, too.
"""

from __future__ import annotations

import ast
import time
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter._config.catalog import Model
from asyncrouter._config.load import config_from_mapping
from asyncrouter._config.parameter_names import check_keywords, check_params, misspelt
from asyncrouter._config.plan import resolve
from asyncrouter._config.secret_names import is_secret_header, is_secret_parameter
from asyncrouter._engine.attempt import MAX_ERROR_BYTES
from asyncrouter._errors import ConfigError
from asyncrouter._transport.api import Request
from asyncrouter._wire.decoding import ends
from asyncrouter._wire.failure.quotes import without_quotes
from asyncrouter._wire.registry import wire_for
from asyncrouter.bench.conditions import parse_conditions
from tests.fuzz.check import PROVIDERS
from tests.hostile.expressions import Expression, expressions, hardest, modules, seconds, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = expressions()
MEGABYTE = 1 << 20
SHORT, LONG = 1 << 12, 1 << 15
QUICK = 0.002
"""Seconds for a text of `SHORT` characters: half a microsecond for each. With quadratic work it is far more."""
BOUNDED = {
    "asyncrouter._wire.failure.complaint._NAMED": 300,
    "asyncrouter._config.families": 1000,
    "asyncrouter._wire.failure.vocabulary.": 500,
}
"""How long the texts are that an expression meets, by its place: the beginning of a message, an id, a whole message."""
SOON = 0.01
"""Seconds that one use of such an expression may take."""
REQUEST = Request("POST", "http://h.test/v1", {}, b'{"messages": []}')
LOOP = 0.05
"""Seconds of processor time for which one response may hold the loop."""


@pytest.mark.parametrize("expression", ALL, ids=str)
def test_an_expression_takes_linear_time(expression: Expression) -> None:
    """Eight times the text takes about eight times as long, and with quadratic work it would be sixty-four.

    An expression that meets short texts only is given such. It takes up to a second: some have hundreds of texts.
    """
    bound = next((bound for place, bound in BOUNDED.items() if expression.place.startswith(place)), None)
    if bound is not None:
        assert hardest(expression, bound)[0] < SOON
        return
    spent, text = hardest(expression, SHORT)
    if spent > QUICK:  # an expression of many branches, or a slow machine
        longer = text * (LONG // SHORT)
        assert seconds(expression.pattern, expression.methods, longer) < 20 * spent


def test_none_is_missed() -> None:
    """Expressions are compiled at import, or stand where they are used; those of families are known to the test.

    Those of a JSON schema and of a scorer are the caller's own; a list's name is ours.
    """
    built = [
        f"{module.__name__}.{function.name}" for module in modules() for function in ast.walk(tree_of(module))
        if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) == ("re", "compile")
    ]  # fmt: skip

    assert built == [
        "asyncrouter._config.families._compiled", "asyncrouter.batch._vendors.long_list.__init__",
        "asyncrouter.bench.scorers.regex", "asyncrouter.schema._patterns._compiled",
    ]  # fmt: skip
    assert len(ALL) > 70


def test_a_quadratic_expression_is_found() -> None:
    """The texts are hard enough: each of these expressions takes too long on one of them."""
    for source in (r"a+b", r"\s+and\s+", r"<p[^>]*>.*?</p>", r"[0-9]+\.?[0-9]*x", r"(\w+)\s*=", r".*a.*b"):
        assert hardest(Expression.of(source), SHORT)[0] > QUICK, source


# ── a megabyte where texts come in ───────────────────────────────────────────────────────────────────────────────────


def hard_texts() -> Iterator[str]:
    """The hardest text of each expression, a quarter of a megabyte of it, as it stands in four fields of a body."""
    for expression in ALL:
        text = hardest(expression, 256, 20)[1] * (MEGABYTE // 256)
        yield text.encode(errors="replace")[: MEGABYTE // 4].decode(errors="ignore")


def test_an_error_body_of_a_megabyte_takes_no_time() -> None:
    """Whatever stands in a message, a page or a code, each response holds the loop for less than 50 ms.

    It takes a few seconds, for a text of each expression. Errors inside a 200 are as long; other bodies are cut.
    """
    wire = wire_for(PROVIDERS["openai"], lambda: 0.0)
    longest = 0.0
    for text in hard_texts():
        error = {"message": text, "code": text, "param": text, "type": text}
        page = text.encode()[:MAX_ERROR_BYTES]
        for status, body in ((400, orjson.dumps({"error": error})), (403, b"<" + page), (429, page)):
            began = time.thread_time()
            failed = wire.failure(status, {"content-type": "text/html"}, body)
            wire.reconsider(failed, REQUEST)
            longest = max(longest, time.thread_time() - began)

    assert longest < LOOP


def test_a_message_that_seems_to_quote_takes_no_time() -> None:
    """However often its words stand in a long request, the search for quotes ends."""
    messages = ["b a a " * 80, "a d f a g g c h f h " * 25, "z b " * 120, "a " * 250]
    requests = [b"a " * 131_072, b"a a b " * 43_691, b"a b c d e f g h " * 16_384]
    began = time.thread_time()
    for message in messages:
        for request in requests:
            without_quotes(message, request)

    assert (time.thread_time() - began) / 12 < LOOP


def test_conditions_of_a_megabyte_are_refused_at_once() -> None:
    """`--assert` of blanks is no condition."""
    began = time.thread_time()
    with pytest.raises(ValueError, match="expected measure<number"):
        parse_conditions("p99" + " " * MEGABYTE + "x")

    assert time.thread_time() - began < 1.0


# ── names of a megabyte ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arguments", [
    {"provider": "p", "id": "x" * 1001}, {"provider": "p", "id": "x", "name": "x" * 1001},
])  # fmt: skip
def test_a_model_with_an_endless_name_is_refused(arguments: dict[str, str]) -> None:
    """Models are remembered by their names, so these have a limit."""
    with pytest.raises(ConfigError, match="expected at most 1,000 characters"):
        Model(**arguments)


@pytest.mark.parametrize("arguments", [{"task": "t" * 1001}, {"model": "p:" + "x" * 1001}, {"chain": ["x" * 1001]}])
def test_an_endless_name_of_a_call_is_refused(arguments: dict[str, object]) -> None:
    """Whichever argument it stands in, before anything is remembered of it."""
    config = config_from_mapping({
        "providers": {"p": {"base_url": "http://h.test/v1"}}, "default_provider": "p", "tasks": {"default": ["m"]},
    })
    with pytest.raises(ConfigError, match="expected at most 1,000 characters"):
        resolve(config, **arguments)  # type: ignore[arg-type]


def test_end_words_are_remembered_by_their_beginnings() -> None:
    """A provider that ends its answers with a new megabyte each time takes no memory."""
    word = "m" * MEGABYTE
    assert ends.meaning(word) == "other"
    assert ends.is_word(word)
    assert ends.finish_of(word) == "other"
    assert ends._meaning.cache_info().currsize <= 512
    before = ends._meaning.cache_info().hits
    assert ends.meaning(word + "x") == "other"
    assert ends._meaning.cache_info().hits == before + 1


def test_parameters_are_remembered_by_their_ends() -> None:
    """A credential is found at the end of a name of any length, and nothing else is looked for there."""
    long = "x" * MEGABYTE
    assert is_secret_parameter(f"{long}_api_key")
    assert is_secret_header(f"{long}-Authorization")
    assert not is_secret_parameter(long)
    assert misspelt({long: 1}) == []
    check_keywords({long: 1})
    check_params({long: 1}, "params")
    with pytest.raises(TypeError, match="is a credential"):
        check_params({f"{long}_api_key": 1}, "params")
