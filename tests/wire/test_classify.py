"""Which of our errors a provider's error is, shape by shape."""

from __future__ import annotations

import orjson
import pytest

from asyncrouter._errors import (
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter._wire.failure.classify import Classifier

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
MIDNIGHT = 16 * 3600.0
CLASSIFIER = Classifier(lambda: NOW)


def classify(status: int, error: object, **headers: str):
    """The error for a response with this status, body and headers."""
    body = error if isinstance(error, bytes) else orjson.dumps(error)
    return CLASSIFIER.response_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def err(message: str = "m", **fields: object) -> dict[str, object]:
    return {"error": {"message": message, **fields}}


def meta(**metadata: object) -> dict[str, object]:
    return err(metadata=metadata)


def available(code: str, **fields: object) -> dict[str, object]:
    return err(availability={"code": code, **fields})


STATUS = [
    # Plain statuses
    *((status, err(), Rejected) for status in (300, 301, 302, 304, 307)),
    *((status, err(), Rejected) for status in (400, 404, 405, 410, 412, 413, 415, 422, 424, 451)),
    *((status, err(), ServerFailed) for status in (408, 409, 425, 498, 499, 500, 501, 502, 503, 504, 520, 524)),
    (401, err(), Unauthorized), (402, err(), OutOfCredit), (403, err(), Unauthorized),
    (429, err(), RateLimited), (529, err(), RateLimited), (600, err(), BadReply), (101, err(), BadReply),
    # OpenAI
    (400, err("This model's maximum context length is 8192 tokens", code="context_length_exceeded"), ContextTooLong),
    (400, err("Your input exceeds the context window of this model"), ContextTooLong),
    (400, err(code="content_policy_violation"), Refused),
    (400, err(code="invalid_prompt"), Refused), (400, err(code="cyber_policy"), Refused),
    (400, err("Your request was blocked", type="invalid_request_error"), Refused),
    (429, err(code="insufficient_quota"), OutOfCredit), (429, err(type="insufficient_quota", code=None), OutOfCredit),
    (429, err(code="project_spend_limit_exceeded"), OutOfCredit), (429, err(code="slow_down"), RateLimited),
    (429, err("Rate limit reached. Requested tokens exceed the limit", code="rate_limit_exceeded"), RateLimited),
    (503, err(code="server_is_overloaded"), ServerFailed),
    (400, err("Invalid 'user': string too long, input length 70", code="string_above_max_length"), Rejected),
    (400, err("unknown field, see https://x.example/errors#input_too_large"), Rejected),
    (500, err("blocked by an unknown bug"), ServerFailed),
    (400, err("your prompt said: 429"), Rejected),
    # Azure
    (400, err("The response was filtered due to Azure's content management policy", code="content_filter"), Refused),
    (400, err(innererror={"code": "ResponsibleAIPolicyViolation"}), Refused),
    # OpenRouter
    (400, meta(error_type="context_length_exceeded"), ContextTooLong),
    (400, meta(error_type="string_too_long"), ContextTooLong),
    (400, meta(error_type="max_tokens_exceeded"), ContextTooLong), (400, meta(error_type="refusal"), Refused),
    (400, meta(error_type="content_policy_violation"), Refused), (400, meta(error_type="invalid_prompt"), Rejected),
    (400, err("maximum context length", metadata={"error_type": "invalid_request"}), Rejected),
    (503, meta(error_type="provider_overloaded"), ServerFailed),
    (529, meta(error_type="provider_overloaded"), RateLimited),
    (502, meta(error_type="provider_unavailable"), ServerFailed), (500, meta(error_type="unmapped"), ServerFailed),
    (404, meta(error_type="not_found"), Rejected), (401, meta(error_type="authentication"), Unauthorized),
    (403, err("exceeds the tokens you may use", metadata={"error_type": "permission_denied"}), Unauthorized),
    (500, meta(error_type="content_policy_violation"), Refused),
    (402, meta(error_type="payment_required"), OutOfCredit),
    (402, meta(reason="in_flight_budget_exhausted", limit_source="openrouter_in_flight_budget"), RateLimited),
    (402, meta(reason="weight_exceeds_budget", limit_source="openrouter_credits"), OutOfCredit),
    (402, err("You requested up to 900 tokens, but can only afford 12. Retry after 5 seconds"), OutOfCredit),
    (403, meta(reason="openrouter_guardrail_budget"), OutOfCredit),
    (403, meta(limit_source="openrouter_key_limit"), OutOfCredit),
    (403, meta(reasons=["violence"], flagged_input="…"), Refused), (403, meta(patterns=["ssn"]), Refused),
    (429, meta(limit_source="openrouter_free_tier_daily"), RateLimited),
    (400, available("model_not_found"), Rejected), (400, available("wrong_endpoint"), Rejected),
    (404, available("no_endpoints"), Rejected), (404, available("model_deprecated"), Rejected),
    (404, available("privacy_restricted"), Rejected), (403, available("region_restricted"), Unauthorized),
    (429, available("capacity_exhausted"), RateLimited), (503, available("temporarily_unavailable"), ServerFailed),
    (400, err("Provider returned error", metadata={"raw": '{"error":{"message":"prompt is too long: 9 > 8"}}'}),
     ContextTooLong),
    # What another provider says about its account is not about ours.
    (429, meta(error_type="rate_limit_exceeded", provider_code="insufficient_quota"), RateLimited),
    (429, err("Provider returned error", metadata={"raw": '{"error":{"message":"m","code":"insufficient_quota"}}'}),
     RateLimited),
    (400, err("Provider returned error", metadata={"raw": '{"message":"Your credit balance is too low"}'}), Rejected),
    (400, err("Provider returned error", metadata={"raw": '{"message":"API key not valid"}'}), Rejected),
    (429, err('{"error": {"message": "m", "code": "insufficient_quota"}}'), OutOfCredit),
    # A reason that is newer than our list: OpenRouter says whether a retry makes sense.
    (404, available("brand_new", retryable=True), ServerFailed), (404, available("brand_new"), Rejected),
    (404, available("no_endpoints", retryable=True), Rejected),
    (429, available("brand_new", retryable=True), RateLimited),
    (503, available("brand_new", retryable=False), ServerFailed),
    # Anthropic
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}},
     ContextTooLong),
    (400, {"type": "error", "error": {"type": "invalid_request_error",
     "message": "Output blocked by content filtering policy"}}, Refused),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
     OutOfCredit),
    (413, {"type": "error", "error": {"type": "request_too_large", "message": "too large"}}, ContextTooLong),
    (429, err(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}), OutOfCredit),
    (529, err(type="overloaded_error"), RateLimited),
    # Google
    (400,
     [err("The input token count (9) exceeds the maximum number of tokens allowed (8)", status="INVALID_ARGUMENT")],
     ContextTooLong),
    (400, err("Request payload size exceeds the limit: 20971520 bytes.", status="INVALID_ARGUMENT"), ContextTooLong),
    (400, err("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT"), Unauthorized),
    (400, err("API key expired. Please renew the API key.", status="INVALID_ARGUMENT"), Unauthorized),
    (429, err(status="RESOURCE_EXHAUSTED"), RateLimited),
    # Groq, Mistral, Together, Fireworks, vLLM, llama.cpp, Ollama, others
    (400, err("Please reduce the length of the messages or completion."), ContextTooLong),
    (413, err("Request too large for model on tokens per minute (TPM)", code="rate_limit_exceeded"), Rejected),
    (429, {"object": "error", "message": "m", "type": "service_tier_capacity_exceeded", "code": "3505"}, RateLimited),
    (503, {"object": "error", "message": "m", "type": "service_tier_capacity_exceeded", "code": "3505"}, ServerFailed),
    (422, {"object": "error", "message": {"detail": [{"loc": ["body", "x"], "msg": "Extra inputs"}]}}, Rejected),
    (403, err("prompt tokens (9) + max_tokens exceed the limit of 8"), ContextTooLong),
    (422, err("`inputs` tokens + `max_new_tokens` must be <= 8"), ContextTooLong),
    (400, err("max_tokens must be at least 1, got -5"), ContextTooLong),
    (500, err("the request exceeds the available context size", type="server_error"), ContextTooLong),
    (400, err("Current length is 9 while limit is 8"), ContextTooLong),
    (400, err("exceeded model token limit"), ContextTooLong),
    (404, {"error": "model 'x' not found, try pulling it first"}, Rejected),
    (503, {"error": "server busy, please try again. maximum pending requests exceeded"}, ServerFailed),
    (400, err("the decoder prompt is longer than the maximum model length of 8"), ContextTooLong),
    (400, err("The total length of all messages is too long."), ContextTooLong),
    (400, {"message": "Too many input tokens. Max input tokens: 8"}, ContextTooLong),
    (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 8"}, ContextTooLong),
    *((400, err("string too long", code="string_above_max_length", param=param), kind) for param, kind in
      (("messages[1].content", ContextTooLong), ("input", ContextTooLong), ("tools[0].function.name", Rejected),
       ("prompt_cache_key", Rejected))),
    # Money under other statuses than 402
    (429, err("Insufficient balance or no resource package. Please recharge.", code="1113"), OutOfCredit),
    (429, err("余额不足或无可用资源包,请充值。", code="1113"), OutOfCredit),
    (429, err("You've reached the monthly usage limit for this billing cycle"), OutOfCredit),
    (429, err("exceeded your token quota", type="exceeded_current_quota_error"), OutOfCredit),
    (429, err("Your credit balance is too low", type="rate_limit_error"), OutOfCredit),
    (429, err("Usage credits are required", details={"error_code": "credits_required"}), OutOfCredit),
    *((status, {"code": "x", "error": "Your team has either used all available credits or reached its limit"},
       OutOfCredit) for status in (403, 429)),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, OutOfCredit),
    (403, err("m", code="AllocationQuota.FreeTierOnly"), OutOfCredit),
    (429, err("You have run out of credits"), OutOfCredit), (429, err("Insufficient quota, add credits"), OutOfCredit),
    (400, err("Your account does not have enough credits"), OutOfCredit),
    *((status, err("用户额度不足, 剩余额度: -0.1"), OutOfCredit) for status in (403, 500)),
    (403, err("m", code="insufficient_user_quota", type="new_api_error"), OutOfCredit),
    (412, err("Account x is suspended, possibly due to unpaid invoices"), OutOfCredit),
    (400, err("Incorrect API key provided: xai-***."), Unauthorized),
    # Limits that speak of money, and a prompt that is too long
    (429, err("Allocated quota exceeded", code="insufficient_quota"), RateLimited),
    (429, err("check your billing details: https://x.example/error-code#token-limit", code="insufficient_quota"),
     RateLimited),
    (429, err("Provider returned error", metadata={"raw": '{"message":"Your credit balance is too low"}'}),
     RateLimited),
    (429, err("Extra usage is required for long context requests.", type="rate_limit_error"), ContextTooLong),
    # No JSON
    (502, b"<html><head><title>502 Bad Gateway</title></head></html>", ServerFailed), (503, b"", ServerFailed),
    (413, b"<html>413 Request Entity Too Large</html>", Rejected), (404, b"[]", Rejected), (400, b"\xff\xfe", Rejected),
]


