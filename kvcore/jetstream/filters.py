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

Matcher: TypeAlias = Callable[[str], bool]


def is_literal(pattern: str) -> bool:
    """Whether no token of a subject is a wildcard."""
    if "*" not in pattern and ">" not in pattern:
        return True
    return not any(token in ("*", ">") for token in pattern.split("."))


def matcher(filters: Sequence[str]) -> Matcher:
    """A function that says whether a literal subject matches any filter; no filter is all."""
    if not filters or ">" in filters:
        return _everything
    if len(filters) == 1:
        return _one(filters[0])
    each = [_one(pattern) for pattern in filters]
    return lambda subject: any(matches(subject) for matches in each)


def _everything(_subject: str) -> bool:
    return True


def _one(pattern: str) -> Matcher:
    if is_literal(pattern):
        return pattern.__eq__
    prefix = pattern.removesuffix(">")
    if prefix != pattern and prefix.endswith(".") and is_literal(prefix[:-1]):
        return lambda subject: subject.startswith(prefix)
    return lambda subject: subjects.matches(pattern, subject)
