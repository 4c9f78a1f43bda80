"""A cluster that has met by itself, and what its API says: `Trio` without names in advance.

gang = Gang(5)                                   # "a" to "e"
gang.answers("b", "STREAM.INFO.KV_x")            # every answer that comes within a second
gang.one("b", "STREAM.LIST")                     # the only one
gang.refused("b", "STREAM.CREATE.x", {…})        # (code, number, text) of the only one
"""

import json
import string

from kvcore.node.config import ClusterConfig
from tests.support.driven import bucket
from tests.support.mesh import Mesh
from tests.support.trio import Trio


class Gang(Trio):
    """Servers "a", "b" and so on; `tags` by name."""

    def __init__(self, size=3, *, seed=1, linked=True, tags=None, **settings):
        self.names = tuple(string.ascii_lowercase[:size])
        self.tags = tags or {}
        self.muted = ()
        cluster = ClusterConfig("C", size)
        Mesh.__init__(
            self, *self.names, seed=seed, jetstream=True, cluster=cluster, linked=linked, **settings
        )
        if linked:
            self.until(self.meta_leader)

    def start(self, name, port=4222, **settings):
        tags = self.tags.get(name, (f"host:{name}",))
        return super().start(name, port, **{"tags": tags, **settings})

    def newcomer(self, name):
        """A server that nobody knew."""
        self.start(name)
        self.join(name)

    def answers(self, name, verb, body=None, seconds=1.0):
        conn = self.client(name)
        found = self.request(conn, f"$JS.API.{verb}", body, seconds)
        self.leave(conn)
        return found

    def request(self, conn, subject, body=None, seconds=1.0):
        """All answers that come in time."""
        payload = body if isinstance(body, bytes) else b"" if body is None else _json(body)
        self.asked = getattr(self, "asked", 0) + 1
        self.say(conn, b"SUB _I.answer.%d 99\r\n" % self.asked)
        self.heard(conn)
        self.send(conn, subject, payload, f"_I.answer.{self.asked}")
        self.wait(seconds)
        rest, answers = self.heard(conn), []
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            if not line.startswith((b"MSG", b"HMSG")):
                continue
            size = int(line.rpartition(b" ")[2])
            text = rest[:size]
            answers.append(json.loads(text) if text[:1] == b"{" else {"status": text})
            rest = rest[size + 2 :]
        self.say(conn, b"UNSUB 99\r\n")
        return answers

    def one(self, name, verb, body=None, seconds=1.0):
        found = self.answers(name, verb, body, seconds)
        assert len(found) == 1, f"one answer, not {found}"
        return found[0]

    def refused(self, name, verb, body=None, seconds=1.0):
        error = self.one(name, verb, body, seconds)["error"]
        return error["code"], error["err_code"], error["description"]

    def make(self, name, replicas=3, at="a", **more):
        """A bucket; the answer to its CREATE."""
        body = bucket(name, num_replicas=replicas, **more)
        return self.one(at, f"STREAM.CREATE.KV_{name}", body)

    def edit(self, name, replicas, at="a", **more):
        """Another number of replicas; the answer to its UPDATE."""
        body = bucket(name, num_replicas=replicas, **more)
        return self.one(at, f"STREAM.UPDATE.KV_{name}", body)

    def voters(self, stream):
        """Who votes, as the leader says, sorted; nothing while there is none."""
        leader = self.leader(stream)
        return sorted(self.host(leader, stream).group.members.voters) if leader else []

    def holders(self, stream):
        """The servers that have a replica."""
        return sorted(self.hosts(stream))


def _json(body):
    return json.dumps(body).encode()
