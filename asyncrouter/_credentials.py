"""API keys: where a provider's key comes from, and how it is kept out of every text.

A key is a name of an environment variable (`env:NAME`) or a function. It is read when it is first needed, remembered,
and read again after a 401 (`SentAttempt.fail` decides that). Masking replaces the key, the secrets of the provider's
headers and query, and the beginning of one at the end of a text that was cut.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Key, Provider

SECRET_LENGTH = 8
"""Characters from which on a key or header value is kept out of texts; a shorter one is a word like "true", and masking
it would take ordinary words out of every message."""


KEY_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
"""Names of header fields that carry a key, in lower case: OpenAI's and most others', Anthropic's, Azure's, Google's."""


class Credential:
    """The key of one provider."""

    __slots__ = ("_key", "_secrets", "_source")

    def __init__(self, provider: Provider) -> None:
        self._source: Key = provider.key
        self._key: str | None = None
        self._secrets = *secrets_in(provider.headers), *secrets_in(provider.query)

    def __repr__(self) -> str:
        source = self._source if isinstance(self._source, str) else type(self._source).__name__
        return f"<Credential {source}>"

    @property
    def origin(self) -> str:
        """Where the key comes from, without showing it: "env:NAME" or "the key function"."""
        return self._source if isinstance(self._source, str) else "the key function"

    def get(self) -> str | None:
        """The key, or `None` when the provider wants none. Raises `NotSent` when its variable is not set."""
        if self._key is None and self._source is not None:
            self._key = self._read(self._source)
        return self._key

    def renew(self, used: str | None) -> bool:
        """Read the key again after `used` was turned down; whether it is another one now."""
        if self._source is None:
            return False
        if self._key == used:
            try:
                self._key = self._read(self._source)
            except NotSent:
                return False
        return self._key != used

    def mask(self, text: str, *others: str | None) -> str:
        """`text` without the key, any secret of the provider's headers and query, or `others`."""
        secrets = [secret for secret in (self._key, *self._secrets, *others) if secret and len(secret) >= SECRET_LENGTH]
        for secret in secrets:
            text = text.replace(secret, "***")
        for secret in secrets:
            text = _without_beginning(text, secret)
        return text

    def _read(self, source: Key) -> str:
        if callable(source):
            key, name = source(), "the key function"
        else:
            name = (source or "").removeprefix("env:")
            key = os.environ.get(name, "")
        # A trailing newline from a file is the commonest mistake, and an invalid header.
        key = key.strip()
        if not key:
            raise NotSent(f"{name} returned no key" if callable(source) else f"{name} is not set", actionable=True)
        return key


def has_key(headers: Mapping[str, str]) -> bool:
    """Whether these headers of a call bring a key of the caller's own."""
    return any(name.lower() in KEY_HEADERS for name in headers)


def secrets_in(values: Mapping[str, str]) -> list[str]:
    """The values of these headers that may be secret: long ones, and what follows their first word ("Bearer …")."""
    parts = [part for value in values.values() for part in (value, value.partition(" ")[2])]
    return [part for part in parts if len(part) >= SECRET_LENGTH]


def _without_beginning(text: str, secret: str) -> str:
    """`text` without the beginning of `secret` at its end: a message that quotes it may have been cut there."""
    quoted = text.rstrip("…'\"")
    for length in range(len(secret) - 1, SECRET_LENGTH - 1, -1):
        if quoted.endswith(secret[:length]):
            return f"{quoted[:-length]}***{text[len(quoted) :]}"
    return text
