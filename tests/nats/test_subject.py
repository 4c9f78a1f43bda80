"""Subjects: token rules and the relations between patterns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcore.nats.subject import (
    has_wildcard,
    is_subset,
    is_valid_literal,
    is_valid_subject,
    is_well_formed,
    matches,
    overlaps,
    tokens,
)


@pytest.mark.parametrize(
    "subject", ["a", "a.b", "a.*", "*.b", ">", "a.>", "*.>", "a.b>", "a*", "$KV.x.>"]
)
def test_well_formed_subject_can_be_subscribed_to(subject: str) -> None:
    assert is_well_formed(subject)
    assert is_valid_subject(subject)


@pytest.mark.parametrize("subject", ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b", ">.>"])
def test_empty_tokens_and_a_full_wildcard_in_the_middle_are_refused(subject: str) -> None:
    assert not is_well_formed(subject)
    assert not is_valid_subject(subject)


def test_white_space_makes_a_subject_invalid() -> None:
    assert not any(is_valid_subject(f"a{space}b") for space in " \t\r\n\f")


def test_wildcards_count_only_as_whole_tokens() -> None:
    assert has_wildcard("a.*")
    assert has_wildcard(">")
    assert not has_wildcard("a*.b>")
    assert is_valid_literal("a*.b>")
    assert not is_valid_literal("a.*")


@pytest.mark.parametrize(
    ("pattern", "subject", "taken"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a", False),
        ("a", "a.b", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("*.b", "a.b", True),
        ("a.*", "a.*", True),
        ("a.>", "a.>", True),
        ("a.b", "a.*", False),
        (">", "a..b", False),
        ("a.*", "a.", False),
    ],
)
def test_pattern_takes_in_subject(pattern: str, subject: str, taken: bool) -> None:
    assert matches(pattern, subject) is taken


WORDS = st.sampled_from(["a", "b", "*"])
PATTERNS = st.builds(
    lambda words, tail: ".".join(words + tail),
    st.lists(WORDS, min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
) | st.just(">")
ALL = [
    ".".join(words)
    for words in [[x] for x in "abc"]
    + [[x, y] for x in "abc" for y in "abc"]
    + [[x, y, z] for x in "abc" for y in "abc" for z in "abc"]
    + [[x, y, z, w] for x in "abc" for y in "abc" for z in "abc" for w in "abc"]
    + [[x, y, z, w, "a"] for x in "abc" for y in "abc" for z in "abc" for w in "abc"]
]


@settings(deadline=None)
@given(PATTERNS, PATTERNS)
def test_overlap_and_subset_agree_with_matching_every_subject(a: str, b: str) -> None:
    in_a = [s for s in ALL if matches(a, s)]
    in_b = [s for s in ALL if matches(b, s)]
    assert overlaps(a, b) == overlaps(b, a) == any(s in in_b for s in in_a)
    assert is_subset(a, b) == all(s in in_b for s in in_a)


def test_tokens_are_the_words_between_dots() -> None:
    assert tokens("a.b..c") == ["a", "b", "", "c"]
