"""Power cuts at every effect of a whole server, against streams made anew from their logs.

A run of a seed sends mixed requests to four streams, in memory and in two durable stores, each of
which loses an end of its own (a second file stands for RocksDB), moves time on, and cuts
the power (or kills the process) before or after any write or sync. After each start the
server must stand exactly where the commands up to its applied index lead, no earlier than
what it had acted on before, and its store must hold nothing that no stream owns. While it
runs, what each consumer has pending is compared with the stream at the end of each turn.
"""

import json
from random import Random

import pytest

from kvcore.jetstream.meta import Meta
from kvcore.jetstream.outcome import StreamCreated
from kvcore.jetstream.stream import Stream
from kvcore.limits import MILLISECOND_NS, SECOND_NS
from kvcore.node.config import NodeConfig
from kvcore.node.groups import FILE, MEMORY
from kvcore.node.io import ClientConnected, ClientData, Synced, TimerFired
from kvcore.node.node import Node
from kvcore.sim.disk import SimulatedDisk
from kvcore.storage import keys
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay
from tests.support.driven import CONNECT, START
from tests.support.noted import note_proposals

TTL = b"NATS/1.0\r\nNats-TTL: %d\r\n\r\n"
ROLLUP = b"NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n"
MSG_ID = b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n"


class CutError(Exception):
    """The power went."""


