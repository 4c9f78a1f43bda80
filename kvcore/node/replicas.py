"""All groups of one server, driven alike: what a turn does for each, and what wakes them.

The meta group and the streams' groups differ in what their logs are about. In everything
else they are the same: each appends, waits for the disk, applies, leads for a while and
ceases to. Here is the part that is the same. What is particular to one is behind `Replica`:
it follows outcomes, takes up and lays down leadership, and does what time demands.

    a group has something to do   → it is touched
    the end of the turn           → each that was touched writes, delivers, says when to wake it
    Synced(ticket)                → each that wrote something in that batch commits it
    a heartbeat                   → of all groups at once, and the idle ones aren't touched

All groups' writes of a turn stand in one batch under one ticket, so they share one sync.

A replica leads from when its group `is_serving` to when that ends. Between two terms of the
same server it ceases to lead for a moment, since others may have led meanwhile.

Left out: what outcomes mean (`hosting.py`, `meta_group.py`).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from kvcore.limits import Nanos
from kvcore.node.beats import Beats, Post
from kvcore.node.groups import AnyGroup
from kvcore.node.turns import Tickets
from kvcore.node.wakeups import Wakeups
from kvcore.node.wiring import nothing
from kvcore.raft.entry import CodecError
from kvcore.raft.messages import Beat
from kvcore.storage.keys import META_GID

_EARLY_COUNT = 64  # messages kept for groups that are not here, the newest


class Replica(Protocol):
    """One group on this server, and what its log is about."""

    @property
    def group(self) -> AnyGroup:
        """The log, and the machine that it feeds."""

    @property
    def is_leading(self) -> bool:
        """Whether `lead` was called, and not `step_down` since."""

    @property
    def is_restless(self) -> bool:
        """Whether it waits for what nobody tells it: it is touched at each heartbeat."""

    def follow(self) -> None:
        """Carry out what `group.take` has, in the log's order."""

    def lead(self) -> None:
        """The group serves here from now on."""

    def step_down(self) -> None:
        """It doesn't any more. Who waits for an answer gets none: its fate is open."""

    def poll(self) -> None:
        """While leading, once a turn: deliver what is due. May propose."""

    def deadline(self) -> Nanos | None:
        """While leading: when to be polled next; a time in the past is at once."""


