"""Mirrors and sources at work: the server reads origins and feeds the streams that copy them.

A host that copies has a `Link` for each origin. When an origin has committed something, or
the host itself has, the host is due; once a turn `work` lets every link that is due read on
from where its stream stands, and propose what it finds. A slice is in the log at a time:
the next is read when that one was applied, so the position is always the stream's own, and
a restart needs nothing but a comparison of the two streams.

One slice a turn is also what keeps a turn finite, should streams feed each other in a ring.

An origin that is missing is waited for. A copy that a limit refuses is waited with: the
host is due again after its next change, and every second while the server has no room.

An origin that another server leads is read there (`fetching.py`): the slice is asked for, comes
some time later, and is taken like any other if it continues what the stream has by then.

Left out: who leads what; the cluster's view knows.
"""

from dataclasses import dataclass

from kvcore.jetstream.copying import Slice, copy_of, first, position, slice_of
from kvcore.jetstream.errors import STREAM_NOT_FOUND
from kvcore.jetstream.origins import Origin
from kvcore.limits import COPIES_PER_TURN_COUNT, COPY_RETRY_NS, Nanos
from kvcore.node.fetching import Fetching, Request, life_of
from kvcore.node.hosting import Host
from kvcore.node.hosts import Hosts
from kvcore.node.wakeups import Clock

_JUST_NOW: Nanos = 1  # clients take 0 for never


@dataclass(slots=True)
class Link:
    """How far one origin was read. `ahead` is the next sequence to look at, if the stream
    still stands at `proposed`; `awaited` is the log index of the slice that is on its way, if
    this server still leads in the same `term`.

    Of an origin elsewhere: `number` is what answers are known by, `asked` who was asked last
    and not heard since, `fetched` what came, which is not taken while `is_held`.
    """

    origin: Origin
    number: int
    life: str = ""
    ahead: int = 0
    proposed: int = -1
    awaited: int = 0
    term: int = 0
    seen: Nanos = -1  # when the origin was last found, -1 is never
    is_missing: bool = False
    is_refused: bool = False  # the next copy can't be stored now
    asked: str = ""
    asked_at: Nanos = 0
    fetched: Slice | None = None
    is_held: bool = False


