import functools

import pytest

from kvcore.lab.stubs import is_stub, open_parts


def with_docstring(x: int) -> tuple[int, ...]:
    """Does it."""
    ...  # noqa: PIE790


def only_docstring():
    """Does it."""


def only_pass():
    pass


def only_ellipsis(): ...


async def asynchronous(x):
    """Does it."""
    ...  # noqa: PIE790


def assigns_the_placeholder(x):
    """Does it."""
    subject = f"$KV.b.{x}"
    value = ...
    return subject, value


def returns_the_placeholder(x):
    return ...


class UnwrittenClass:
    def one(self):
        """Does it."""
        ...  # noqa: PIE790

    async def two(self): ...


def with_default(x=...): ...


@functools.lru_cache
def decorated(x): ...


def written(x):
    """Does it."""
    return x


def written_above_the_old_placeholder(x):
    x.append(1)
    ...  # noqa: PIE790


def returns_none(x):
    return None


def slices(x):
    return x[..., 0]


async def written_async(x):
    return x


class HalfWritten:
    def one(self):
        return 1

    def two(self): ...


STUBS = [
    with_docstring,
    only_docstring,
    only_pass,
    only_ellipsis,
    asynchronous,
    assigns_the_placeholder,
    returns_the_placeholder,
    UnwrittenClass,
    with_default,
    decorated,
    functools.partial(with_docstring, 1),
    lambda x: ...,
    ...,
]
WRITTEN = [
    written,
    written_above_the_old_placeholder,
    returns_none,
    slices,
    written_async,
    HalfWritten,
    lambda x: x,
    lambda x: None,
    len,
    3,
    None,
    "...",
]


@pytest.mark.parametrize("stub", STUBS, ids=lambda each: getattr(each, "__name__", repr(each))[:20])
def test_a_stub_is_known(stub):
    assert is_stub(stub)


@pytest.mark.parametrize("answer", WRITTEN, ids=lambda each: getattr(each, "__name__", repr(each)))
def test_an_attempt_is_not_a_stub(answer):
    assert not is_stub(answer)


@pytest.mark.parametrize(
    "text", ["def f(x):\n    'doc'\n    ...", "async def f(x):\n    'doc'\n    ..."]
)
def test_a_stub_is_known_by_its_byte_code_where_there_is_no_source(text):
    space = {}
    exec(text, space)
    assert is_stub(space["f"])


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x",
        "def f(x):\n    return 3",
        "def f(x):\n    g()",
        "async def f(x):\n    return 3",
        "async def f(x):\n    await x",
    ],
)
def test_an_attempt_is_known_by_its_byte_code(text):
    space = {}
    exec(text, space)
    assert not is_stub(space["f"])


def test_open_values_of_a_dict_are_named():
    answers = {"verdicts": {"S3": "true", "S4": ..., "S5": ...}, "f": written}
    assert open_parts(answers) == ["S4", "S5"]
    assert open_parts({"verdicts": {}}) == ["verdicts"]
    assert open_parts({"verdicts": {"S3": False}}) == []