@pytest.mark.parametrize(("status", "body", "expected"), STATUS)
def test_failed_responses_are_classified(status: int, body: object, expected: type) -> None:
    """The status decides first, then the provider's names, then the message."""
    error = classify(status, body)

    assert type(error) is expected
    assert error.status == status
    assert error.message
    assert "\n" not in error.message
    assert len(error.message) <= 500


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        (err(code=429), RateLimited, 429), (err(code="429"), RateLimited, 429), (err(code=529), RateLimited, 529),
        (err(code=502, metadata={"error_type": "provider_unavailable"}), ServerFailed, 502),
        (err(code="server_error"), ServerFailed, 500), (err(type="overloaded_error"), RateLimited, 529),
        (err(type="InternalServerError"), ServerFailed, 500), (err(type="RateLimitError"), RateLimited, 429),
        (err(type="BadRequestError", code=400), Rejected, 400),
        (err(code="1300", type="rate_limited"), RateLimited, 429),
        (err(code="3505", type="service_tier_capacity_exceeded"), ServerFailed, 503),
        (meta(error_type="invalid_prompt"), Rejected, 400), (err(code="invalid_prompt"), Refused, 400),
        (err("maximum context length", type="BadRequestError", code=400), ContextTooLong, 400),
        (err(code="context_length_exceeded"), ContextTooLong, None), (err("prompt is too long"), ContextTooLong, None),
        (err(code="insufficient_quota"), OutOfCredit, None), (err(code=402), OutOfCredit, 402),
        (err(code="unsupported_country_region_territory", type="request_forbidden"), Unauthorized, 403),
        (err(type="request_forbidden"), Unauthorized, 403), (err(code=403), Unauthorized, 403),
        (err(code=401), Unauthorized, 401), (err(code="invalid_api_key"), Unauthorized, 401),
        (err(code="content_filter"), Refused, None), (err(code=403, metadata={"reasons": ["x"]}), Refused, 403),
        (err(code=404), Rejected, 404), ({"error": "over capacity"}, ServerFailed, 503),
        (err(availability={"code": "model_deprecated"}), Rejected, 404),
        ({"error": "warming up"}, BadReply, None), (err(code=1234), BadReply, None), (err(code=200), BadReply, None),
        ({"error": {}}, BadReply, None), ({"error": ["?"]}, BadReply, None),
    ],
)
def test_errors_inside_a_200_are_classified(error: object, expected: type, status: int | None) -> None:
    """The body's number decides, then its names; what fits nothing is a `BadReply`."""
    found = CLASSIFIER.document_error(error)

    assert (type(found), found.status) == (expected, status)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (err("a\n  b", code="x", type="y"), "a b", "x"),
        (err("a", code=400, type="exceed_context_size_error"), "a", "exceed_context_size_error"),
        (err("a", code=None, type=None), "a", None),
        (err("a", code=418), "a", "418"),
        ({"error": "bare"}, "bare", None),
        ({"object": "error", "message": "top", "type": "t", "code": "1300"}, "top", "t"),
        ({"detail": "Not Found"}, "Not Found", None),
        ({"Message": "not yours"}, "not yours", None), ({"errorMessage": "boom", "errorType": "E"}, "boom", None),
        ({"errors": [{"message": "bad", "code": "b"}]}, "bad", None), ({"err": "boom"}, "boom", None),
        ({"fault": {"faultstring": "quota", "detail": {"errorcode": "q"}}}, "quota", None),
        ({"error": "invalid_token", "error_description": "it expired"}, "invalid_token: it expired", None),
        ({"statusCode": 400, "error": "Bad Request", "message": "why"}, "Bad Request: why", None),
        ({"error": "the whole of it", "message": "whole"}, "the whole of it", None),
        ({"error": True, "message": "why"}, "why", None), ({"error": True}, "I'm a Teapot", None),
        ({"detail": [{"loc": ["body", "n"], "msg": "bad"}, {"msg": "worse"}]}, "body.n: bad; worse", None),
        (err('{"error": {"message": "inner", "code": 400, "status": "INVALID_ARGUMENT"}}'), "inner",
         "INVALID_ARGUMENT"),
        (err("Provider returned error", metadata={"raw": '{"message":"why"}'}), "Provider returned error: why", None),
        (err("Provider returned error", metadata={"raw": "why not"}), "Provider returned error: why not", None),
        ([err("wrapped", status="INVALID_ARGUMENT")], "wrapped", "INVALID_ARGUMENT"),
        (b"<html><head><title>Bad <b></title><style>x</style>", "Bad <b>", None),
        (b"<p>one</p>\n<p>two</p>", "one two", None),
        (b"plain\ntext", "plain text", None),
        (b"", "I'm a Teapot", None),
        (err("x" * 900), "x" * 499 + "…", None),
        (meta(error_type="not_found"), "m", "not_found"),
        (available("no_endpoints"), "m", "no_endpoints"),
    ],
)
def test_every_error_body_has_a_message_and_a_code(body: object, message: str, code: str | None) -> None:
    """The message is one line, and the code is the provider's most specific name."""
    error = classify(418, body)

    assert (error.message, error.code) == (message, code)


