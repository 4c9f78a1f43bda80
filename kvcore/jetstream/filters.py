"""Which subjects a filter lets through, decided once per filter instead of once per token.

Listing a bucket asks the same question of every key: does `$KV.b.>` match this subject? A
general matcher splits both into tokens each time. Nearly every filter in practice is a
literal, or a prefix that ends in `>`, and for these a string comparison is enough.

Stored subjects are literals without empty tokens, which is what makes the prefix exact.

Left out: matching one message against many subscriptions; `nats/interest.py` does that.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from kvcore.nats import subject as subjects

_AFTER_DOT = chr(ord(".") + 1)

Matcher: TypeAlias = Callable[[str], bool]


def is_literal(pattern: str) -> bool:
    """Whether no token of a subject is a wildcard."""
    if "*" not in pattern and ">" not in pattern:
        return True
    return not any(token in ("*", ">") for token in pattern.split("."))


def bounds(pattern: str) -> tuple[str, str | None]:
    """A pattern with wildcards matches only subjects of `[start, end)`, in the order of
    strings; no end, no bound. What stands before the first wildcard ends with a dot."""
    tokens = pattern.split(".")
    first = next((at for at, token in enumerate(tokens) if token in ("*", ">")), len(tokens))
    prefix = "".join(f"{token}." for token in tokens[:first])
    return prefix, f"{prefix[:-1]}{_AFTER_DOT}" if prefix else None


def takes_all_between(pattern: str) -> bool:
    """Whether it matches every subject within its `bounds`: `>`, or a prefix that ends so."""
    return pattern == ">" or bool(_prefix(pattern))


def matcher(filters: Sequence[str]) -> Matcher:
    """A function that says whether a literal subject matches any filter; no filter is all."""
    if not filters or ">" in filters:
        return _everything
    if len(filters) == 1:
        return _one(filters[0])
    return _many(filters)


def _everything(_subject: str) -> bool:
    return True


def _one(pattern: str) -> Matcher:
    if is_literal(pattern):
        return pattern.__eq__
    prefix = _prefix(pattern)
    if prefix:
        return lambda subject: subject.startswith(prefix)
    if ">" in pattern.split(".")[:-1]:
        return lambda subject: subjects.matches(pattern, subject)
    return _tokens(pattern)


def _tokens(pattern: str) -> Matcher:
    """Only the tokens that are no wildcards are compared; this is twice as fast."""
    tokens = pattern.split(".")
    is_open = tokens[-1] == ">"
    count = len(tokens)
    fixed = tuple((at, token) for at, token in enumerate(tokens) if token not in ("*", ">"))

    def matches(subject: str) -> bool:
        parts = subject.split(".")
        if len(parts) != count and not (is_open and len(parts) > count):
            return False
        for at, token in fixed:  # noqa: SIM110 - a generator would cost more than the rest
            if parts[at] != token:
                return False
        return True

    return matches


def _prefix(pattern: str) -> str:
    """`a.b.` of `a.b.>`, "" of a pattern that isn't of this form."""
    prefix = pattern.removesuffix(">")
    is_prefix = prefix != pattern and prefix.endswith(".") and is_literal(prefix[:-1])
    return prefix if is_prefix else ""


def _many(filters: Sequence[str]) -> Matcher:
    """Literals and prefixes stand in dicts, so that hundreds cost no more than one."""
    literals = {pattern: None for pattern in filters if is_literal(pattern)}
    prefixes = {_prefix(pattern): None for pattern in filters if _prefix(pattern)}
    rest = [_one(pattern) for pattern in filters if not (is_literal(pattern) or _prefix(pattern))]

    def matches(subject: str) -> bool:
        if subject in literals:
            return True
        end = subject.find(".") + 1 if prefixes else 0
        while end:
            if subject[:end] in prefixes:
                return True
            end = subject.find(".", end) + 1
        return any(one(subject) for one in rest)

    return matches
