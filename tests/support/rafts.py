"""A group of pure Raft cores on a network that exists only here.

Messages lie in a list until a test delivers, loses, doubles or reorders them. Each server
has a disk that keeps what was synced: a crash forgets the rest. Every message goes through its
bytes, and `kvcore.check.invariants` looks on after each step, if a test wants it.

With `beats` leaders send beats for heartbeats. Each one that is taken is compared with the
AppendEntries that it stands for.
"""

from dataclasses import dataclass, field, replace
from random import Random

from kvcore.raft import replication
from kvcore.raft.codec import decode_message, encode_message
from kvcore.raft.core import Raft
from kvcore.raft.entry import Entry, EntryKind, HardState, Members, decode_members
from kvcore.raft.messages import AppendReply, Beat
from kvcore.raft.rules import PAPER
from kvcore.raft.state import Role, founded, joining, recovered

MS = 1_000_000
TIMERS = (50 * MS, 300 * MS, 600 * MS)
PIECE = 24  # bytes of a snapshot in a message


@dataclass(frozen=True)
class Disk:
    """What one server has stored; a frozen value, so a crash goes back to an older one."""

    hard: HardState | None = None
    log: tuple[Entry, ...] = ()
    machine: tuple[tuple[int, bytes], ...] = ()  # the commands that were applied
    applied: int = 0
    pieces: bytes = b""


@dataclass
class Server:
    """One server: a core and its disk. `waiting`: written, not yet synced."""

    name: str
    raft: Raft
    disk: Disk = Disk()
    synced: Disk = Disk()
    waiting: list = field(default_factory=list)  # (number, disk then, messages held back)
    reads: list = field(default_factory=list)
    is_up: bool = True


@dataclass(frozen=True)
class Beating:
    """A beat on its way."""

    sender: str
    beat: Beat


@dataclass(frozen=True)
class Taken:
    """A beat was taken; on its way to the leader."""

    sender: str
    term: int