@pytest.mark.parametrize(
    "location",
    ["https://login.example/a?token=s3cret", "https://login.example/a#token=s3cret", "https://me:s3cret@login.example/a"],
)
def test_redirects_say_that_they_are_not_followed(location: str) -> None:
    """The message names the target, without the parts that hold secrets."""
    error = classify(302, b"", location=location)

    assert error.message == "redirected to https://login.example/a; redirects are not followed"


@pytest.mark.parametrize(
    ("status", "header", "again"),
    [(503, "false", "never"), (400, "true", "quick"), (429, "true", "hint"), (429, "maybe", "hint")],
)
def test_x_should_retry_decides_whether_to_retry(status: int, header: str, again: str) -> None:
    """The provider's header overrules our rule, except for an empty account."""
    assert classify(status, err(), x_should_retry=header).again == again
    assert classify(429, err(code="insufficient_quota"), x_should_retry=header).again == "never"


def test_openrouter_says_whether_to_retry_for_an_unknown_reason() -> None:
    """For the reasons in our list we know it ourselves."""
    assert classify(503, available("brand_new", retryable=False)).again == "never"
    assert classify(503, available("temporarily_unavailable", retryable=False)).again == "jitter"


def test_a_402_with_a_wait_is_a_rate_limit() -> None:
    """Credit reserved by requests in flight comes back, an empty account does not."""
    error = classify(402, err(), retry_after="3")

    assert (type(error), error.retry_after) == (RateLimited, 3.0)


