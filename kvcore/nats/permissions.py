"""Who may publish and subscribe where: lists of subjects, judged per connection.

A user's permissions are two rules, one for publishing and one for subscribing, each with a
list of what is allowed and a list of what is denied. No list of allowed subjects allows all;
a deny always wins. They mean what they mean in nats-server:

    publish     the subject must be allowed and not denied
    subscribe   all that the subscription could hear must be allowed. It is refused if a deny
                takes in all of it; if a deny takes in a part (`SUB a.>` with `a.b` denied)
                it stands, and messages of that part are not delivered
    queues      `foo workers` in a subscribe list speaks of the queue group `workers` alone
    responses   who may not publish but answers requests may publish to the reply subject of
                a message that it was sent: so many times, for so long

What the server says in a client's name is judged by `node/permits.py`.

Left out: permissions with variables in them, which belong to JWT.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.nats.subject import has_wildcard, is_subset, is_valid_subject, matches, overlaps

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Rule:
    """Subjects, wildcards welcome; `allow` None is everything, () is nothing."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Responses:
    """How many answers a request may be given, and for how long; 0 or less is no bound."""

    count: int = 1
    time: Nanos = limits.RESPONSE_TIME_NS


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one user may do. `responses` is None where no answers are granted apart."""

    publish: Rule = Rule()
    subscribe: Rule = Rule()
    responses: Responses | None = None


def is_valid_entry(entry: str, *, takes_queue: bool) -> bool:
    """Whether a list may hold this: a subject, or where queues count, a subject and a queue."""
    words = entry.split()
    if len(words) == 2 and takes_queue:
        return is_valid_subject(words[0]) and is_valid_subject(words[1])
    return is_valid_subject(entry)


def _takes_in(patterns: Iterable[str], subject: str) -> bool:
    """Whether a published subject, taken word for word, is among them."""
    return any(matches(pattern, subject) for pattern in patterns)


def _covers(patterns: Iterable[str], subject: str) -> bool:
    """Whether all that a subscription could hear is among them."""
    return any(is_subset(subject, of=pattern) for pattern in patterns)


class _Heard:
    """A subscribe list, with the entries that name a queue apart."""

    __slots__ = ("plain", "queued")

    def __init__(self, entries: Iterable[str]) -> None:
        words = [entry.split() for entry in entries]
        self.plain = [entry[0] for entry in words if len(entry) == 1]
        self.queued = [(entry[0], entry[1]) for entry in words if len(entry) == 2]

    def queues(self, subject: str) -> list[str]:
        return [queue for pattern, queue in self.queued if is_subset(subject, of=pattern)]


def _is_among(queue: str, names: Iterable[str]) -> bool:
    """Whether a queue is named; names may have wildcards, `v1.*` is one."""
    return any(queue == name or matches(name, queue) for name in names)


class Rights:
    """One connection's permissions in use: what was judged is remembered, within bounds."""

    __slots__ = ("_allow", "_clock", "_deny", "_may_hear", "_may_publish", "_replies", "_said")

    def __init__(self, permissions: Permissions, clock: Callable[[], Nanos]) -> None:
        self._said = permissions
        self._clock = clock
        heard = permissions.subscribe
        self._allow = None if not heard.allow else _Heard(heard.allow)
        self._deny = _Heard(heard.deny)
        self._may_publish: dict[str, bool] = {}
        self._may_hear: dict[tuple[str, str], bool] = {}
        self._replies: dict[str, tuple[Nanos, int]] = {}  # since when, how many answers

    @property
    def permissions(self) -> Permissions:
        """What was granted."""
        return self._said

    def may_publish(self, subject: str) -> bool:
        """Whether a message may be published there; an answer is counted."""
        if self._is_granted(subject):
            return True
        if (known := self._replies.get(subject)) is None:
            return False
        since, count = known
        self._replies[subject] = (since, count + 1)
        if self._is_open(since, count):
            return True
        del self._replies[subject]
        return False

    def may_subscribe(self, subject: str, queue: str) -> bool:
        """Whether a subscription may stand, though perhaps not hear all; see `may_hear`."""
        if self._allow is not None:
            allowed = _covers(self._allow.plain, subject)
            if queue and (names := self._allow.queues(subject)):
                allowed = _is_among(queue, names)
            if not allowed:
                return False
        if _covers(self._deny.plain, subject):
            return False
        return not queue or not _is_among(queue, self._deny.queues(subject))

    def needs_filter(self, subject: str, queue: str) -> bool:
        """Whether a subscription that stands could be sent what is denied."""
        denied = self._deny.plain or self._deny.queued
        return bool(denied) and (bool(queue) or has_wildcard(subject))

    def may_hear(self, subject: str, queue: str) -> bool:
        """Whether a message on this subject may be delivered."""
        known = self._may_hear.get((subject, queue))
        if known is None:
            known = not _takes_in(self._deny.plain, subject)
            if known and queue:
                named = [name for pattern, name in self._deny.queued if matches(pattern, subject)]
                known = not _is_among(queue, named)
            _remember(self._may_hear, (subject, queue), value=known)
        return known

    def may_hear_all(self, subject: str) -> bool:
        """Whether the client could subscribe to all of this, with nothing in it denied."""
        allow = self._allow
        is_allowed = allow is None or _covers(allow.plain, subject) or bool(allow.queues(subject))
        return is_allowed and not any(overlaps(denied, subject) for denied in self._deny.plain)

    def may_say_all(self, subject: str) -> bool:
        """Whether it could publish to all of this; nothing is counted."""
        if not has_wildcard(subject):
            return self._is_granted(subject) or subject in self._replies
        rule = self._said.publish
        is_allowed = rule.allow is None or _covers(rule.allow, subject)
        return is_allowed and not any(overlaps(denied, subject) for denied in rule.deny)

    def heard(self, reply: str) -> None:
        """A message with this reply subject was delivered: it may be answered."""
        if self._said.responses is None or not reply or self._is_granted(reply):
            return
        if len(self._replies) >= limits.RESPONSES_COUNT:
            self._prune()
        self._replies[reply] = (self._clock(), 0)

    def _is_granted(self, subject: str) -> bool:
        known = self._may_publish.get(subject)
        if known is None:
            rule = self._said.publish
            known = rule.allow is None or _takes_in(rule.allow, subject)
            known = known and not _takes_in(rule.deny, subject)
            _remember(self._may_publish, subject, value=known)
        return known

    def _is_open(self, since: Nanos, count: int) -> bool:
        bound = self._said.responses
        assert bound is not None
        is_late = bound.time > 0 and self._clock() - since > bound.time
        return not is_late and not 0 < bound.count <= count

    def _prune(self) -> None:
        """Forget what is over, and if that is not enough, the oldest half."""
        live = [(reply, known) for reply, known in self._replies.items() if self._is_open(*known)]
        if len(live) >= limits.RESPONSES_COUNT:
            live = live[len(live) // 2 :]
        self._replies = dict(live)


def _remember(cache: dict[_Key, bool], key: _Key, *, value: bool) -> None:
    if len(cache) >= limits.PERMISSION_CACHE_COUNT:
        cache.clear()
    cache[key] = value
