"""A lesson's own cells, when pytest runs them, need what the lesson starts.

nbval makes each cell a test. Where a program is missing that a lesson's cells start, they are
skipped with the reason, or fail where `KVCORE_REQUIRE` promises it.
"""

import pytest

from tests.support.require import require_for


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before each cell of a notebook; other tests say themselves what they need."""
    if item.path.suffix == ".ipynb":
        require_for(item.path)
