"""Several servers that replicate: a `Mesh` with JetStream, founded together, and its verbs.

trio = Trio()                       # "a", "b", "c"
trio.create("b", replicas=3)        # a bucket, once its leader serves
conn = trio.client("a")
trio.put(conn, "b", "k", b"v")      # the PubAck, None if there was none
trio.crash(trio.leader("b"))
"""

import json

from kvcore.node.config import ClusterConfig
from tests.support.driven import bucket
from tests.support.mesh import Mesh


class Trio(Mesh):
    """Servers of these names, linked, whose meta group has a leader."""

    def __init__(self, *names, seed=1, **settings):
        names = names or ("a", "b", "c")
        self.names = names
        self.muted = ()
        cluster = ClusterConfig("C", len(names), names)
        super().__init__(*names, seed=seed, jetstream=True, cluster=cluster, **settings)
        self.until(self.meta_leader)

    # -- who is what

    def until(self, condition, seconds=10):
        """Let time pass until something is so."""
        for _ in range(int(seconds * 100)):
            if found := condition():
                return found
            self.wait(0.01)
        raise AssertionError("it never came to pass")

    def meta_leader(self):
        leading = [name for name, node in self.nodes.items() if node.is_leading]
        return leading[0] if len(leading) == 1 else ""

    def host(self, name, stream):
        return self.nodes[name]._hosts.get(f"KV_{stream}")

    def hosts(self, stream):
        found = {name: self.host(name, stream) for name in self.nodes}
        return {name: host for name, host in found.items() if host is not None}

    def leader(self, stream):
        """Who serves a bucket, "" if nobody does."""
        leading = [name for name, host in self.hosts(stream).items() if host.is_leading]
        return leading[0] if len(leading) == 1 else ""

    def follower(self, stream):
        return next(name for name in self.hosts(stream) if name != self.leader(stream))

    def contents(self, name, stream):
        """A replica's messages: sequence, subject, header, payload, time."""
        machine = self.host(name, stream).stream
        return [machine.message(seq) for seq in machine.sequences()]

    def is_level(self, stream):
        """Whether all replicas have applied the same."""
        return len({host.group.applied for host in self.hosts(stream).values()}) == 1

    # -- verbs

    def crash(self, name):
        """A server dies; what it has not synced may be lost (here: nothing is)."""
        self.stop(name)

    def restart(self, name, linked=True):
        """It comes back with its stores, memory empty, and is linked again."""
        self.stores[name]["memory"] = type(self.stores[name]["memory"])()
        self.start(name)
        if linked:
            self.join(name)

    def isolate(self, name):
        """Its links break."""
        for other in list(self.nodes):
            self.unlink(name, other)

    def mute(self, *names):
        """Silence: their links stay, and what they and the others say is lost on the way."""
        self.muted = names

    def turn(self, name, *events):
        effects = super().turn(name, *events)
        for one, other in self.pipes:
            if (one in self.muted) != (other in self.muted):
                self.pipes[one, other].clear()
        return effects

    def unmute(self):
        """They can be heard again. Bytes were lost, so their links are made anew."""
        muted, self.muted = self.muted, ()
        for name in muted:
            self.isolate(name)
        for name in muted:
            self.join(name)

    def join(self, name):
        """Its links are there again."""
        for other in self.nodes:
            if other != name and (name, other) not in self.pipes:
                self.link(name, other)

    # -- what clients do

    def create(self, name, replicas=3, **more):
        """A bucket, once it is served."""
        conn = self.client(self.meta_leader())
        config = bucket(name, num_replicas=replicas, **more)
        self.send(conn, f"$JS.API.STREAM.CREATE.KV_{name}", json.dumps(config).encode())
        self.until(lambda: self.leader(name))
        self.leave(conn)

    def send(self, conn, subject, payload=b"", reply="", header=None):
        """Publish without waiting for anything but what happens at once."""
        if header is None:
            line = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
            self.say(conn, line + payload + b"\r\n")
        else:
            block = f"NATS/1.0\r\n{header}\r\n\r\n".encode()
            sizes = f"{len(block)} {len(block) + len(payload)}"
            line = f"HPUB {subject} {reply} {sizes}\r\n".encode()
            self.say(conn, line + block + payload + b"\r\n")

    def ask(self, conn, subject, payload=b"", header=None, seconds=1.0):
        """The payload of the first answer, None if there is none in time."""
        self.say(conn, b"SUB _I.one 77\r\nUNSUB 77 1\r\n")
        self.heard(conn)
        self.send(conn, subject, payload, "_I.one", header)
        answer = self.answer(conn)
        if answer is None:
            self.wait(seconds)
            answer = self.answer(conn)
        self.say(conn, b"UNSUB 77\r\n")
        return answer

    def answer(self, conn):
        """What came on the subscription of `ask`: the body, headers included."""
        _, found, rest = self.heard(conn).partition(b"MSG _I.one 77 ")
        if not found:
            return None
        line, _, rest = rest.partition(b"\r\n")
        return rest[: int(line.split()[-1])]

    def put(self, conn, stream, key, value, header=None):
        """The PubAck, None if none came."""
        answer = self.ask(conn, f"$KV.{stream}.{key}", value, header)
        return json.loads(answer) if answer is not None and answer[:1] == b"{" else None

    def get(self, conn, stream, key):
        """A direct get's body with its headers, None if none came."""
        return self.ask(conn, f"$JS.API.DIRECT.GET.KV_{stream}.$KV.{stream}.{key}")
