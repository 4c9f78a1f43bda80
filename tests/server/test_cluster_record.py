"""A cluster's real run: what each of its servers was told, played again, has the same effects."""

import sys
from contextlib import ExitStack

from kvcore.lab.ports import free_ports
from kvcore.node.node import Node
from kvcore.server.record import replay
from kvcore.trace import ignore
from tests.support import servers
from tests.support.wait import eventually
from tests.support.wire import Wire

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
CONNECT = '{"verbose":false,"protocol":1,"headers":true,"no_responders":true}'
NAMES = ("n1", "n2", "n3")


def bucket(name, storage="file"):
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "max_msgs_per_subject": 1,
        "num_replicas": 3,
        "storage": storage,
        "allow_direct": True,
    }


def put(wire, subject):
    """Whether it was stored: a server may not know yet where the new stream is led."""
    return wire.request(subject, b"v").payload


def is_served(wire):
    answer = wire.api("INFO")
    return "error" not in answer


def test_each_server_of_a_cluster_replays_with_identical_effects(tmp_path):
    peers = free_ports(3)
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in peers)
    with ExitStack() as ends:
        running = []
        for name, port in zip(NAMES, peers, strict=True):
            flags = ["--cluster", f"nats://127.0.0.1:{port}", "--cluster_name", "c"]
            flags += ["--routes", routes, "--record", str(tmp_path / f"{name}.jsonl")]
            server = servers.start("kvcore", tmp_path / name, *flags, argv=SERVE, name=name)
            ends.callback(server.kill)
            running.append(server)
        with Wire(running[0].port, CONNECT) as one, Wire(running[1].port, CONNECT) as two:
            eventually(lambda: is_served(one))
            for name in ("file", "memory"):
                assert "error" not in one.api(f"STREAM.CREATE.KV_{name}", bucket(name, name))
                for number in range(40):
                    wire = one if number % 2 else two
                    eventually(lambda wire=wire, key=f"$KV.{name}.k{number % 7}": put(wire, key))
                two.request(f"$JS.API.DIRECT.GET.KV_{name}.$KV.{name}.k1")
                assert two.api(f"STREAM.LEADER.STEPDOWN.KV_{name}")["success"] is True
        for server in running[1:]:
            assert server.stop() == 0
        assert running[0].stop() == 0
    for name in NAMES:
        path = tmp_path / f"{name}.jsonl"
        assert path.read_text().count('\n["d"') > 50, "peers were heard"
        assert len(replay(path, make)) == 64, "it raises where effects differ"


def make(config, stores, rng, now):
    return Node(config, stores, rng, now, ignore)
