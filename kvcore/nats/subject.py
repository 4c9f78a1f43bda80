"""Subjects: what they look like, and which pattern takes in which subject.

A message is addressed by a subject, words ("tokens") with dots between: `$KV.bucket.key`.
A subscription may leave words open: `*` stands for exactly one token, `>` for one or more
at the end. That is all of NATS's addressing: a bucket is `$KV.bucket.>`, a watch on some
keys is `$KV.bucket.orders.*`, an inbox is a subject that nobody else can guess.

Two rules surprise. A wildcard is a whole token, so `a.b>` and `a*` are plain words. And a
published subject is taken word for word, even `a.*`: its `*` is then a token like any
other, which a subscription's `*` takes in as it takes in every word. A subject with an
empty token (`a..b`, `a.`) is taken in by nothing.

Left out: mappings and transforms, which rewrite subjects.
"""

import re
from collections.abc import Sequence

_SPACE = re.compile(r"[ \t\n\f\r]")


def tokens(subject: str) -> list[str]:
    """The words between the dots; an empty word where two dots meet or one ends the text."""
    return subject.split(".")


def is_well_formed(subject: str) -> bool:
    """Whether it can be subscribed to: no empty token, and `>` only as the last one."""
    words = subject.split(".")
    return "" not in words and (">" not in words or words.index(">") == len(words) - 1)


def is_valid_subject(subject: str) -> bool:
    """As `is_well_formed`, and free of white space; wildcards are welcome."""
    return is_well_formed(subject) and _SPACE.search(subject) is None


def has_wildcard(subject: str) -> bool:
    """Whether a token is `*` or `>`."""
    if "*" not in subject and ">" not in subject:
        return False
    words = subject.split(".")
    return "*" in words or ">" in words


def is_valid_literal(subject: str) -> bool:
    """Whether it names exactly one subject: valid, without wildcards."""
    words = subject.split(".")
    return (
        "" not in words and "*" not in words and ">" not in words and _SPACE.search(subject) is None
    )


def matches(pattern: str, subject: str) -> bool:
    """Whether a well-formed pattern takes in a published subject, taken word for word."""
    words = subject.split(".")
    if "" in words:
        return False
    wanted = pattern.split(".")
    for at, want in enumerate(wanted):
        if want == ">":
            return len(words) > at
        if at == len(words) or want not in ("*", words[at]):
            return False
    return len(wanted) == len(words)


def overlaps(a: str, b: str) -> bool:
    """Whether some subject is taken in by both patterns."""
    left, right = a.split("."), b.split(".")
    for one, other in zip(left, right, strict=False):
        if ">" in (one, other):
            return True
        if one != other and "*" not in (one, other):
            return False
    return len(left) == len(right)


def first_overlap(ones: Sequence[str], others: Sequence[str]) -> tuple[str, str] | None:
    """The first pair, one of each, that overlap. Literals meet in a dict; only the patterns
    with wildcards are compared each with each."""
    literals = {other: None for other in others if not has_wildcard(other)}
    patterns = [other for other in others if has_wildcard(other)]
    for one in ones:
        if one in literals:
            return one, one
        for other in others if has_wildcard(one) else patterns:
            if overlaps(one, other):
                return one, other
    return None


def is_subset(pattern: str, of: str) -> bool:
    """Whether every subject that `pattern` takes in is taken in by `of` too."""
    inner, outer = pattern.split("."), of.split(".")
    for at, want in enumerate(outer):
        if want == ">":
            return len(inner) > at
        if at == len(inner) or inner[at] == ">" or want not in ("*", inner[at]):
            return False
    return len(inner) == len(outer)