def test_money_that_comes_back_is_a_rate_limit() -> None:
    """Who asks to wait has not said that the account is empty."""
    error = classify(429, err("Daily spend limit reached"), retry_after="60")

    assert (type(error), error.retry_after) == (RateLimited, 60.0)


@pytest.mark.parametrize(("status", "error"), [
    (404, err("The API deployment for this resource does not exist", code="DeploymentNotFound")),
    (400, err("The model has been decommissioned", code="model_decommissioned")),
    (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}),
    (410, err("The model has been retired")), (410, {"errors": [{"message": "no such model"}]}),
])
def test_a_model_that_is_gone(status: int, error: object) -> None:
    """The provider's code names the model, whatever the status: it is not one request's fault."""
    found = classify(status, error)

    assert isinstance(found, Rejected)
    assert (found.gone, found.definite) == (True, True)


@pytest.mark.parametrize(("status", "message", "definite"), [
    (404, "No endpoints found for google/gemini-3-flash.", True),
    (404, "No endpoints found for google/gemini-3-flash that support image input", False),
    (404, "This model's image input endpoint was not found", False),
    (404, "the adapter x of model y was not found", False), (404, "Model response for id x not found", False),
    (404, "models/x is not found for API version v1beta, or is not supported for generateContent.", True),
    (403, "Your API key does not have permission to use this model", True),
    (403, "Access denied by security policy. Your request was blocked", False),
    (403, "Request denied: prompt contains a private key", False),
    (403, "预扣费额度失败, 用户剩余额度: 0.1", False), (403, "用户额度不足", True),
    (402, "You requested up to 900 tokens, but can only afford 12. Check your billing", False),
    (404, "This model has been shut down.", True), (404, "Could not find a model named foo", True),
    (404, "The deployment for this resource does not exist.", True), (404, "foo: model has reached end of life", True),
    (404, "The requested model was sunset on 2026-01-01", True), (404, "模型不存在", True),
    (410, "The model gpt-4-32k has been deprecated", True), (410, "Gone", False),
    (410, "The file file-1 has been deleted", False),
    (404, "Model y has no tools; tool z was not found", False), (404, "Requested entity was not found.", False),
    (403, "Your account has been deactivated", True), (403, "This organization has been disabled.", True),
    (403, "Your subscription has expired", True), (403, "You must agree to the license first", True),
    (403, "User location is not supported for the API use.", True), (403, "用户已被封禁", True),
    (403, "Project is not allowed to use this model", True), (403, "The request violates our terms of use", False),
    (403, "Your account: request blocked as malicious, organization disabled", False),
    (402, "Your account is past due", True), (402, "Please add a payment method", True),
    (402, "Your free trial has ended", True), (402, "Payment required", False),
])
def test_words_that_name_the_model_or_the_account(status: int, message: str, definite: bool) -> None:
    """They are definite unless they also speak of what the request holds, or how large it is."""
    assert classify(status, err(message)).definite == definite


