"""A test that needs a tool skips without it, unless the run promised to have it."""

import pytest

from tests.support import require


@pytest.fixture(autouse=True)
def no_such_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(require.NEEDS, "moon", (("no-such-program-anywhere",),))


def test_a_missing_tool_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVCORE_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs moon: no-such-program-anywhere"):
        require.require("moon")


def test_a_missing_tool_fails_where_the_run_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVCORE_REQUIRE", "go,moon")
    with pytest.raises(pytest.fail.Exception, match="KVCORE_REQUIRE lists moon"):
        require.require("moon")


def test_a_tool_that_is_there_lets_the_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(require.NEEDS, "moon", (("sh",),))
    require.require("moon")
