"""The fixture `kvcore_server`: pytest finds it where kvcore is installed.

    def test_greeting(kvcore_server):
        asyncio.run(greet(kvcore_server.url))

Each test that asks for it gets a server of its own, empty and in memory, which ends with
the test. It runs on its own thread, so the test may be sync or async, under whichever
plugin runs async tests, and may block its own loop. Installing kvcore costs other projects'
test runs nothing: the server is imported when the first test asks.

Left out: options and wider scopes. A fixture of your own around `kvcore.testing.server`
has both, in three lines.
"""

from collections.abc import Iterator

import pytest


@pytest.fixture
def kvcore_server() -> Iterator[object]:
    """A `kvcore.testing.Server` of the test's own: see its `url` and `port`."""
    from kvcore.testing import server

    with server() as running:
        yield running