class Net:
    """`names` found a group together. `auto_sync`: what is written is durable at once."""

    def __init__(
        self, names="abc", *, rules=PAPER, auto_sync=True, seed=1, memory=False, learners=(),
        observe=None, forgets_votes=False, acks_early=False,
        one_at_a_time=False, beats=False,
    ):  # fmt: skip
        self.names = list(names)
        self.random = Random(seed)
        self.rules = rules
        self.now = 0
        self.beats = beats
        self.beats_taken = 0
        self.auto_sync = auto_sync
        self.memory = memory
        self.flying: list = []
        self.cut: set = set()  # pairs (from, to) that lose everything
        self.observe = observe
        self.one_at_a_time = one_at_a_time
        self.forgets_votes, self.acks_early = forgets_votes, acks_early  # planted mistakes
        self.founders = members = Members(tuple(self.names), tuple(learners))
        self.servers = {
            name: Server(name, self._raft(founded(name, members))) for name in self.names
        }
        for server in self.servers.values():
            self.settle(server)

    def _raft(self, state):
        raft = Raft(state, self.rules, TIMERS, Random(self.random.random()), self.now)
        if self.one_at_a_time:
            raft.limit_appends(1)
        return raft

    def __getitem__(self, name):
        return self.servers[name].raft

    def add(self, name):
        self.names.append(name)
        self.servers[name] = Server(name, self._raft(joining(name)))
        self.settle(self.servers[name])

    # the host of each server

    def settle(self, server):
        """Do what the server's `ready` says."""
        while (ready := server.raft.ready()) is not None:
            disk = server.disk
            if ready.wipe:
                disk = Disk(hard=disk.hard)
            if ready.truncate_from:
                kept = tuple(e for e in disk.log if e.index < ready.truncate_from)
                disk = replace(disk, log=kept)
            if ready.hard:
                disk = replace(disk, hard=ready.hard)
            if ready.chunk:
                assert len(disk.pieces) == ready.chunk.offset
                disk = replace(disk, pieces=disk.pieces + ready.chunk.data)
            disk = replace(disk, log=disk.log + ready.entries)
            for entry in ready.committed:
                assert entry.index == disk.applied + 1, "in order, each once"
                more = ((entry.index, entry.data),) if entry.kind is EntryKind.COMMAND else ()
                disk = replace(disk, machine=disk.machine + more, applied=entry.index)
            server.disk = disk
            self.post(server.name, ready.send_now)
            server.reads += ready.reads
            done = ready.chunk if ready.chunk and ready.chunk.is_done else None
            held = ready.send_after_persist
            if self.acks_early:
                self.post(server.name, held)
                held = ()
            server.waiting.append((ready.number, disk, held, done))
            for peer, last_index, offset in ready.wanted:
                self.give_piece(server, peer, last_index, offset)
            if self.auto_sync:
                self.sync(server)
        if self.observe is not None:
            self.observe({n: s.raft.state for n, s in self.servers.items() if s.is_up})

    def sync(self, server, upto=None):
        """The disk has everything that was written, or the batches up to this one."""
        count = len(server.waiting) if upto is None else upto
        batches, server.waiting = server.waiting[:count], server.waiting[count:]
        for number, disk, held, done in batches:
            server.synced = disk
            server.raft.on_persisted(number)
            self.post(server.name, held)
            if done is not None:
                self.install(server, done)

    def install(self, server, chunk):
        pieces = server.disk.pieces
        lines = pieces.split(b"\n") if pieces else []
        machine = tuple((int(line.partition(b":")[0]), line.partition(b":")[2]) for line in lines)
        marker = Entry(chunk.last_index, chunk.last_term, EntryKind.NOOP, b"")
        server.disk = server.synced = replace(
            server.disk, machine=machine, applied=chunk.last_index, log=(marker,), pieces=b"",
            hard=server.disk.hard.among(decode_members(chunk.members)),
        )  # fmt: skip
        server.raft.installed(chunk.last_index)

    def give_piece(self, server, peer, last_index, offset):
        index = last_index or server.disk.applied
        state = tuple(item for item in server.disk.machine if item[0] <= index)
        blob = b"\n".join(b"%d:%b" % item for item in state)
        piece = blob[offset : offset + PIECE]
        is_done = offset + len(piece) >= len(blob)
        server.raft.send_snapshot(peer, index, offset, piece, is_done=is_done)

    # the network

    def post(self, sender, messages):
        for to, message in messages:
            assert message.sender == sender
            if (sender, to) not in self.cut:
                self.flying.append((to, decode_message(encode_message(message))))

    def deliver(self, place=0, *, keep=False):
        to, message = self.flying[place] if keep else self.flying.pop(place)
        server = self.servers.get(to)
        if server is not None and server.is_up and (message.sender, to) not in self.cut:
            if isinstance(message, Beating):
                self.hear(server, message)
            elif isinstance(message, Taken):
                server.raft.beat_taken(message.sender, message.term, self.now)
            else:
                server.raft.step(message, self.now)
            self.settle(server)

    def beat(self, server):
        """A leader's heartbeat, as a beat where that says all."""
        told = server.raft.beat(self.now)
        beat, names = told or (None, ())
        for name in names:
            if (server.name, name) not in self.cut:
                self.flying.append((name, Beating(server.name, beat)))
        self.settle(server)
        return names

    def hear(self, server, message):
        before = server.raft.state
        if not server.raft.step_beat(message.sender, message.beat, self.now):
            return
        self.beats_taken += 1
        twin = Raft(before, PAPER, TIMERS, now=self.now)
        twin.step(message.beat.spelled_out(message.sender), self.now)
        ready, term, last = twin.ready(), message.beat.term, message.beat.last
        assert twin.state == server.raft.state == before
        reply = AppendReply(server.name, term, is_taken=True, index=last)
        assert ready.is_durable
        assert ready.send_after_persist == ((message.sender, reply),)
        assert before.unsynced == ready.send_now == ready.committed == ()
        if (server.name, message.sender) not in self.cut:
            self.flying.append((message.sender, Taken(server.name, term)))

    def deliver_between(self, sender, to):
        """Deliver the oldest message from one to another."""
        places = [n for n, (t, m) in enumerate(self.flying) if (m.sender, t) == (sender, to)]
        assert places, f"nothing is on its way from {sender} to {to}"
        self.deliver(places[0])

    def run(self, most=10_000):
        """Deliver everything in order, and what follows from it."""
        for _ in range(most):
            if not self.flying:
                return
            self.deliver()
        raise AssertionError("the servers never come to rest")

    def tick(self, ms=10):
        """Let time pass, and the timers that are due."""
        self.now += ms * MS
        for server in self.servers.values():
            if server.is_up and self.beats and self._is_beat_due(server.raft):
                self.beat(server)
            elif server.is_up:
                server.raft.on_timer(self.now)
                self.settle(server)

    def _is_beat_due(self, raft):
        at = raft.deadline()
        return raft.role is Role.LEADER and at is not None and at <= self.now

    def pass_time(self, ms, step=10):
        for _ in range(0, ms, step):
            self.tick(step)
            self.run()

    # what tests ask for

    def stand(self, name):
        self[name].stand(self.now)
        self.settle(self.servers[name])

    def elect(self, name):
        self.pass_by_leases()
        self.stand(name)
        self.run()
        assert self[name].role is Role.LEADER, (name, self[name].role)

    def pass_by_leases(self):
        """Long enough that nobody feels bound to a leader; no timer goes off."""
        self.now += 601 * MS

    def propose(self, name, *data):
        for item in data:
            self[name].propose(item)
        self.settle(self.servers[name])

    def partition(self, *sides):
        groups = [set(side) for side in sides]
        self.cut = {
            (x, y)
            for x in self.names
            for y in self.names
            if not any({x, y} <= side for side in groups)
        }
        self.flying = [f for f in self.flying if (f[1].sender, f[0]) not in self.cut]

    def heal(self):
        self.cut = set()

    def crash(self, name):
        server = self.servers[name]
        server.is_up = False
        server.waiting = []
        server.disk = server.synced

    def restart(self, name):
        server = self.servers[name]
        disk = server.synced
        if self.memory and disk.hard is not None:
            disk = Disk(hard=disk.hard)
        if self.forgets_votes and disk.hard is not None:
            disk = replace(disk, hard=disk.hard.voted(disk.hard.term, ""))
        server.disk = server.synced = disk
        server.reads = []
        if disk.hard is None:
            state = founded(name, self.founders)
        else:
            state = recovered(name, disk.hard, disk.log, disk.applied, self.memory)
        server.raft = self._raft(state)
        server.is_up = True
        self.settle(server)

    def trim(self, name, keep=0):
        """As far as what was applied is durable; the disk forgets it with the next batch."""
        server = self.servers[name]
        server.raft.trim(server.synced.applied - keep)
        first = server.raft.state.first
        kept = tuple(e for e in server.disk.log if e.index >= first)
        server.disk = replace(server.disk, log=kept)
        if not server.waiting:
            server.synced = server.disk

    def leaders(self):
        return [n for n, s in self.servers.items() if s.is_up and s.raft.role is Role.LEADER]

    def terms(self, name):
        return [entry.term for entry in self[name].state.log.entries]

    def values(self, name):
        return [data for _, data in self.servers[name].disk.machine]

    def campaign(self, name, *voters):
        """Stand, as in the paper, and ask these alone; again if the term was another's."""
        for _ in range(3):
            self.pass_by_leases()
            self[name].stand(self.now, is_rehearsed=True)
            self.settle(self.servers[name])
            for voter in voters:
                self.deliver_between(name, voter)
                self.deliver_between(voter, name)
            self.flying = []
            if self[name].role is Role.LEADER:
                return
        raise AssertionError(f"{name} isn't elected")


