"""The names and phrases in error bodies that `classify.py` looks for, some only under certain statuses.

A name alone does not overrule every status: `classify.py` says where names and phrases are asked. All names are written
as `plain()` leaves them, so that "rate_limit_error" and "RateLimitError" are one. Phrases are searched in lower-case
messages. Sources: the providers' error references, and bodies seen in public issue threads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENROUTER_BILLING_NAMES: Final = frozenset({
    "openrouterguardrailbudget", "openrouterworkspacebudget", "openrouterkeylimit",
})
"""OpenRouter's names for a budget of our own account there that is spent."""

BILLING_NAMES: Final = OPENROUTER_BILLING_NAMES | frozenset({
    "insufficientquota", "creditbalanceexhausted", "organizationspendlimitexceeded", "projectspendlimitexceeded",
    "organizationusagelimitexceeded", "enforcedspendlimitreached", "billingerror", "billinghardlimitreached",
    "billingnotactive", "contractspendlimitreached", "arrearage", "linkedorganizationspendlimitreached",
    "exceededcurrentquotaerror", "insufficientuserquota", "creditsrequired", "allocationquotafreetieronly",
})
"""Names for an account without money, which some providers send under 429."""

IN_FLIGHT_NAMES: Final = frozenset({"inflightbudgetexhausted", "openrouterinflightbudget"})
"""OpenRouter's names for credit that is reserved by requests in flight and comes back when they end."""

CONTEXT_NAMES: Final = frozenset({
    "contextlengthexceeded", "exceedcontextsizeerror", "contextexceeded", "stringtoolong", "requesttoolarge",
    "maxtokensexceeded", "tokenlimitexceeded", "inputtoolarge", "requestbodytoolargeafterdecoding",
})
"""Names for a prompt that does not fit the model's context window."""

FILTER_NAMES: Final = frozenset({
    "contentpolicyviolation", "contentfilter", "contentfilterpolicy", "responsibleaipolicyviolation", "refusal",
    "invalidprompt", "biopolicy", "cyberpolicy", "safetycheck", "moderation", "misalignmentpolicyviolation",
    "imagecontentpolicyviolation", "datainspectionfailed",
})
"""Names for content that the provider refuses. OpenAI's `invalid_prompt` is one; OpenRouter's means malformed."""

STATUS_OF_NAME: Final[Mapping[str, int]] = {
    "authentication": 401, "authenticationerror": 401, "invalidapikey": 401, "unauthenticated": 401,
    "paymentrequired": 402, "permissiondenied": 403, "permissionerror": 403, "regionrestricted": 403,
    "requestforbidden": 403, "unsupportedcountryregionterritory": 403,
    "notfound": 404, "notfounderror": 404, "modelnotfound": 404, "noendpoints": 404, "modeldeprecated": 404,
    "modelunavailableupstream": 404, "freevariantended": 404, "privacyrestricted": 404, "constraintfiltered": 404,
    "ratelimitexceeded": 429, "ratelimiterror": 429, "ratelimited": 429, "toomanyrequests": 429, "slowdown": 429,
    "resourceexhausted": 429, "capacityexhausted": 429, "overloadederror": 529,
    "servererror": 500, "internalservererror": 500, "internalerror": 500, "apierror": 500, "server": 500,
    "unmapped": 500, "internal": 500, "providerunavailable": 502, "serviceunavailable": 503,
    "serviceunavailableerror": 503, "unavailable": 503, "unavailableerror": 503, "overcapacity": 503,
    "capacityexceeded": 503, "servicetiercapacityexceeded": 503, "serverisoverloaded": 503,
    "provideroverloaded": 503, "temporarilyunavailable": 503,
    "conflicterror": 409, "timeout": 504, "timeouterror": 504, "deadlineexceeded": 504,
    "invalidrequest": 400, "invalidrequesterror": 400, "invalidprompt": 400, "badrequesterror": 400,
    "invalidargument": 400, "wrongendpoint": 400, "invalidimage": 400, "preconditionfailed": 412,
    "payloadtoolarge": 413, "unprocessable": 422,
    "arrearage": 402, "throttling": 429, "throttlingratequota": 429, "throttlingallocationquota": 429,
    "limitrequests": 429, "requestlimitexceeded": 429, "authfailure": 401, "authfailuretokenfailure": 401,
    "failedoperationresourcepackexhausted": 402, "failedoperationuserunauthorizederror": 401,
    # Amazon Bedrock, also in the middle of a stream:
    "throttlingexception": 429, "servicequotaexceededexception": 429, "modelnotreadyexception": 503,
    "serviceunavailableexception": 503, "internalserverexception": 500, "modelerrorexception": 500,
    "modelstreamerrorexception": 500, "modeltimeoutexception": 504, "accessdeniedexception": 403,
    "validationexception": 400, "resourcenotfoundexception": 404, "unrecognizedclientexception": 401,
    # OpenAI's Responses API, about what a request holds (openai 3.57, `ResponseError.code`):
    "dataresidencymismatch": 400, "emptyimagefile": 400, "failedtodownloadimage": 400, "imagefilenotfound": 400,
    "imagefiletoolarge": 400, "imageparseerror": 400, "imagetoolarge": 400, "imagetoosmall": 400,
    "invalidbase64image": 400, "invalidencryptedcontent": 400, "invalidimageformat": 400, "invalidimagemode": 400,
    "invalidimageurl": 400, "unsupportedimagemediatype": 400, "vectorstoretimeout": 504,
}
"""The HTTP status a name stands for, where there is none: in the middle of a stream, and in OpenRouter's own names."""