class Machine:
    def __init__(self, seed, logs):
        self.rng = Random(f"{seed}/load")
        self.disks = [SimulatedDisk(Random(f"{seed}/pages{each}")) for each in ("", "/2")]
        self.now = START
        self.logs = logs  # gid → every command proposed, in order
        self.acted = {}  # gid → the index up to which the server has acted
        self.starts = 0
        self.checked = 0
        self.until_cut = None
        self.start()

    # -- the driver

    def start(self):
        self.starts += 1
        first, second = (AppendFile(disk, compact_floor_bytes=3000) for disk in self.disks)
        self.stores = {"file": first, "memory": MemoryStorage(), "rocksdb": second}
        self.tickets = []
        config = NodeConfig("n1", "ID", engines=("file", "rocksdb"))
        self.node = Node(config, self.stores, Random(1), self.now)
        self.check_recovery()
        self.turn()
        self.settle()
        self.turn(ClientConnected(self.starts, "h", 1))
        self.turn(ClientData(self.starts, CONNECT + b"SUB d.* 2\r\n"))

    def turn(self, *events):
        self.now += self.rng.randrange(1, MILLISECOND_NS)
        for event in events:
            self.node.handle(event, self.now)
        effects = self.node.effects()
        for engine, batch in effects.batches.items():
            self.at_risk()
            self.stores[engine].write(batch)
            self.at_risk()
        for group in self.groups():
            self.acted[group.gid] = group.applied
        if effects.sync is not None:
            self.tickets.append(effects.sync)
        self.check_consumers()

    def settle(self):
        while self.tickets:
            ticket = self.tickets.pop()
            self.tickets.clear()
            for store in self.stores.values():
                self.at_risk()
                store.sync()
            self.at_risk()
            self.turn(Synced(ticket))

    def at_risk(self):
        if self.until_cut is not None:
            self.until_cut -= 1
            if self.until_cut < 0:
                self.until_cut = None
                raise CutError

    def groups(self):
        hosted = [host.group for host in self.node._hosts]
        return [group for group in (self.node._meta_group, *hosted) if group.engine != MEMORY]

    # -- the oracle

    def check_recovery(self):
        for group in self.groups():
            log = self.logs.setdefault(group.gid, [])
            assert self.acted.get(group.gid, 0) <= group.applied <= len(log)
            del log[group.applied :]
        meta = Meta(Overlay(MemoryStorage()))
        born = {}
        for index, command in enumerate(self.logs[keys.META_GID], 1):
            result = meta.apply(command, index).result
            if isinstance(result, StreamCreated):
                born.setdefault(result.assignment.gid, result.assignment)
        assert meta.streams == self.node._meta.streams
        for host in self.node._hosts:
            if host.group.engine != MEMORY:
                first = born[host.group.gid]
                again = Stream(first.gid, first.config, first.created, Overlay(MemoryStorage()))
                for index, command in enumerate(self.logs[first.gid], 1):
                    again.apply(command, index)
                assert picture(host.stream) == picture(again)
        owned = {keys.META_GID, *(host.group.gid for host in self.node._hosts)}
        for engine in (FILE, "rocksdb"):
            left = (key for key, _ in self.node._overlays[engine].scan(b"", b"\xff"))
            assert {keys.group(key) for key in left if key != keys.IDENTITY} <= owned

    def check_consumers(self):
        for host in self.node._hosts:
            for consumer in host.consumers if host.is_leading else ():
                self.checked += 1
                after = consumer.info(self.now, "")["delivered"]["stream_seq"]
                due = host.stream.sequences(consumer.config.filters, after + 1)
                assert consumer.num_pending == len(due)

    # -- the load

    def run(self, steps):
        for _ in range(steps):
            try:
                if self.rng.random() < 0.3:
                    self.until_cut = self.rng.randrange(14)
                self.step()
            except CutError:
                self.down(is_power_cut=self.rng.random() < 0.7)
                self.start()
                if self.rng.random() < 0.3:
                    self.down(is_power_cut=True)
                    self.start()

    def down(self, *, is_power_cut):
        for disk in self.disks:
            disk.power_cut() if is_power_cut else disk.close()

    def step(self):
        requests = [self.request() for _ in range(self.rng.randrange(1, 5))]
        self.turn(ClientData(self.starts, b"".join(requests)))
        if self.rng.random() < 0.7:
            self.settle()
        if self.rng.random() < 0.2:
            self.now += self.rng.randrange(3 * SECOND_NS)
            for _ in range(50):
                at = self.node.deadline()
                if at is None or at > self.now:
                    return
                self.turn(TimerFired())
                self.settle()
            raise AssertionError("an idle server wants to be woken without end")

    def request(self):
        rng, name = self.rng, self.rng.choice("ABCD")
        key, consumer = f"{name}.{rng.randrange(5)}", f"c{rng.randrange(4)}"
        to = rng.choice([f"d.{name}{consumer}", "nobody"])  # who has no listener falls behind
        watch = {"deliver_subject": to, "ack_policy": "none"}
        watch |= {"idle_heartbeat": SECOND_NS, "filter_subject": rng.choice([f"{name}.>", key])}
        watch |= {"deliver_policy": rng.choice(["all", "new", "last"])}
        makes = [
            lambda: message(key, b"v" * rng.randrange(90)),
            lambda: message(key, b"t", TTL % rng.randrange(1, 5)),
            lambda: message(key, b"", ROLLUP),
            lambda: message(key, b"i", MSG_ID % rng.randrange(9)),
            lambda: api(f"STREAM.PURGE.{name}", rng.choice([{}, {"keep": 2}, {"filter": key}])),
            lambda: api(f"STREAM.PURGE.{name}", {"seq": rng.randrange(1, 60)}),
            lambda: api(f"STREAM.MSG.DELETE.{name}", {"seq": rng.randrange(1, 40)}),
            lambda: message(f"$JS.API.STREAM.DELETE.{name}", b""),
            lambda: api(f"STREAM.CREATE.{name}", self.config(name)),
            lambda: api(f"STREAM.UPDATE.{name}", self.config(name)),
            lambda: api(
                f"CONSUMER.CREATE.{name}.{consumer}", {"stream_name": name, "config": watch}
            ),
            lambda: message(f"$JS.API.CONSUMER.DELETE.{name}.{consumer}", b""),
        ]
        (make,) = rng.choices(makes, [50, 6, 6, 6, 3, 2, 3, 2, 6, 4, 6, 3])
        return make()

    def config(self, name):
        choose = self.rng.choice
        return {
            "name": name,
            "subjects": [f"{name}.>"],
            "storage": "memory" if name == "D" else "file",
            "retention": choose(["limits", "interest"]) if name == "C" else "limits",
            "max_msgs_per_subject": choose([1, 1, 3]),
            "max_msgs": choose([-1, 10]),
            "max_age": choose([0, 3 * SECOND_NS]),
            "subject_delete_marker_ttl": choose([0, 2 * SECOND_NS]),
            "duplicate_window": SECOND_NS,
            "allow_msg_ttl": True,
            "allow_rollup_hdrs": True,
            "metadata": {"kvcore.engine": "rocksdb"} if name == "B" else {},
        }


def message(subject, payload, block=b""):
    sizes = f"{len(block)} {len(block) + len(payload)}" if block else f"{len(payload)}"
    verb = "HPUB" if block else "PUB"
    return f"{verb} {subject} _I.a {sizes}\r\n".encode() + block + payload + b"\r\n"


def api(verb, body):
    return message(f"$JS.API.{verb}", json.dumps(body).encode())


def picture(stream):
    """All that a stream is, as one value."""
    found = [stream.message(seq) for seq in stream.sequences()]
    facts = (stream.config, stream.created, stream.consumers, stream.last_msg_id)
    facts = (*facts, dict(stream.positions._at))
    return (*facts, stream.state(), stream.next_expiry(), dict(stream._recent._sequence_of), found)


@pytest.mark.parametrize("seed", range(12))
def test_after_any_power_cut_the_server_is_what_its_logs_say(seed, monkeypatch):
    logs = note_proposals(monkeypatch)
    machine = Machine(seed, logs)
    machine.run(150)
    assert machine.starts > 10
    assert machine.checked
