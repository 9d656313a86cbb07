"""Whether aiohttp is of a version whose inner parts are known: its pool, its connections and its parser."""

from __future__ import annotations

from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader

_PARAMETERS: Final = (
    (ResponseHandler.set_response_params,
     {"timer", "read_until_eof", "auto_decompress", "max_line_size", "max_field_size"}),
    (ResponseHandler.feed_data, {"data", "size"}),
    (StreamReader.on_eof, {"callback"}),
    (aiohttp.BaseConnector._get, {"key", "traces"}),
    (Connection.__init__, {"connector", "key", "protocol", "loop"}),
    (aiohttp.BaseConnector._release, {"key", "protocol", "should_close"}),
    (aiohttp.TCPConnector._create_connection, {"req", "traces", "timeout"}),
)
"""Functions of aiohttp's own use that `exchange.py` and `connector.py` call or override, with their parameters."""


def _knows(version: str) -> bool:
    """Whether this version of aiohttp has the parts that are put together there."""
    return version.startswith(("3.14.", "3.15.")) and all(
        names <= set(function.__code__.co_varnames) for function, names in _PARAMETERS
    )


KNOWN: Final = _knows(aiohttp.__version__)
"""Whether aiohttp is of such a version; with another one everything goes the way of its public interface."""
