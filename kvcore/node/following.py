"""Mirrors and sources at work: the server reads origins and feeds the streams that copy them.

A host that copies has a `Link` for each origin. When an origin has committed something, or
the host itself has, the host is due; once a turn `work` lets every link that is due read on
from where its stream stands, and propose what it finds. A slice is in the log at a time:
the next is read when that one was applied, so the position is always the stream's own, and
a restart needs nothing but a comparison of the two streams.

One slice a turn is also what keeps a turn finite, should streams feed each other in a ring.

An origin that is missing is waited for. A copy that a limit refuses is waited with: the
host is due again after its next change, and every second while the server has no room.

Left out: origins that another server leads.
"""

from dataclasses import dataclass

from kvcore.jetstream.copying import copy_of, first, position
from kvcore.jetstream.errors import STREAM_NOT_FOUND
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.origins import Origin, digest
from kvcore.limits import (
    COPIES_PER_TURN_BYTES,
    COPIES_PER_TURN_COUNT,
    COPIES_PER_TURN_SEEN,
    COPY_RETRY_NS,
    Nanos,
)
from kvcore.node.groups import MEMORY
from kvcore.node.hosting import Host
from kvcore.node.hosts import Hosts
from kvcore.node.wakeups import Clock

_JUST_NOW: Nanos = 1  # clients take 0 for never


@dataclass(slots=True)
class Link:
    """How far one origin was read. `ahead` is the next sequence to look at, if the stream
    still stands at `proposed`; `awaited` is the log index of the slice that is on its way."""

    origin: Origin
    life: str = ""
    ahead: int = 0
    proposed: int = -1
    awaited: int = 0
    seen: Nanos = -1  # when the origin was last found, -1 is never
    is_missing: bool = False


class Following:
    """The links of one server's hosts, and which of them are due."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts = hosts
        self._clock = clock
        self._links: dict[Host, tuple[Link, ...]] = {}
        self._followers: dict[str, dict[Host, None]] = {}  # origin's name → who copies it
        self._due: dict[Host, None] = {}
        self._retry_at: Nanos | None = None

    # -- what there is to do ---------------------------------------------------------------

    def arrange(self, host: Host) -> None:
        """Make a leading host's links what its configuration says."""
        known = {link.origin: link for link in self._links.get(host, ())}
        self._unlink(host)
        links = tuple(known.get(one) or Link(one) for one in host.stream.origins)
        if links:
            self._links[host] = links
            self._due[host] = None
        for link in links:
            self._followers.setdefault(link.origin.name, {})[host] = None

    def forget(self, host: Host) -> None:
        """A stream is gone."""
        self._unlink(host)
        self.moved(host)

    def _unlink(self, host: Host) -> None:
        for link in self._links.pop(host, ()):
            followers = self._followers[link.origin.name]
            followers.pop(host, None)
            if not followers:
                del self._followers[link.origin.name]

    def moved(self, host: Host) -> None:
        """A stream has changed: what copies it may go on, and so may what it copies."""
        if host in self._links:
            self._due[host] = None
        if host.name in self._followers:
            self._due.update(self._followers[host.name])

    def deadline(self) -> Nanos | None:
        """When `work` has something to do; now if it has already."""
        return self._clock.now if self._due else self._retry_at

    # -- doing it --------------------------------------------------------------------------

    def work(self) -> None:
        """Propose the next slice of every link that is due; once a turn."""
        if self._retry_at is not None and self._retry_at <= self._clock.now:
            self._retry_at = None
            self._due.update(dict.fromkeys(self._links))
        due, self._due = self._due, {}
        for host in due:
            if self._hosts.has(host) and host.is_leading:
                for link in self._links.get(host, ()):
                    self._advance(host, link)

    def _advance(self, host: Host, link: Link) -> None:
        origin = self._hosts.get(link.origin.name)
        link.is_missing = origin is None or not origin.is_leading
        if origin is None or link.is_missing:
            return
        link.seen = self._clock.now
        if host.group.applied < link.awaited:
            return
        if not host.stream.has_room():
            self._retry_at = self._clock.now + COPY_RETRY_NS
            return
        life = _life(origin)
        reached = position(host.stream, link.origin, life)
        if (life, reached) != (link.life, link.proposed):
            link.life, link.proposed = life, reached
            link.ahead = reached + 1 if reached else first(link.origin, origin.stream)
        self._propose(host, link, origin)

    def _propose(self, host: Host, link: Link, origin: Host) -> None:
        stream, is_wanted = origin.stream, matcher(link.origin.filters)
        start = max(link.ahead, stream.first_seq)
        count = size = 0
        for seq in range(start, min(start + COPIES_PER_TURN_SEEN, stream.last_seq + 1)):
            subject = stream.subject_of(seq)
            if subject is not None and is_wanted(subject):
                message = stream.message(seq)
                assert message is not None
                command = copy_of(link.origin, message, link.proposed, link.life, self._clock.now)
                if not count and host.stream.copy_refusal(command) is not None:
                    return
                link.awaited = host.propose(command)
                link.proposed = seq
                count += 1
                size += len(message.payload)
            link.ahead = seq + 1
            if count >= COPIES_PER_TURN_COUNT or size >= COPIES_PER_TURN_BYTES:
                return
        if not count and link.ahead <= stream.last_seq:
            self._due[host] = None  # it has only looked so far

    # -- what is told ----------------------------------------------------------------------

    def report(self, name: str) -> dict[str, object]:
        """The `mirror` or `sources` that answers show of a stream."""
        host = self._hosts.get(name)
        if host is None or not host.stream.origins:
            return {}
        known = {link.origin: link for link in self._links.get(host, ())}
        found = [self._about(host, known.get(one) or Link(one)) for one in host.stream.origins]
        config = host.stream.config
        asked = config.sources if config.mirror is None else (config.mirror,)
        for about, document in zip(found, asked, strict=True):
            shown = ("filter_subject", "subject_transforms")
            about.update({key: document[key] for key in shown if document.get(key)})
        return {"mirror": found[0]} if config.mirror is not None else {"sources": found}

    def _about(self, host: Host, link: Link) -> dict[str, object]:
        out: dict[str, object] = {"name": link.origin.name, "lag": 0, "active": -1}
        origin = self._hosts.get(link.origin.name)
        if link.seen >= 0:
            out["active"] = max(self._clock.now - link.seen, _JUST_NOW)
            reached = position(host.stream, link.origin, link.life)
            if link.origin.key and reached:
                out["seq"] = reached
            if origin is not None and origin.is_leading:
                out["active"] = _JUST_NOW
                start = reached + 1 if reached else first(link.origin, origin.stream)
                if start <= origin.stream.last_seq:
                    out["lag"] = len(origin.stream.sequences(link.origin.filters, start))
        elif link.is_missing:
            out["error"] = STREAM_NOT_FOUND.to_json()
        return out


def _life(origin: Host) -> str:
    """What tells this stream from its namesakes, and its contents from those it lost."""
    era = origin.group.term if origin.group.engine == MEMORY else 0
    return digest(origin.stream.gid, origin.stream.created, era)[:8]