class Following:
    """The links of one server's hosts, and which of them are due."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts = hosts
        self._clock = clock
        self._links: dict[Host, tuple[Link, ...]] = {}
        self._followers: dict[str, dict[Host, None]] = {}  # origin's name → who copies it
        self._due: dict[Host, None] = {}
        self._retry_at: Nanos | None = None
        self._numbers = 0
        self.fetching: Fetching | None = None  # a server on its own has all origins

    # -- what there is to do ---------------------------------------------------------------

    def arrange(self, host: Host) -> None:
        """Make a leading host's links what its configuration says."""
        known = {link.origin: link for link in self._links.get(host, ())}
        self._unlink(host)
        links = tuple(known.get(one) or self._link(one) for one in host.stream.origins)
        if links:
            self._links[host] = links
            self._due[host] = None
        for link in links:
            self._followers.setdefault(link.origin.name, {})[host] = None

    def _link(self, origin: Origin) -> Link:
        self._numbers += 1
        return Link(origin, self._numbers)

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
        if self.fetching is not None:
            self.fetching.moved(host)

    def deadline(self) -> Nanos | None:
        """When `work` has something to do; now if it has already."""
        is_due = self._due or (self.fetching is not None and self.fetching.is_due)
        return self._clock.now if is_due else self._retry_at

    # -- doing it --------------------------------------------------------------------------

    def work(self) -> None:
        """Propose the next slice of every link that is due; once a turn."""
        if self._retry_at is not None and self._retry_at <= self._clock.now:
            self._retry_at = None
            self._due.update(dict.fromkeys(self._links))
        if self.fetching is not None:
            self.fetching.answer()
            self._take_in(self.fetching.take())
        due, self._due = self._due, {}
        for host in due:
            if self._hosts.has(host) and host.is_leading:
                for link in self._links.get(host, ()):
                    self._advance(host, link)

    def _advance(self, host: Host, link: Link) -> None:
        origin = self._hosts.get(link.origin.name)
        if origin is None or not origin.is_leading:
            self._advance_abroad(host, link)
            return
        link.asked, link.fetched, link.is_missing, link.is_held = "", None, False, False
        link.seen = self._clock.now
        if not self._is_ready(host, link):
            return
        life = life_of(origin)
        reached = position(host.stream, link.origin, life)
        ahead = link.ahead
        if (life, reached) != (link.life, link.proposed):
            ahead = reached + 1 if reached else first(link.origin, origin.stream)
        most = 1 if link.is_refused else COPIES_PER_TURN_COUNT
        piece = slice_of(origin.stream, link.origin.filters, life, reached, ahead, most)
        self._propose(host, link, piece)
        if not piece.messages and not piece.is_empty:
            self._due[host] = None  # it has only looked so far

    def _is_ready(self, host: Host, link: Link) -> bool:
        """Whether the slice before is applied, or will never be, and there is room for more."""
        if host.group.applied < link.awaited and host.group.term == link.term:
            return False
        if not host.stream.has_room():
            self._retry_at = self._clock.now + COPY_RETRY_NS
            return False
        return True

    def _propose(self, host: Host, link: Link, piece: Slice) -> bool:
        """Take a slice over; False while its first message can't be stored."""
        link.life, link.proposed = piece.life, piece.after
        for message in piece.messages:
            command = copy_of(link.origin, message, link.proposed, link.life, self._clock.now)
            if message is piece.messages[0]:
                link.is_refused = host.stream.copy_refusal(command) is not None
                if link.is_refused:
                    link.ahead = message.seq
                    return False
            link.awaited, link.term = host.propose(command), host.group.term
            link.proposed = message.seq
        link.ahead = piece.ahead
        return True

    # -- origins that are led elsewhere ----------------------------------------------------

    def _advance_abroad(self, host: Host, link: Link) -> None:
        """Take what has come, and ask for more."""
        fetching = self.fetching
        link.is_missing = fetching is None or not fetching.knows(link.origin.name)
        if fetching is None or link.is_missing:
            return
        now = self._clock.now
        self._retry_at = min(self._retry_at or now + COPY_RETRY_NS, now + COPY_RETRY_NS)
        if link.is_held and link.fetched is not None and self._is_ready(host, link):
            piece = link.fetched
            is_next = position(host.stream, link.origin, piece.life) == piece.after
            link.is_held = is_next and not self._propose(host, link, piece)
        is_asked = link.asked and now < link.asked_at + COPY_RETRY_NS
        if not is_asked and (not link.is_held or now >= link.asked_at + COPY_RETRY_NS):
            link.asked = fetching.ask(link.origin.name, self._request(host, link))
            link.asked_at = now

    def _request(self, host: Host, link: Link) -> Request:
        """What follows the last that was proposed or, if that is settled, that is here."""
        origin = link.origin
        if host.group.applied < link.awaited and host.group.term == link.term:
            life, after = link.life, link.proposed
        elif origin.key:
            life, after = host.stream.positions.last(origin.key)
        else:
            life, after = link.life, host.stream.last_seq
        is_known = (life, after) == (link.life, link.proposed)
        return Request(
            link.number, origin, life, after, link.ahead if is_known else 0,
            1 if link.is_refused else COPIES_PER_TURN_COUNT,
        )  # fmt: skip

    def _take_in(self, fetched: dict[int, Slice]) -> None:
        """Note what was asked for and has come."""
        if not fetched:
            return
        for host, links in self._links.items():
            for link in links:
                piece = fetched.get(link.number)
                if piece is None:
                    continue
                link.seen, link.fetched = self._clock.now, piece
                link.is_held = not piece.is_empty
                if link.is_held:
                    link.asked = ""
                    self._due[host] = None

    # -- what is told ----------------------------------------------------------------------

    def report(self, name: str) -> dict[str, object]:
        """The `mirror` or `sources` that answers show of a stream."""
        host = self._hosts.get(name)
        if host is None or not host.stream.origins:
            return {}
        known = {link.origin: link for link in self._links.get(host, ())}
        found = [self._about(host, known.get(one) or Link(one, 0)) for one in host.stream.origins]
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
            if link.fetched is not None:
                out["lag"] = link.fetched.lag_at(reached)
            elif origin is not None and origin.is_leading:
                out["active"] = _JUST_NOW
                start = reached + 1 if reached else first(link.origin, origin.stream)
                if start <= origin.stream.last_seq:
                    out["lag"] = len(origin.stream.sequences(link.origin.filters, start))
        elif link.is_missing:
            out["error"] = STREAM_NOT_FOUND.to_json()
        return out
