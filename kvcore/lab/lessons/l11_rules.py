"""Beliefs about what a full stream does, as one function with switches; `RIGHT` is kvcore's.

A learner's `admit` is compared with kvcore, never with this. But when it differs, it is also
compared with each wrong belief in `BELIEFS`; the one that gives the most of its answers is
what the hint speaks to. So two mistakes at once still meet the hint of the greater one.

Left out: consumers, roll-ups and conditions. The streams of exercise 11b have none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Outcome: TypeAlias = str | list[int]  # an error's text, or the revisions that go
Settings: TypeAlias = Mapping[str, object]

TOO_LARGE = "message size exceeds maximum allowed"
PER_SUBJECT = "maximum messages per subject exceeded"
MESSAGES = "maximum messages exceeded"
BYTES = "maximum bytes exceeded"
ERRORS = (TOO_LARGE, PER_SUBJECT, MESSAGES, BYTES)  # in the order in which they are asked


@dataclass(frozen=True, slots=True)
class Write:
    """A message that comes in: `header` is b"" for a message without headers."""

    subject: str
    body: bytes
    header: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that is there, with all that it takes of `max_bytes`."""

    revision: int
    subject: str
    size: int


@dataclass(frozen=True, slots=True)
class Belief:
    """One way to see it; the defaults are right."""

    hint: str = ""
    at: Literal["over", "full"] = "over"
    size: Literal["all", "body", "no header"] = "all"
    largest: Literal["message", "body", "size"] = "message"
    refuses: Literal["new", "both", "never"] = "new"
    replaces: Literal["as large", "never", "any", "net"] = "as large"
    write_once: Literal["asked", "never", "always"] = "asked"
    order: tuple[str, ...] = ERRORS
    evicts: Literal["oldest", "own", "one"] = "oldest"
    history: Literal["first", "last", "never"] = "first"


RIGHT = Belief()
BELIEFS = (
    replace(RIGHT, hint="M17", refuses="never"),
    replace(RIGHT, hint="old", refuses="both"),
    replace(RIGHT, hint="whose", evicts="own"),
    replace(RIGHT, hint="enough", evicts="one"),
    replace(RIGHT, hint="first", history="last"),
    replace(RIGHT, hint="history", history="never"),
    replace(RIGHT, hint="replaces", replaces="never"),
    replace(RIGHT, hint="larger", replaces="any"),
    replace(RIGHT, hint="net", replaces="net"),
    replace(RIGHT, hint="once", write_once="never"),
    replace(RIGHT, hint="cap", write_once="always"),
    replace(RIGHT, hint="exactly", at="full"),
    replace(RIGHT, hint="size", size="body"),
    replace(RIGHT, hint="size", size="no header"),
    replace(RIGHT, hint="largest", largest="size"),
    replace(RIGHT, hint="largest", largest="body"),
    replace(RIGHT, hint="order", order=(TOO_LARGE, PER_SUBJECT, BYTES, MESSAGES)),
    replace(RIGHT, hint="order", order=(TOO_LARGE, MESSAGES, BYTES, PER_SUBJECT)),
    replace(RIGHT, hint="order", order=(PER_SUBJECT, MESSAGES, BYTES, TOO_LARGE)),
)


def size_of(write: Write, how: str = "all") -> int:
    """What a message takes in a file."""
    if how == "body":
        return len(write.body)
    block = 4 + len(write.header) if write.header and how == "all" else 0
    return 30 + len(write.subject) + len(write.body) + block


def believed(belief: Belief, write: Write, state: Sequence[Stored], cfg: Settings) -> Outcome:
    """What becomes of the write if the belief is true."""
    found = _refusals(belief, write, state, cfg)
    for text in belief.order:
        if text in found:
            return text
    return _evicted(belief, write, state, cfg)


def _limit(cfg: Settings, name: str) -> int:
    value = cfg[name]
    assert isinstance(value, int)
    return value


def _exceeds(belief: Belief, amount: int, limit: int) -> bool:
    return limit > 0 and (amount > limit or (belief.at == "full" and amount == limit))


def _refusals(belief: Belief, write: Write, state: Sequence[Stored], cfg: Settings) -> list[str]:
    size = size_of(write, belief.size)
    message = len(write.header) + len(write.body)
    largest = {"message": message, "body": len(write.body), "size": size}[belief.largest]
    found = [TOO_LARGE] if _exceeds(RIGHT, largest, _limit(cfg, "max_msg_size")) else []
    mine = [each for each in state if each.subject == write.subject]
    is_new = cfg["discard"] == "new"
    if not (belief.refuses == "both" or (belief.refuses == "new" and is_new)):
        return found
    history = _limit(cfg, "history")
    at_cap = 0 < history <= len(mine)
    asked = is_new and bool(cfg["discard_new_per_subject"])
    if at_cap and {"asked": asked, "never": False, "always": is_new}[belief.write_once]:
        found.append(PER_SUBJECT)
    replaces = at_cap and belief.replaces != "never"
    if _exceeds(belief, len(state) + 1, _limit(cfg, "max_msgs")) and not replaces:
        found.append(MESSAGES)
    total = sum(each.size for each in state)
    max_bytes = _limit(cfg, "max_bytes")
    freed = mine[0].size if replaces else 0
    fits = {
        "as large": freed >= size, "any": True, "net": total - freed + size <= max_bytes,
        "never": False,
    }[belief.replaces]  # fmt: skip
    if _exceeds(belief, total + size, max_bytes) and not (replaces and fits):
        found.append(BYTES)
    return found


def _evicted(belief: Belief, write: Write, state: Sequence[Stored], cfg: Settings) -> list[int]:
    """The revisions that go when the write is stored; its own is not among them."""
    new = Stored(0, write.subject, size_of(write, belief.size))
    left = [*state, new]
    if belief.history == "first":
        left = _trimmed(left, write.subject, _limit(cfg, "history"))
    if cfg["discard"] == "old" or belief.refuses == "never":
        left = _made_room(belief, left, write.subject, cfg)
    if belief.history == "last":
        left = _trimmed(left, write.subject, _limit(cfg, "history"))
    return [each.revision for each in state if each not in left]


def _trimmed(left: list[Stored], subject: str, history: int) -> list[Stored]:
    mine = [each for each in left if each.subject == subject]
    gone = mine[: max(0, len(mine) - history)] if history > 0 else []
    return [each for each in left if each not in gone]


def _made_room(belief: Belief, left: list[Stored], subject: str, cfg: Settings) -> list[Stored]:
    while left:
        count = _exceeds(belief, len(left), _limit(cfg, "max_msgs"))
        size = _exceeds(belief, sum(each.size for each in left), _limit(cfg, "max_bytes"))
        if not count and not size:
            break
        own = [each for each in left if each.subject == subject and each.revision]
        victim = own[0] if belief.evicts == "own" and own else left[0]
        left = [each for each in left if each is not victim]
        if belief.evicts == "one":
            break
    return left
