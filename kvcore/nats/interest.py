"""Interest: who wants a message that is published to this subject?

Subscribers number in the thousands and each publish must find its own at once, so the
patterns form a tree: one level per token, and at each level three ways on: the word itself,
`*`, and `>`, which ends there. Finding the takers of `a.b` walks two levels with a handful
of nodes each, however many patterns there are.

         root ── a ── b        {plain: s1}
          │      └─── *        {queues: q: s2, s3}
          └── >                {plain: s4}

A subscription is plain (each gets a copy) or a member of a queue group (one of the group
gets it). Members of one group may have subscribed through different patterns; they are one
group still. Whoever routes picks the member: choosing needs chance, and there is none here.

Answers are remembered, up to a bound. Many subjects are never seen twice (a bucket's keys, the
reply of each request), yet differ in their last word alone: where no pattern names that word,
as in `$KV.b.>` and `_INBOX.x.*`, one answer does for all of them. Otherwise each subject has its
own. A new literal pattern can only change what is remembered of its own subject and of those
that differ in the last word; a new wildcard empties the memory.

The walk is a loop over a frontier of nodes, not a recursion: a control line has room for
2,000 tokens, and a stranger's subject must not exhaust our stack.

Left out: permissions, and where other servers' interest comes from (`node/peers.py`).
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from kvcore import limits
from kvcore.nats.subject import has_wildcard


class Subscribed(Protocol):
    """What the tree must know of a subscriber; `queue` is "" for a plain one."""

    @property
    def subject(self) -> str:
        """The pattern."""

    @property
    def queue(self) -> str:
        """The group's name."""


S = TypeVar("S", bound=Subscribed)


@dataclass(frozen=True, slots=True)
class Match(Generic[S]):
    """The takers of one subject: each of `plain`, and one of each tuple of `queues`."""

    plain: tuple[S, ...]
    queues: tuple[tuple[S, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.plain or self.queues)


class _Node(Generic[S]):
    """One level under one prefix; dictionaries keep the order of arrival."""

    __slots__ = ("plain", "queues", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node[S]] = {}  # `*` and `>` are keys of their own
        self.plain: dict[S, None] | None = None
        self.queues: dict[str, dict[S, None]] | None = None

    def is_empty(self) -> bool:
        return not (self.words or self.plain or self.queues)

    def names_words(self) -> bool:
        return len(self.words) > ("*" in self.words) + (">" in self.words)


class Interest(Generic[S]):
    """The tree of all subscriptions of one server."""

    __slots__ = ("_by_stem", "_cache", "_count", "_root")

    def __init__(self) -> None:
        self._root: _Node[S] = _Node()
        self._cache: dict[str, Match[S]] = {}
        # What leads to the last word → the takers, if they are the same for every last word.
        self._by_stem: dict[str, Match[S]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def insert(self, sub: S) -> None:
        """Adds a subscription whose subject is well-formed and which is not yet here."""
        node = self._root
        for token in sub.subject.split("."):
            assert token, "an empty token can't be subscribed to"
            child = node.words.get(token)
            if child is None:
                child = node.words[token] = _Node()
            node = child
        if sub.queue:
            if node.queues is None:
                node.queues = {}
            members = node.queues.setdefault(sub.queue, {})
        else:
            if node.plain is None:
                node.plain = {}
            members = node.plain
        assert sub not in members, "a subscription is inserted once"
        members[sub] = None
        self._count += 1
        self._forget(sub.subject)

    def remove(self, sub: S) -> None:
        """Takes a subscription out, and with it the branches that it alone held up."""
        tokens = sub.subject.split(".")
        path = [self._root]
        for token in tokens:
            path.append(path[-1].words[token])
        leaf = path[-1]
        if sub.queue:
            assert leaf.queues is not None, "the group is here"
            del leaf.queues[sub.queue][sub]
            if not leaf.queues[sub.queue]:
                del leaf.queues[sub.queue]
        else:
            assert leaf.plain is not None, "the subscription is here"
            del leaf.plain[sub]
        self._count -= 1
        for at in range(len(tokens), 0, -1):
            if not path[at].is_empty():
                break
            del path[at - 1].words[tokens[at - 1]]
        self._forget(sub.subject)

    def match(self, subject: str) -> Match[S]:
        """The takers of a published subject, which is taken word for word."""
        stem, _, word = subject.rpartition(".")
        found = self._by_stem.get(stem) if stem and word else None
        if found is None:
            found = self._cache.get(subject)
            if found is None:
                found = self._find(subject, stem)
        return found

    def _find(self, subject: str, stem: str) -> Match[S]:
        """Answer, and remember it for this subject or for all of its stem."""
        if len(self._cache) + len(self._by_stem) >= limits.INTEREST_CACHE_COUNT:
            self._cache.clear()
            self._by_stem.clear()
        found, is_for_all = self._walk(subject)
        if is_for_all and stem:
            self._by_stem[stem] = found
        else:
            self._cache[subject] = found
        return found

    def _forget(self, pattern: str) -> None:
        if has_wildcard(pattern):
            self._cache.clear()
            self._by_stem.clear()
        else:
            self._cache.pop(pattern, None)
            self._by_stem.pop(pattern.rpartition(".")[0], None)

    def _walk(self, subject: str) -> tuple[Match[S], bool]:
        """The takers, and whether they take the subject with any other last word too."""
        plain: list[S] = []
        queues: dict[str, list[S]] = {}
        tokens = subject.split(".")
        if "" in tokens:
            return Match((), ()), False
        frontier = [self._root]
        for token in tokens[:-1]:
            frontier = _ahead(frontier, token, plain, queues)
        is_for_all = not any(node.names_words() for node in frontier)
        for node in _ahead(frontier, tokens[-1], plain, queues):
            _collect(node, plain, queues)
        found = Match(tuple(plain), tuple(tuple(members) for members in queues.values()))
        return found, is_for_all


def _ahead(
    frontier: list[_Node[S]], token: str, plain: list[S], queues: dict[str, list[S]]
) -> list[_Node[S]]:
    """The nodes that one more token leads to; who takes all that follows is collected."""
    ahead: list[_Node[S]] = []
    for node in frontier:
        tail = node.words.get(">")
        if tail is not None:
            _collect(tail, plain, queues)
        if token not in ("*", ">"):
            literal = node.words.get(token)
            if literal is not None:
                ahead.append(literal)
        star = node.words.get("*")
        if star is not None:
            ahead.append(star)
    return ahead


def _collect(node: _Node[S], plain: list[S], queues: dict[str, list[S]]) -> None:
    if node.plain:
        plain.extend(node.plain)
    if node.queues:
        for name, members in node.queues.items():
            queues.setdefault(name, []).extend(members)
