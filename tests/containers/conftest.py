"""One engine for all tests of containers."""

from collections.abc import Iterator

import pytest

from tests.support.engine import running


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    with running():
        yield