@pytest.mark.parametrize("message", [
    "This request will never succeed; do not retry", "Retrying will not help.", "Non-retryable error",
    "The request cannot be retried", "No retry can help here", "permanently unavailable",
    "No available channel for model foo under group default (distributor)", "无可用渠道",
    "The model `foo` does not exist", "model foo not found", "Invalid model name", "This model has been retired",
])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_words_that_no_retry_can_help(status: int, message: str) -> None:
    """A failure of a server is not tried again where it says so itself, or speaks of a model that there is not."""
    assert classify(status, err(message)).again == "never"


@pytest.mark.parametrize("message", [
    "Please try again later", "The server had an error; you can retry your request", "No retry after this time",
    "do not hesitate to retry", "the image of the model was not found", "temporarily unavailable",
])
def test_words_that_leave_a_retry_open(message: str) -> None:
    """Other words about trying again, and about parts of the request, stop nothing."""
    assert classify(503, err(message)).again == "jitter"


def test_a_pause_that_is_asked_for_counts_more() -> None:
    """With a Retry-After it is tried again, whatever the message says."""
    assert classify(503, err("do not retry"), retry_after="5").again != "never"


def test_a_spent_limit_says_when_it_starts_again() -> None:
    """`resets_at` is hours away and does not make a rate limit of it."""
    error = classify(402, meta(reason="openrouter_key_limit", resets_at="2027-01-15T09:00:00Z"))

    assert (type(error), error.retry_after) == (OutOfCredit, 3600.0)


def test_the_daily_quota_of_free_models_lasts_until_midnight() -> None:
    """It is midnight UTC, unless the body gives the time itself."""
    reset = {"X-RateLimit-Reset": str(int((NOW + 60) * 1000))}

    assert classify(429, meta(limit_source="openrouter_free_tier_daily")).retry_after == MIDNIGHT
    assert classify(429, meta(limit_source="openrouter_free_tier_daily", headers=reset)).retry_after == 60.0


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"1", b'"x"', b"[1]", b"[[]]", b'{"error":[]}', b'{"error":{"message":{"a":[]}}}', b'{"message":null}',
        b'{"error":{"metadata":[],"availability":"x","details":{},"code":{}}}', b'{"error":{"message":"{"}}',
        b'{"error":{"code":99999999999999999999}}', b"[" * 5000,
    ],
)
@pytest.mark.parametrize("status", [200, 302, 400, 402, 403, 429, 500])
def test_every_body_becomes_an_error(status: int, body: bytes) -> None:
    """However strange the body is, the error is one of ours and has a message."""
    assert classify(status, body).message