class Replicas:
    """The groups of one server, by their ids."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._beats: Beats[Replica] = Beats(post)
        self._by_gid: dict[int, Replica] = {}
        self._tickets: Tickets[Replica] = Tickets()
        self._wakeups: Wakeups[Replica] = Wakeups()
        self._touched: dict[Replica, None] = {}
        self._awaiting: list[tuple[Replica, int]] = []
        self._calls: list[Callable[[], None]] = []  # who waits for this turn's batch
        self._later: deque[tuple[int, list[Callable[[], None]]]] = deque()
        self._led: dict[Replica, int] = {}  # who leads here, and since which term
        self._early: deque[tuple[int, str, bytes]] = deque(maxlen=_EARLY_COUNT)
        self.is_vital = False  # whether the last turn's batch must be synced by any policy

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._by_gid.values())

    def add(self, replica: Replica) -> None:
        """A group begins on this server, or goes on after a restart."""
        assert replica.group.gid not in self._by_gid, "an id is never used twice"
        gid = replica.group.gid
        self._by_gid[gid] = replica
        self.touch(replica)
        early, self._early = self._early, deque(maxlen=_EARLY_COUNT)
        for each, peer, data in early:
            if each == gid:
                with suppress(CodecError):
                    self.receive(peer, gid, data)
            else:
                self._early.append((each, peer, data))

    def remove(self, replica: Replica) -> None:
        """The group is gone from this server."""
        del self._by_gid[replica.group.gid]
        self._wakeups.set(replica, None)
        self._beats.forget(replica)
        self._touched.pop(replica, None)
        self._led.pop(replica, None)

    def has(self, replica: Replica) -> bool:
        """Whether it is still here."""
        return self._by_gid.get(replica.group.gid) is replica

    def hand_over(self, group: AnyGroup, to: str) -> None:
        """An operator wants another server to lead this group; raises `NotLeader`."""
        group.transfer(to)
        self.touch(self._by_gid[group.gid])

    def touch(self, replica: Replica) -> None:
        """There is something to do for it at the end of the turn."""
        self._touched[replica] = None

    def after_sync(self, call: Callable[[], None]) -> None:
        """Call when all that this turn writes is durable, in whichever store."""
        self._calls.append(call)

    # -- what arrives ----------------------------------------------------------------------

    def synced(self, ticket: int) -> None:
        """A batch is durable: what waited for it is committed, and carried out."""
        for replica, mark in self._tickets.redeem(ticket):
            if self.has(replica):
                replica.group.persisted(mark)
                self._carry_out(replica)
                self.touch(replica)
        while self._later and self._later[0][0] <= ticket:
            for call in self._later.popleft()[1]:
                call()

    def receive(self, peer: str, gid: int, data: bytes) -> None:
        """Consensus of a group. It may not be here yet: another server has heard of a new
        stream a moment before. Or it is not here any more, and nobody hears it."""
        replica = self._by_gid.get(gid)
        if replica is None:
            self._early.append((gid, peer, data))
        else:
            replica.group.receive(peer, data)
            self._check_office(replica)
            self.touch(replica)

    def on_beats(self, peer: str, beats: Sequence[tuple[int, Beat]]) -> None:
        """A peer's heartbeats: what they say to a group that is idle is soon done."""
        taken: list[tuple[int, int, int]] = []
        for gid, beat in beats:
            replica = self._by_gid.get(gid)
            if replica is None:
                continue  # gone from here; whoever is new to a group isn't sent a beat
            if replica.group.step_beat(peer, beat):
                self._wakeups.set(replica, replica.group.deadline())
                taken.append((gid, beat.term, beat.last))
                if replica.is_restless:
                    self.touch(replica)
            else:
                self._check_office(replica)
                self.touch(replica)
        if taken:
            self._post.send_heard(peer, taken)

    def on_heard(self, peer: str, taken: Sequence[tuple[int, int, int]]) -> None:
        """Heartbeats of this server that a peer has taken."""
        for gid, term, _ in taken:
            replica = self._by_gid.get(gid)
            if replica is not None:
                replica.group.beat_taken(peer, term)

    def hand_over_all(self, online: Sequence[str]) -> None:
        """Let others lead what this server leads, wherever one of them is there and ready."""
        for replica in list(self._led):
            group = replica.group
            ready = (name for name in group.members.voters if name in online)
            heir = next((name for name in ready if group.raft.is_caught_up(name)), "")
            if heir:
                group.transfer(heir)
                self._check_office(replica)
                self.touch(replica)

    def peer_known(self, peer: str) -> None:
        """A peer introduced itself: it need not wait for a heartbeat to hear who leads."""
        for replica in self._led:
            if peer in replica.group.members.others(""):
                replica.group.read(nothing)
                self.touch(replica)

    def peer_closed(self, peer: str) -> None:
        """The link to a peer broke."""
        for replica in self._by_gid.values():
            replica.group.peer_closed(peer)
            self.touch(replica)

    def on_timer(self, now: Nanos) -> None:
        """Look after those whose time has come."""
        for replica in self._beats.beat(now):
            self._check_office(replica)
            self.touch(replica)
        for replica in self._wakeups.take_due(now):
            replica.group.on_timer()
            self._check_office(replica)
            self.touch(replica)

    def deadline(self) -> Nanos | None:
        """When the first of them wants to be woken."""
        at, beat_at = self._wakeups.next(), self._beats.at
        return at if beat_at is None or (at is not None and at < beat_at) else beat_at

    # -- the end of a turn -----------------------------------------------------------------

    def finish_turn(self) -> int | None:
        """Let each group that was touched put its part into the batch, and deliver. Returns
        the ticket of the sync that the batch needs, None if nothing waits for it."""
        self.is_vital = False
        meta = self._by_gid.get(META_GID)  # first, for it may take others away
        if meta is not None and meta in self._touched:
            self._finish(meta)
        while self._touched:
            self._finish(next(iter(self._touched)))
        awaiting, self._awaiting = self._awaiting, []
        if not awaiting and not self._calls:
            return None
        ticket = self._tickets.issue(awaiting)
        self._later.append((ticket, self._calls))
        self._calls = []
        return ticket

    def _finish(self, replica: Replica) -> None:
        group, flushed, is_polled = replica.group, -1, False
        self._touched.pop(replica, None)
        while group.last_index != flushed:  # delivering may propose: acks, an expiry
            flushed = group.last_index
            mark = group.flush()
            if mark:
                self._awaiting.append((replica, mark))
                self.is_vital = self.is_vital or group.is_vital
            self._carry_out(replica)
            if replica.is_leading and not is_polled:
                is_polled = True
                replica.poll()
        self._touched.pop(replica, None)
        times = (self._beats.note(replica), replica.deadline() if replica.is_leading else None)
        self._wakeups.set(replica, min((at for at in times if at is not None), default=None))

    def _carry_out(self, replica: Replica) -> None:
        """What was applied is followed by whoever led then; then leadership may change."""
        self._check_office(replica)
        replica.follow()
        group = replica.group
        if group.is_serving and replica not in self._led and self.has(replica):
            self._led[replica] = group.term
            replica.lead()

    def _check_office(self, replica: Replica) -> None:
        """Who led and doesn't any more, or again after an interval, lays it down at once."""
        led = self._led.get(replica, 0)
        group = replica.group
        if led and not (group.is_serving and group.term == led):
            del self._led[replica]
            replica.step_down()
