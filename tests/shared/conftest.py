"""One Redis server for all tests of a module."""

import os
from collections.abc import Iterator

import pytest

from tests.helpers.redis_server import SERVER, RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis server; each test uses a namespace of its own."""
    if SERVER is None and not os.environ.get("CI"):
        pytest.skip("shared state is tested with a real server: apt-get install redis-server")
    with RedisServer() as server:
        yield server