CONTEXT_PHRASES: Final = re.compile(
    r"maximum context length|exceeds the context window|context window exceeds limit"
    r"|exceed context limit|context size|context length"
    r"|maximum context limit|prompt is too long|input is too long|input too (?:long|large)|input_too_large"
    r"|prompt length|input length|maximum input length|maximum number of tokens|reduce the length"
    r"|requested token count exceeds|input tokens exceed|max_new_tokens|max_tokens must be at least 1"
    r"|size exceeds the limit|exceeded model token limit|current length is\b.*\bwhile limit is"
    r"|longer than the maximum model length|length of all messages is too long|too many input tokens"
    r"|number of tokens in the prompt cannot exceed"
)
"""Phrases for a prompt that does not fit the model's context window."""

TOO_MANY_TOKENS_PHRASES: Final = re.compile(
    CONTEXT_PHRASES.pattern + r"|tokens.*(?:exceed|limit|maximum)|exceed.*tokens"
)
"""The same with vaguer phrases, for 403 only: under 429 they would be limits of tokens a minute."""

FILTER_PHRASES: Final = re.compile(
    r"content management|content[ _]filter|content[ _]policy|safety system|safety_check|blocked by"
    r"|model produced invalid content|can't help with that request"
)
"""Phrases for content that the provider refuses."""

BILLING_PHRASES: Final = re.compile(
    r"credit balance is too low|spend(?:ing)? limit|reached your specified (?:workspace )?api usage limits"
    r"|insufficient (?:account )?(?:balance|funds|credits?)\b|balance is insufficient|monthly usage limit"
    r"|used all available credits|\baccount\b.{0,80}\bis suspended|(?:run )?out of credits?\b|insufficient quota"
    r"|not have enough credits?\b|daily free allocation|余额不足|欠费|账户已用尽|额度不足|额度已用尽|额度失败"
)
"""Phrases for an account without money: Anthropic sends them under 400, xAI under 403, Zhipu and Moonshot under 429,
Fireworks under 412, relays (one-api) under 403 and 500, others inside a 200."""

THROTTLE_PHRASES: Final = re.compile(r"allocated quota exceeded|error-code#\w+-limit")
"""What Alibaba says of a limit of tokens a minute, under OpenAI's name for an account without money: in its own words,
or in OpenAI's with the address of a page of its own."""

LONG_CONTEXT_PHRASES: Final = re.compile(r"required for long context requests")
"""What Anthropic says under 429 of a prompt that is longer than the account may send."""

ACCOUNT_PHRASES: Final = re.compile(r"billing|free tier|\bcountry\b|\blocation\b|\bregion\b")
"""Google's phrases for an account that may not use the API, under FAILED_PRECONDITION, beside unrelated errors."""

KEY_PHRASES: Final = re.compile(
    r"api key (?:not valid|not found|expired)|(?:invalid|incorrect) api[ _-]?key|令牌已过期|身份验证失败"
)
"""Phrases for a bad key, which Google and xAI send under 400, and others inside a 200."""

RATE_PHRASES: Final = re.compile(
    r"\brate[ _-]?limit|too many requests|requests? too frequent|并发数过高|频率|请求过多|限流"
)
"""Phrases for a rate limit, for errors inside a 200 that have neither status nor name."""

DEFINITE_NAMES: Final = BILLING_NAMES | frozenset({
    "modelnotfound", "modeldeprecated", "modeldecommissioned", "invalidmodel", "deploymentnotfound",
    "freevariantended", "modelunavailableupstream",
    "unsupportedcountryregionterritory", "regionrestricted", "permissionerror", "permissiondenied",
})
"""Names that say for sure that a failure is the model's, the key's or the account's, and not one request's."""

DEFINITE_NOT_FOUND_PHRASES: Final = re.compile(
    r"no endpoints found for\b|no such model|(?:unknown|invalid|unsupported) model|\bmodel:"
    r"|\bmodels?/\S+ (?:is )?not found|no model (?:with|named|called)\b|\bfind (?:a |the |any )?models?\b"
    r"|model_not_found"
    r"|\bmodels?\b.{0,120}(?:not found|does not exist|doesn't exist|not exist|deprecated|retired|no longer|shut ?down"
    r"|\bsunset|discontinued|decommissioned|end[- ]of[- ]life|been removed|not available in\b|not supported for\b)"
    r"|\b(?:deployment|engine)\b.{0,60}(?:not found|does not exist|doesn't exist|been removed)|deploymentnotfound"
    r"|模型不存在"
)
"""Phrases of a 404 about the model itself. Others are about what one request needs, such as tools or images."""

