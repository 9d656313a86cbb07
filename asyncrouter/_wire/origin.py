"""Where an answer came from: written on the assistant's message, and asked when that message goes out again.

Thoughts, signatures and a provider's own blocks can be read only by those who made them. So a message that holds any
has the field `origin`: the host, the provider's name in the configuration, and the model that answered. Every wire
leaves that field out of its requests. A message without it (from another library, or from an older version) may be
anybody's; there the form of its artefacts decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from asyncrouter._config.families import NEWEST, family_of
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.catalog import Provider
    from asyncrouter._types import Message

ORIGIN: Final = "origin"
"""The field of an assistant's message that says where it came from."""


class Origin(NamedTuple):
    """Where an answer came from, or where a conversation goes to."""

    host: str
    """Host and port, in small letters."""
    provider: str = ""
    """The provider's name in the configuration: another one at the same host may be another account."""
    model: str = ""
    """The model's id, as the provider or the configuration has it."""

    def written(self, model: object) -> Message:
        """The value of `ORIGIN` for an answer of this model."""
        return {"host": self.host, "provider": self.provider, "model": model if isinstance(model, str) else ""}


def origin_of(provider: Provider) -> Origin:
    """Where requests to this provider go; the model is added for each of them."""
    return Origin(urlsplit(provider.base_url).netloc.lower(), provider.name)


def read_origin(message: Mapping[str, object]) -> Origin | None:
    """Where a message came from, `None` if it does not say."""
    written = object_in(message, ORIGIN)
    host, provider, model = (written.get(name) for name in Origin._fields)
    if not isinstance(host, str):
        return None
    return Origin(host, provider if isinstance(provider, str) else "", model if isinstance(model, str) else "")


def same_model(one: str, other: str) -> bool:
    """Whether two ids mean the same model, dated or not. Ids that cannot be read may mean the same."""
    if not one or not other or one == other:
        return True
    family, wanted = family_of(one), family_of(other)
    if family is None or wanted is None or NEWEST in {family.version, wanted.version}:
        return True
    return family[:3] == wanted[:3] and family.kind == wanted.kind