def figure_8(net):
    """The paper's figure 8 with servers a to e for S1 to S5; returns the net as of (e)."""
    net.campaign("a", "b", "c")  # (a) a leads term 2, and its entry 2 reaches b alone
    send_to(net, "a", "b")
    assert net.terms("b") == [1, 2]
    net.crash("a")
    net.campaign("e", "d", "c")  # (b) e leads term 3 with votes of c and d, and appends
    assert net.terms("e") == [1, 3]
    net.crash("e")
    net.restart("a")  # (c) a leads again, in term 4, and brings entry 2 to c: a majority has it
    net.campaign("a", "b", "c")
    replication.heartbeat(net["a"]._part)
    net.settle(net.servers["a"])
    net.deliver_between("a", "b")
    net.deliver_between("b", "a")  # b has entry 2 already
    net.flying = []
    send_to(net, "a", "c", until=lambda: net.terms("c") == [1, 2])
    assert [p.match for p in net["a"].followers][:2] == [2, 2]
    net.crash("a")
    net.restart("e")
    net.campaign("e", "b", "c", "d")  # (d) e may be elected: its last term is 3, theirs is 2
    net.run()
    net.pass_time(100)
    return net


def send_to(net, leader, follower, until=None):
    """Let a leader and one follower talk, and nobody else; up to a moment."""
    net.partition(leader + follower)
    net[leader]._part.is_due = True
    replication.heartbeat(net[leader]._part)
    net.settle(net.servers[leader])
    for _ in range(20):
        if until is not None and until():
            net.deliver_between(follower, leader)
            break
        if not net.flying:
            break
        net.deliver()
    net.flying = []
    net.heal()
