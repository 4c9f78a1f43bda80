"""Everything that goes in slices, at once: random schedules on a whole server.

Consumers are made, subjects listed and streams backed up and restored, each over several
turns, while others put, purge, update and delete the same streams, clients leave, and the
server is killed in between. After each schedule nothing is left over: no view, no group, no
subscription, no answer under way; and what consumers count is what a recount says.
"""

import json
from random import Random

import pytest

from kvcore import limits
from kvcore.node.io import ClientClosed, ClientConnected, ClientData, TimerFired
from kvcore.storage import keys
from tests.support.backups import backup, messages
from tests.support.driven import Driver

NAMES = ("A", "B")
HELLO = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB in.%d.> 1\r\n'


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(limits, "SEARCH_SLICE_COUNT", 3)
    monkeypatch.setattr(limits, "SEARCHED_PER_TURN_COUNT", 3)
    monkeypatch.setattr(limits, "BACKUP_FRAME_COUNT", 2)
    monkeypatch.setattr(limits, "BACKUP_FRAMES_PER_TURN", 1)
    monkeypatch.setattr(limits, "RESTORE_SLICE_COUNT", 2)


def config(name, **more):
    return {"name": name, "subjects": [f"{name}.>"], "allow_direct": True, **more}


class Schedule:
    """One random run; `step` does one thing, or lets one turn pass."""

    def __init__(self, seed, archives):
        self.rng = Random(seed)
        self.archives = archives
        self.server = Driver()
        self.server.sync()
        self.conns, self.next_conn = [], 1
        self.restores = {}  # reply token -> the chunks that are left
        self.connect()

    def connect(self):
        conn = self.next_conn
        self.next_conn += 1
        self.server.turn(ClientConnected(conn, "h", conn), ClientData(conn, HELLO % conn))
        self.server.heard(conn)
        self.conns.append(conn)

    def ask(self, subject, body=None, reply="x"):
        conn = self.rng.choice(self.conns)
        payload = b"" if body is None else json.dumps(body).encode()
        self.server.publish(subject, payload, f"in.{conn}.{reply}", conn=conn)
        return conn

    def step(self):
        rng, name = self.rng, self.rng.choice(NAMES)
        conn = rng.choice(self.conns)
        match rng.randrange(16):
            case 0 | 1 | 2:
                for _ in range(rng.randrange(8)):
                    self.ask(f"{name}.{rng.randrange(9)}")
            case 3:
                wanted = {"deliver_subject": f"in.{conn}.d", "ack_policy": "none"}
                if rng.random() < 0.4:
                    wanted = {"durable_name": "d", "ack_policy": "explicit"}
                wanted |= {
                    "name": wanted.get("durable_name", f"w{rng.randrange(3)}"),
                    "deliver_policy": rng.choice(("all", "last_per_subject", "last", "new")),
                }
                if rng.random() < 0.5:
                    wanted["filter_subjects"] = [f"{name}.{rng.randrange(9)}"]
                body = {"stream_name": name, "config": wanted}
                self.ask(f"$JS.API.CONSUMER.CREATE.{name}.{wanted['name']}", body)
            case 4:
                self.ask(f"$JS.API.CONSUMER.DELETE.{name}.{rng.choice(('d', 'w0', 'w1'))}")
            case 5:
                self.ask(f"$JS.API.STREAM.INFO.{name}", {"subjects_filter": ">"})
            case 6:
                body = {"deliver_subject": f"in.{conn}.b", "chunk_size": 1024}
                self.ask(f"$JS.API.STREAM.SNAPSHOT.{name}", body)
            case 7:
                self.ask(f"$JS.API.STREAM.RESTORE.{name}", {"config": config(name)}, f"r.{name}")
            case 8 | 9 | 10:
                self.change(name)
            case 11:
                self.come_and_go(conn)
            case 12 if rng.random() < 0.2:
                self.crash()
            case _:
                self.server.wait(rng.choice((0, 0.001, 0.5)))
        if rng.random() < 0.6:
            self.server.sync()
        self.server.turn(TimerFired())
        self.hear()
        self.check()

    def change(self, name):
        rng = self.rng
        match rng.randrange(3):
            case 0:
                self.ask(f"$JS.API.STREAM.DELETE.{name}")
            case 1:
                more = {"max_msgs": rng.choice((-1, 5)), "max_age": rng.choice((0, 10**9))}
                verb = rng.choice(("CREATE", "CREATE", "UPDATE"))
                self.ask(f"$JS.API.STREAM.{verb}.{name}", config(name, **more))
            case _:
                body = rng.choice(({}, {"filter": f"{name}.1"}, {"keep": 2}))
                self.ask(f"$JS.API.STREAM.PURGE.{name}", body)

    def come_and_go(self, conn):
        if self.rng.random() < 0.3 and len(self.conns) > 1:
            self.conns.remove(conn)
            self.server.turn(ClientClosed(conn))
        else:
            self.connect()

    def hear(self):
        """Follow up what was heard: chunks to restore, backups to acknowledge."""
        for conn in self.conns:
            for to, reply, _, payload in messages(self.server.heard(conn)):
                _, _, kind, *more = [*to.split("."), "", ""]
                if kind == "r" and (subject := json.loads(payload or b"{}").get("deliver_subject")):
                    data = self.archives[more[0]]
                    chunks = [data[at : at + 200] for at in range(0, len(data), 200)]
                    self.restores[subject] = [*chunks, b""]
                elif kind == "b" and reply and self.rng.random() < 0.9:
                    self.server.turn(ClientData(conn, f"PUB {reply} 0\r\n\r\n".encode()))
        for subject, chunks in self.restores.items():
            if chunks and self.rng.random() < 0.5:
                self.ask(subject, None, "c") if not chunks[0] else self.chunk(subject, chunks[0])
                chunks.pop(0)

    def chunk(self, subject, data):
        conn = self.rng.choice(self.conns)
        self.server.publish(subject, data, f"in.{conn}.c", conn=conn)

    def crash(self):
        stores = self.server.stores
        for store in stores.values():
            store._views.clear()  # they were the process's own
        self.server = Driver(stores)
        if self.rng.random() < 0.5:
            self.server.sync()
        self.conns, self.restores = [], {}
        self.connect()

    def check(self):
        for name, stream in self.server.node.streams.items():
            for consumer in self.server.node._hosts[name].consumers:
                if consumer.is_ready:
                    waiting = consumer._pending[consumer._next :]
                    assert list(waiting) == sorted(dict.fromkeys(waiting))
                    gone = [seq for seq in waiting if stream.subject_of(seq) is None]
                    assert not gone, (name, consumer.name, gone)

    def end(self):
        """Everybody leaves, time passes: what is left is what streams are."""
        self.server.sync()
        for conn in self.conns:
            self.server.turn(ClientClosed(conn))
        self.server.sync()
        self.server.wait(30)
        node, server = self.server.node, self.server
        assert not any(store._views for store in server.stores.values())
        assert not node._restores._by_gid
        assert not node._backups._sendings
        assert not node._answers
        assert not node._advisor._waiting
        for host in node._hosts:
            assert not host._held_back
            assert not host.unanswered
            assert host.is_settled
            assert not host.consumers._unready
        live = {keys.META_GID, *(each.gid for each in node._meta.streams.values())}
        pairs = server.stores["file"].scan(b"", b"\xff")
        assert {keys.group(key) for key, _ in pairs if key != keys.IDENTITY} == live
        used = sum(host.stream.bytes for host in node._hosts)
        assert node._budgets["file"].used == used
        self.compare(Driver(server.stores))

    def compare(self, again):
        """A restart makes the same streams of it."""
        again.sync()
        for name, stream in self.server.node.streams.items():
            other = again.node.streams[name]
            assert other.sequences() == stream.sequences()
            assert other.state() == stream.state()
            assert other.config == stream.config


@pytest.fixture(scope="module")
def archives():
    server = Driver()
    server.sync()
    server.client()
    for name in NAMES:
        server.request(f"$JS.API.STREAM.CREATE.{name}", config(name))
        for number in range(15):
            server.publish(f"{name}.{number % 4}", b"old")
        server.sync()
    return {name: backup(server, name)[1] for name in NAMES}


@pytest.mark.parametrize("block", range(10))
def test_what_goes_in_slices_survives_whatever_happens_meanwhile(block, archives):
    for seed in range(20):
        schedule = Schedule(f"{block}/{seed}", archives)
        for _ in range(60):
            schedule.step()
        schedule.end()
