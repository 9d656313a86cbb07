"""Errors that are told by a number alone, inside a 200 or beside a status: MiniMax's and Zhipu's."""

import orjson
import pytest

from asyncrouter import (
    AttemptError,
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter._config.catalog import Provider
from asyncrouter._wire.failure.classify import Classifier
from asyncrouter._wire.openai.wire import OpenAI
from tests.helpers.decoding import JSON, SSE, decode

WIRE = OpenAI(Provider(name="h", base_url="https://h.test/v1"), wall=lambda: 0.0)


def minimax(number: object, text: str = "that is it", **beside: object) -> dict[str, object]:
    return {**beside, "base_resp": {"status_code": number, "status_msg": text}}


def zhipu(number: object, text: str = "that is it") -> dict[str, object]:
    return {"code": number, "msg": text, "success": False}


NUMBERS = [
    (minimax(1008), OutOfCredit), (minimax(1002), RateLimited), (minimax(1004), Unauthorized),
    (minimax(1039), RateLimited), (minimax(1026), Refused), (minimax(1013), ServerFailed),
    (minimax("1008", choices=None), OutOfCredit), (minimax(1027, choices=[]), Refused), (minimax(9999), BadReply),
    (minimax(2013, "invalid params, context window exceeds limit"), ContextTooLong),
    (zhipu(1113), OutOfCredit), (zhipu("1302"), RateLimited), (zhipu(1001), Unauthorized), (zhipu("1301"), Refused),
    (zhipu(1261), ContextTooLong), (zhipu(500, "404 NOT_FOUND"), ServerFailed), (zhipu(1305), ServerFailed),
]


def read(document: dict[str, object], *, stream: bool) -> AttemptError | None:
    """What the wire makes of a 200 with this document, as one body or as the only event."""
    data = orjson.dumps(document)
    body, headers = (b"data: %b\n\n" % data, SSE) if stream else (data, JSON)
    return decode(WIRE, headers, body).close()


@pytest.mark.parametrize(("document", "error"), NUMBERS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_number_is_the_error_that_it_means(
    document: dict[str, object], error: type[AttemptError], stream: bool
) -> None:
    """A number inside a 200 is the error that it means at its host."""
    assert type(read(document, stream=stream)) is error


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("document", [minimax(1008), zhipu(1113)])
def test_the_hosts_words_and_number_are_told(document: dict[str, object], stream: bool) -> None:
    """The message has the host's words, and the number by which its documents explain them."""
    error = read(document, stream=stream)

    assert error is not None
    assert error.message in {"that is it (1008)", "that is it (1113)"}


@pytest.mark.parametrize(("status", "document", "error"), [
    (400, minimax(1008), OutOfCredit), (429, zhipu(1113), OutOfCredit), (429, minimax(1008), OutOfCredit),
    (500, zhipu(1261), ContextTooLong),
])
def test_a_number_beside_a_status(status: int, document: dict[str, object], error: type[AttemptError]) -> None:
    """A number under an error status is read like one inside a 200."""
    assert type(WIRE.failure(status, {}, orjson.dumps(document))) is error


@pytest.mark.parametrize("stream", [True, False])
def test_a_zero_is_no_error(stream: bool) -> None:
    """MiniMax writes `base_resp` with status code 0 beside every good answer."""
    part = {"role": "assistant", "content": "hi"}
    choice = {"index": 0, "delta" if stream else "message": part, "finish_reason": "stop"}

    assert read(minimax(0, "", choices=[choice]), stream=stream) is None


@pytest.mark.parametrize(("status", "code", "kind"), [
    (400, "1301", Refused), (400, "1261", ContextTooLong), (429, "1302", RateLimited), (429, "1113", OutOfCredit),
    (400, "1214", Rejected), (None, "1301", Refused), (None, "1302", RateLimited),
])
def test_zhipus_numbers_in_an_error_object(status: int | None, code: str, kind: type[AttemptError]) -> None:
    """An error that is nothing but number and message is Zhipu's; with a type beside it the number is another's."""
    error = {"error": {"code": code, "message": "x"}}
    other = {"error": {"code": code, "message": "x", "type": "t"}}
    classifier = Classifier(lambda: 0.0)
    if status is None:
        found, others = (classifier.document_error(one) for one in (error, other))
        plain: type[AttemptError] = BadReply
    else:
        found, others = (classifier.response_error(status, {}, orjson.dumps(one)) for one in (error, other))
        plain = RateLimited if status == 429 else Rejected

    assert (type(found), type(others)) == (kind, plain)


@pytest.mark.parametrize(("code", "kind"), [
    ("AuthFailure.SecretIdNotFound", Unauthorized), ("Throttling.RateQuota", RateLimited),
    ("RequestLimitExceeded.UinLimit", RateLimited), ("InternalError.Timeout", ServerFailed), ("A.B", BadReply),
])
def test_a_name_of_a_family(code: str, kind: type[AttemptError]) -> None:
    """Tencent and Alibaba write the family of an error before a dot."""
    error = {"Response": {"Error": {"Code": code, "Message": "x"}}}

    assert type(Classifier(lambda: 0.0).document_error(error)) is kind