OF_A_REQUEST_PHRASES: Final = re.compile(
    r"\bthat supports?\b|\b(?:adapter|audio|endpoint|files?|images?|lora|response|tools?|url|video)\b(?! found for)"
)
"""Words of a 404 that make a part of the request out of what has not been found, although a model is named beside it.
"""

DEFINITE_FORBIDDEN_PHRASES: Final = re.compile(
    r"\bapi[ -]?key|\bkeys?\b|\baccess\b|\bpermission|\bcredential|\bnot authori[sz]ed|\bcountry\b|\bregion\b"
    r"|\b(?:account|consumer|organi[sz]ation|project|team|workspace)\b.{0,60}"
    r"\b(?:banned|closed|deactivated|disabled|expired|inactive|not allowed|suspended|terminated)\b"
    r"|\blocation\b|\bsubscription\b.{0,30}\b(?:ended|expired|inactive|required)\b|\bpaid plan\b"
    r"|\bplan\b.{0,40}\binclude\w* (?:this |the )?model|\bgated\b|authori[sz]ed list|white-?list|allow-?list"
    r"|\bip address\b|(?:accept|agree)\w*\b.{0,40}\b(?:terms|licen[sc]e)\b"
    r"|\b(?:terms|licen[sc]e)\b.{0,40}\b(?:accept|agree)|\bit is disabled\b|无权|没有权限|封禁"
)
"""Words of a JSON 403 about the key or what it may do. A page of HTML is a firewall's, and may be about one prompt."""

OF_A_FIREWALL_PHRASES: Final = re.compile(r"\bblocked\b|\bfirewall|\bwaf\b|\bprompt\b|\bpayload\b|\bmalicious\b")
"""Words of a 403 about what one request holds, also where it speaks of keys."""

OF_A_SIZE_PHRASES: Final = re.compile(r"fewer max_tokens|can only afford|预扣费")
"""Words about an account that has too little for a request of this size, and enough for a smaller one."""

DEFINITE_CREDIT_PHRASES: Final = re.compile(
    r"insufficient (?:credits?|balance|funds|quota)|(?:credit )?balance is too low|credits are depleted|out of credits?"
    r"|exceeded your current quota|included credits|billing|past due|payment method"
    r"|(?:balance|credits?) (?:is|are) exhausted|\btrial\b.{0,20}\b(?:ended|expired|over)\b|credit limit"
    r"|\bsubscription\b|余额|欠费"
)
"""Phrases about an account without money. A 402 that asks for fewer tokens is about one request."""

NO_RETRY_PHRASES: Final = re.compile(
    r"\b(?:do not|don't|never|must not|should not|cannot|can't|no need to) (?:be )?(?:re-?try|re-?tried)\b"
    r"|\b(?:not|non)[ -]?(?:re-?tr(?:y|i)able)\b|\bnot be retried\b"
    r"|\bretr(?:y|ies|ying)\b.{0,30}\b(?:not|never|cannot|can't|won't|no)\b.{0,12}\b(?:help|succeed|work|use)\b"
    r"|\bno retry (?:can|will)\b|\b(?:will|can) never succeed\b"
    r"|\bpermanent(?:ly)? (?:disabled|removed|unavailable|error|failure)"
    r"|no available channels? for\b|无可用渠道|请勿重试"
)
"""Words of a provider, also under 429 and 5xx, that asking again cannot help. Relays (one-api) say of a model that none
of their channels has: "No available channel for model x"."""

MESSAGES: Final = re.compile(r"messages\b|input\b|prompt$")
"""How OpenAI names the prompt, or a part of it, as the parameter that is wrong."""

TOO_LARGE_FOR_LIMIT: Final = re.compile(r"limit:?\s*([\d,]+).{0,40}?requested:?\s*([\d,]+)")
"""The two numbers of a 429 for a request that is larger than the limit of a whole minute (OpenAI's words)."""

TOKENS_A_MINUTE: Final = re.compile(r"rate limit of ([\d,]+) (?:input )?tokens per minute")
"""A limit of tokens that a 429 names (Anthropic's words): a prompt that is larger is never let through."""

JUDGED: Final = re.compile("|".join(phrases.pattern for phrases in (
    TOO_MANY_TOKENS_PHRASES, FILTER_PHRASES, BILLING_PHRASES, LONG_CONTEXT_PHRASES, ACCOUNT_PHRASES, KEY_PHRASES,
    RATE_PHRASES,
    DEFINITE_NOT_FOUND_PHRASES, DEFINITE_FORBIDDEN_PHRASES, DEFINITE_CREDIT_PHRASES, NO_RETRY_PHRASES,
    TOO_LARGE_FOR_LIMIT, TOKENS_A_MINUTE,
)) + r"|\bblocked\b|try again|retry|wait")
"""All phrases that decide anything. Where one of them stands in a message it is asked whose words they are."""

_URL: Final = re.compile(r"https?://\S+")


def plain(name: str) -> str:
    """A name without case and punctuation."""
    return "".join(filter(str.isalnum, name.lower()))


def plain_message(message: str) -> str:
    """A message in lower case and without URLs, whose words prove nothing."""
    return _URL.sub("", message.lower())
