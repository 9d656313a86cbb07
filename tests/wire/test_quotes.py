"""A provider's words are judged, and what it quotes from the prompt is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import OutOfCredit, RateLimited, Rejected, Unauthorized
from asyncrouter._wire.failure.quotes import MAX_REQUEST_BYTES, without_quotes
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, ONCE, OTHER, ask, models_sent, play, script

if TYPE_CHECKING:
    from asyncrouter import Router
    from asyncrouter.sim import Clock, World

PROMPT = 'My mail says: "API key expired", and then "insufficient credits. The model gpt-x does not exist". Why?'
REQUEST = b'{"content":"My mail says: \\"API key expired\\",\\nand then insufficient credits"}'


@pytest.mark.parametrize(("message", "left"), [
    ('cannot parse: My mail says: "API key expired"', "cannot parse:  … \""),
    ("API key expired. Please renew it.", " … . Please renew it."),
    ("Your API key has expired", "Your API key has expired"),
    ("api key", "api key"),
    ("says api key expired and then insufficient credits, he says", " … , he says"),
    ("", ""),
])  # fmt: skip
def test_runs_of_three_words_are_quotes(message: str, left: str) -> None:
    """Three words or more that stand in the request in the same order are left out, in any case and spelling."""
    assert without_quotes(message, REQUEST) == left


def test_words_without_spaces_are_quotes_too() -> None:
    """Of Chinese text each character is a word."""
    request = '{"content":"他说余额不足怎么办"}'.encode()

    assert without_quotes("invalid: 他说余额不足", request) == "invalid:  … "
    assert without_quotes("账户欠费", request) == "账户欠费"


def test_a_long_request_is_looked_through_at_both_ends() -> None:
    """Of a very long request the beginning and the end are compared."""
    request = b"first words here " + b"x" * 2 * MAX_REQUEST_BYTES + b" these are last"

    assert without_quotes("first words here, these are last", request) == " … ,  … "


def quoting(status: int, words: str = "cannot parse", **fields: Any) -> Act:
    """An error of this status that quotes the prompt."""
    return Act(status=status, message=f"{words}: {PROMPT}", type="invalid_request_error", **fields)


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini", "responses"])
@pytest.mark.parametrize("mode", ["chat", "stream"])
@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_quoted_prompt_takes_no_key_out(clock: Clock, world: World, status: int, mode: str, wire: str) -> None:
    """An error that quotes a prompt about keys and money is that request's, on all wires."""
    script(world, (quoting(status), HEALTHY), HEALTHY)
    chain = [f"sim-{wire}:a", "other:b"]

    async def scenario(router: Router) -> tuple[Any, Any]:
        first = await ask(router, mode, prompt=PROMPT, chain=chain, retry=ONCE)
        return first, await ask(router, mode, prompt="another", chain=chain, retry=ONCE)

    first, second = play(clock, world, scenario, providers=OTHER)
    error = first.trace.attempts[0].error

    assert not isinstance(error, Unauthorized | OutOfCredit | RateLimited)
    assert (error.message.startswith("cannot parse"), error.scope) == (True, "request")
    assert models_sent(second) == [f"sim-{wire}:a"]


@pytest.mark.parametrize("status", [402, 403, 404])
def test_doubtful_statuses_stay_doubtful(clock: Clock, world: World, status: int) -> None:
    """A 402, 403 or 404 whose definite words are the prompt's own is doubtful."""
    script(world, (quoting(status, "your request was blocked"), HEALTHY), HEALTHY)
    chain = ["a", "other:b"]

    async def scenario(router: Router) -> tuple[Any, Any]:
        first = await ask(router, prompt=PROMPT, chain=chain, retry=ONCE)
        return first, await ask(router, prompt="another", chain=chain, retry=ONCE)

    first, second = play(clock, world, scenario, providers=OTHER)

    assert (first.trace.attempts[0].scope, models_sent(second)) == ("request", ["a"])


@pytest.mark.parametrize(("message", "kind"), [
    ("API key expired. Please renew the API key.", Unauthorized), ("Your credit balance is too low", OutOfCredit),
])  # fmt: skip
def test_a_providers_own_words_count(clock: Clock, world: World, message: str, kind: type[Exception]) -> None:
    """Without a quote the same words take the key out."""
    script(world, Act(status=400, message=message), HEALTHY)
    chain = ["a", "other:b"]

    async def scenario(router: Router) -> tuple[Any, Any]:
        first = await ask(router, prompt="hello there", chain=chain, retry=ONCE)
        return first, await ask(router, prompt="another", chain=chain, retry=ONCE)

    first, second = play(clock, world, scenario, providers=OTHER)

    assert (type(first.trace.attempts[0].error), models_sent(second)) == (kind, ["other:b"])


def test_a_quoted_pause_is_no_pause(clock: Clock, world: World) -> None:
    """A wait that the prompt speaks of holds nobody."""
    prompt = "The server said: please try again in 300s. What now?"
    act = Act(status=500, message=f"internal error while reading {prompt}")
    script(world, (act, HEALTHY), HEALTHY)

    result = play(clock, world, lambda router: ask(router, prompt=prompt, chain=["a", "other:b"]), providers=OTHER)

    assert (result.trace.attempts[0].error.retry_after, models_sent(result)) == (None, ["a", "a"])


def test_a_rejection_stays_the_same_object_in_words(clock: Clock, world: World) -> None:
    """The message that a reader sees is the provider's, with the quote."""
    script(world, quoting(400), HEALTHY)

    result = play(clock, world, lambda router: ask(router, prompt=PROMPT, chain=["a", "other:b"]), providers=OTHER)
    error = result.trace.attempts[0].error

    assert (type(error), error.message) == (Rejected, f"cannot parse: {PROMPT}")
