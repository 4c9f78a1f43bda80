"""The other servers of the cluster, as one server sees them.

Every server has a link to every other. On a new link each introduces itself (HELLO), and
when it knows the other it tells what is wanted on it (INTEREST), first all of it, then each
change. From then on messages find their way (`elsewhere.py`), and consensus and notes have a
line to travel on.

    linked ── HELLO from the peer, of my cluster ──► known ── closed, or a bad frame ──► gone

What is told of interest is counted: a subject that ten clients want is told once, and taken
back when the tenth goes. A change is told at once, so that whoever subscribes and then asks
has told his peers where the answer goes before they see the question. Only the first list is
sent in slices, behind everything else.

Servers gossip for the sake of clients: INFO names the addresses of all servers (`connect_urls`)
except those about to go, and who understands it is told of every change.

What makes no sense ends the link, and takes everything with it that came over it. Nothing is
remembered of a peer that is gone; bytes for it are dropped.

Left out: dialling and proving who one is, which are the driver's; weighing of queue groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from random import Random
from typing import assert_never

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.nats.json_text import Json
from kvcore.nats.permissions import Permissions, Rights, Rule
from kvcore.node import frames
from kvcore.node.broker import Broker
from kvcore.node.clients import rights_by_name
from kvcore.node.config import NodeConfig
from kvcore.node.elsewhere import Elsewhere, PeerSubscription
from kvcore.node.frames import (
    Beats,
    Carried,
    ForGroup,
    Frame,
    FrameError,
    Heard,
    Hello,
    Note,
    Want,
)
from kvcore.node.io import PeerClosed, PeerConnected, PeerData
from kvcore.node.links import Key, Link
from kvcore.node.routing import PeerMessage, Taker
from kvcore.node.wakeups import Clock
from kvcore.raft.entry import CodecError
from kvcore.raft.messages import Beat
from kvcore.trace import Field, Sink, Trace

OnRaft = Callable[[str, int, bytes], None]
Beaten = Callable[[str, Sequence[tuple[int, Beat]]], None]
Taken = Callable[[str, Sequence[tuple[int, int, int]]], None]
Noted = Callable[[str, int, Mapping[str, Json], bytes], None]


class Peers:
    """All links of one server; without a cluster in `config` there are none, ever.

    `on_raft(peer, gid, data)`, `on_beats`, `on_heard` and `on_note(peer, gid, fields, data)` are
    called with what came; a `CodecError` from them ends the link. `on_hello(peer)` is called when a
    peer is known and whenever it has introduced itself anew, `on_gone(peer)` when a known peer is
    no more.
    """

    def __init__(
        self, config: NodeConfig, broker: Broker, clock: Clock, rng: Random, trace: Sink
    ) -> None:
        self._config = config
        self._broker = broker
        self._clock = clock
        self._trace = trace
        self.on_raft: OnRaft = lambda _peer, _gid, _data: None
        self.on_beats: Beaten = lambda _peer, _beats: None
        self.on_heard: Taken = lambda _peer, _taken: None
        self.on_note: Noted = lambda _peer, _gid, _fields, _data: None
        self.on_hello: Callable[[str], None] = lambda _peer: None
        self.on_gone: Callable[[str], None] = lambda _peer: None
        self.me = introduction(config)
        self.names: tuple[str, ...] = ()  # those known, sorted
        self.urls: tuple[str, ...] = ()  # where clients find servers, once others were known
        self.links: dict[str, Link] = {}
        self._wants: dict[Key, int] = {}  # what is wanted here, and by how many
        self._theirs: dict[Link, dict[Key, PeerSubscription]] = {}
        self._elsewhere = Elsewhere(rng)
        self._rights = rights_by_name(config, lambda: clock.now)
        self._nothing = Rights(Permissions(Rule(()), Rule(())), lambda: clock.now)
        self._dirty: list[Link] = []
        self._unlinks: dict[str, None] = {}
        if config.cluster is not None:
            broker.router.elsewhere = self._elsewhere
            broker.router.on_change = self._changed

    # What the driver tells.

    def handle(self, event: PeerConnected | PeerData | PeerClosed) -> None:
        """A link appeared, brought bytes, or is gone."""
        match event:
            case PeerData(peer, data):
                self._data(peer, data)
            case PeerConnected(peer):
                self._connected(peer)
            case PeerClosed(peer, reason):
                self._unlinks.pop(peer, None)
                if peer in self.links:
                    self._forget(self.links[peer], reason)
            case _:
                assert_never(event)

    def work(self) -> None:
        """What a turn's end brings: slices of long lists, and what became too much."""
        if self._broker.is_lame_duck and not self.me.is_lame_duck:
            self.introduce(replace(self.me, is_lame_duck=True))
            self._gossip()
        for link in [link for link in self.links.values() if link.is_overrun]:
            self.drop(link.peer, "slow")
        for link in self.links.values():
            if link.untold:
                self._tell_more(link)
        for link in [link for link in self._theirs if link.is_over]:
            self._clear(link)

    def deadline(self) -> Nanos | None:
        """At once, while a list is under way."""
        is_busy = any(link.is_over for link in self._theirs)
        is_busy = is_busy or any(link.untold or link.is_overrun for link in self.links.values())
        return self._clock.now if is_busy else None

    def drain(self) -> tuple[dict[str, bytes], tuple[str, ...]]:
        """What to write to each peer, and which links to close then."""
        writes = {link.peer: link.take() for link in self._dirty if link.out}
        self._dirty.clear()
        unlinks = tuple(self._unlinks)
        self._unlinks.clear()
        return writes, unlinks

    # What the rest of the server wants.

    def hello(self, peer: str) -> Hello | None:
        """How a peer introduced itself; None if it isn't known now."""
        link = self.links.get(peer)
        return None if link is None else link.hello

    def wanted_by(self, peer: str) -> int:
        """How many subjects a peer wants, each queue group apart."""
        return len(self._theirs[self.links[peer]])

    def introduce(self, me: Hello) -> None:
        """Something of this server has changed: tell everybody."""
        self.me = me
        for link in self.links.values():
            link.write((frames.hello(me),))

    def send_raft(self, peer: str, gid: int, data: bytes) -> None:
        """Consensus to a peer; dropped if it isn't known now, or the frame would be too large."""
        self._say(peer, frames.for_group(gid, data))

    def note(self, peer: str, gid: int, fields: Mapping[str, object], data: bytes = b"") -> None:
        """A note to a peer, perhaps with bytes; dropped as consensus is."""
        self._say(peer, (frames.note(gid, fields, data),))

    def drop(self, peer: str, reason: str) -> None:
        """End the link, if there is one: what came made no sense, or it takes too little."""
        link = self.links.get(peer)
        if link is not None:
            self._unlinks[peer] = None
            self._forget(link, reason)

    def send_beats(self, peer: str, beats: Sequence[tuple[int, Beat]]) -> None:
        """Heartbeats to a peer; dropped as consensus is."""
        for start in range(0, len(beats), limits.BEATS_PER_FRAME_COUNT):
            self._say(peer, (frames.beats(beats[start : start + limits.BEATS_PER_FRAME_COUNT]),))

    def send_heard(self, peer: str, taken: Sequence[tuple[int, int, int]]) -> None:
        """The answer to heartbeats; dropped as consensus is."""
        self._say(peer, (frames.heard(taken),))

    def _say(self, peer: str, frame: tuple[bytes, ...]) -> None:
        link = self.links.get(peer)
        if link is None or link.hello is None:
            return
        size = sum(map(len, frame))
        if size > limits.PEER_FRAME_BYTES:  # the peer would take us for mad
            self._tell("peer-oversize", peer=peer, bytes=size)
        else:
            link.write(frame)

    # Frames that came.

    def _connected(self, peer: str) -> None:
        assert self._config.cluster is not None, "a server on its own has no peers"
        assert peer != self._config.server_name, "nobody is his own peer"
        self._unlinks.pop(peer, None)
        if peer in self.links:
            self._forget(self.links[peer], "linked anew")
        link = self.links[peer] = Link(peer, self._dirty, self._clock.now)
        self._theirs[link] = {}
        link.write((frames.hello(self.me),))

    def _data(self, peer: str, data: bytes) -> None:
        link = self.links.get(peer)
        if link is None:
            return
        try:
            for frame in link.reader.feed(data):
                self._take(link, frame)
                if link.is_over:
                    return
        except (FrameError, CodecError) as error:
            if not link.is_over:
                self.drop(peer, str(error))

    def _take(self, link: Link, frame: Frame) -> None:
        if isinstance(frame, Hello):
            self._meet(link, frame)
            return
        if link.hello is None:
            raise FrameError("nothing comes before a HELLO")
        match frame:
            case ForGroup(gid, data):
                self.on_raft(link.peer, gid, data)
            case Carried():
                self._deliver(link, frame)
            case Want():
                self._heed(link, frame)
            case Beats(beats):
                self.on_beats(link.peer, beats)
            case Heard(taken):
                self.on_heard(link.peer, taken)
            case Note(gid, fields, data):
                self.on_note(link.peer, gid, fields, data)
            case _:
                assert_never(frame)

    def _meet(self, link: Link, hello: Hello) -> None:
        cluster = self.me.cluster
        if hello.name != link.peer:
            raise FrameError(f"{link.peer} calls itself {hello.name!r}"[:200])
        if hello.cluster != cluster:
            raise FrameError(f"cluster {hello.cluster!r}, not {cluster!r}"[:200])
        is_new, link.hello = link.hello is None, hello
        if is_new:
            link.untold = dict.fromkeys(self._wants)
            self._tell("peer-known", peer=link.peer)
        self._know()
        self.on_hello(link.peer)

    def _deliver(self, link: Link, frame: Carried) -> None:
        rights = self._rights.get(frame.user, self._nothing) if frame.user else None
        message = PeerMessage(frame.subject, frame.reply, frame.header, frame.payload, rights)
        link.in_msgs += 1
        link.in_bytes += message.size
        self._broker.router.receive(
            frame.to,
            message,
            is_plain=frame.is_plain,
            queues=frame.queues,
            clients_only=frame.clients_only,
        )

    def _heed(self, link: Link, want: Want) -> None:
        """Somebody there began to want a subject, or the last one ceased to."""
        key = want.is_server, want.queue, want.subject
        theirs = self._theirs[link]
        if want.is_added == (key in theirs):
            raise FrameError(f"interest in {want.subject[:80]!r} told twice")
        if want.is_added:
            if len(theirs) >= limits.PEER_INTEREST_COUNT:
                raise FrameError(f"interest in more than {len(theirs)} subjects")
            sub = PeerSubscription(link, want.subject, want.queue, is_server=want.is_server)
            theirs[key] = sub
            self._elsewhere.interest.insert(sub)
        else:
            self._elsewhere.interest.remove(theirs.pop(key))
        if not want.is_server:
            self._broker.on_interest(want.subject)

    # What is wanted here.

    def _changed(self, taker: Taker, *, is_added: bool) -> None:
        if taker.is_local or not frames.is_speakable(taker.subject, taker.queue):
            return
        key = taker.is_server, taker.queue, taker.subject
        count = self._wants.get(key, 0) + (1 if is_added else -1)
        if count:
            self._wants[key] = count
        else:
            del self._wants[key]
        if count == is_added:  # the first came, or the last went
            self._announce(key, is_added=is_added)

    def _announce(self, key: Key, *, is_added: bool) -> None:
        frame = (_want(key, is_added=is_added),)
        for link in self.links.values():
            if link.hello is None:
                continue
            is_untold = key in link.untold
            link.untold.pop(key, None)
            if is_added or not is_untold:
                link.write(frame)

    def _tell_more(self, link: Link) -> None:
        """A slice of the list that a new peer is told."""
        keys = list(islice(link.untold, limits.INTEREST_PER_TURN_COUNT))
        link.write([_want(key, is_added=True) for key in keys])
        for key in keys:
            del link.untold[key]

    # Ends, and what clients are told.

    def _forget(self, link: Link, reason: str) -> None:
        link.is_over = True
        link.out.clear()
        del self.links[link.peer]
        self._clear(link)
        self._tell("peer-gone", peer=link.peer, reason=reason)
        if link.hello is not None:
            self._know()
            self.on_gone(link.peer)

    def _clear(self, link: Link) -> None:
        """Take a slice of a lost link's interest out of the tree, where it counts no more."""
        theirs = self._theirs[link]
        for key in list(islice(theirs, limits.INTEREST_PER_TURN_COUNT)):
            is_server, _, subject = key
            self._elsewhere.interest.remove(theirs.pop(key))
            if not is_server:
                self._broker.on_interest(subject)
        if not theirs:
            del self._theirs[link]

    def _know(self) -> None:
        known = (name for name, link in self.links.items() if link.hello is not None)
        self.names = tuple(sorted(known))
        self._gossip()

    def _gossip(self) -> None:
        """Tell clients where the servers are, our own address first."""
        hellos = [self.me, *(hello for name in self.names if (hello := self.hello(name)))]
        urls = [url for each in hellos if not each.is_lame_duck for url in each.urls]
        self.urls = tuple(dict.fromkeys(urls))
        self._broker.tell_urls(self.urls)

    def _tell(self, kind: str, **fields: Field) -> None:
        self._trace(Trace(self._clock.now, self._config.server_name, kind, fields))


def _want(key: Key, *, is_added: bool) -> bytes:
    is_server, queue, subject = key
    return frames.want(is_added=is_added, is_server=is_server, queue=queue, subject=subject)


def _urls(config: NodeConfig) -> tuple[str, ...]:
    """Where clients reach the server; nowhere that one could tell if it listens everywhere."""
    if config.advertise:
        return (config.advertise,)
    if not config.host.strip("0.:"):  # 0.0.0.0, or :: of IPv6
        return ()
    host = f"[{config.host}]" if ":" in config.host else config.host
    return (f"{host}:{config.port}",)


def introduction(config: NodeConfig) -> Hello:
    """A server before it has lived: what its settings say of it."""
    cluster = config.cluster
    return Hello(
        name=config.server_name,
        id=config.server_id,
        urls=_urls(config),
        http=f"{config.http_host}:{config.http_port}" if config.http_port else "",
        cluster=cluster.name if cluster is not None else "",
        version=config.version,
        tags=config.tags,
        jetstream=config.jetstream,
        size=cluster.size if cluster is not None else 1,
        is_fresh=True,
        founders=(),
        is_lame_duck=False,
        max_memory=config.max_memory,
        max_storage=config.max_storage,
    )
