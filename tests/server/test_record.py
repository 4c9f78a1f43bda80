"""A real run, replayed through a fresh Node, asks for identical effects."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kvcore.node.config import NATS_TIMERS, ClusterConfig, NodeConfig
from kvcore.node.io import Effects, PeerClosed, PeerConnected, PeerData
from kvcore.node.node import Node
from kvcore.server.record import ReplayError, RunRecorder, digest, replay
from kvcore.storage.base import Batch
from kvcore.trace import ignore
from tests.support.servers import running
from tests.support.wire import Wire

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
CONNECT = '{"verbose":false,"protocol":1,"headers":true,"no_responders":true,"user":"u","pass":"p"}'


def make_core(config, stores, rng, now):
    return Node(config, stores, rng, now, ignore)


@pytest.fixture
def recording(tmp_path):
    """A run with puts, refusals, a watch, two clients, a restart of none, and a clean end."""
    path = tmp_path / "run.jsonl"
    flags = ["--record", str(path), "--user", "u", "--pass", "p"]
    with running("kvcore", *flags, argv=SERVE) as server:
        with Wire(server.port, CONNECT) as one, Wire(server.port, CONNECT) as two:
            for bucket, storage in (("f", "file"), ("m", "memory")):
                one.api(
                    f"STREAM.CREATE.KV_{bucket}",
                    {
                        "name": f"KV_{bucket}",
                        "subjects": [f"$KV.{bucket}.>"],
                        "max_msgs_per_subject": 2,
                        "storage": storage,
                    },
                )
                for number in range(30):
                    one.request(f"$KV.{bucket}.k{number % 7}", b"v%d" % number)
                header = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 1\r\n\r\n"
                two.request(f"$KV.{bucket}.k1", b"refused", header)
                two.api(f"STREAM.MSG.GET.KV_{bucket}", {"last_by_subj": f"$KV.{bucket}.k1"})
            two.send(b"SUB deliver 1\r\n")
            two.api(
                "CONSUMER.CREATE.KV_f",
                {
                    "stream_name": "KV_f",
                    "config": {
                        "deliver_subject": "deliver",
                        "deliver_policy": "last_per_subject",
                        "ack_policy": "none",
                    },
                },
            )
            two.request("nobody.is.there")
        assert server.stop() == 0
    return path


def test_a_real_run_replays_with_identical_effects(recording):
    assert replay(recording, make_core) == replay(recording, make_core)


def test_a_run_with_hashes_nkeys_and_permissions_replays(tmp_path):
    path = tmp_path / "run.jsonl"
    users = """
    authorization { users: [
      { user: u, password: "$2b$04$ybU6Pb55ZRFuAqGEcHHTGOTwlwv43.jOvH6ohr6dAgbdDxDS3Mq4m"
        permissions { publish: "a", subscribe { deny: "b" }, allow_responses: true } }
      { nkey: UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF, permissions {} }
    ] }"""
    with running("kvcore", "--record", str(path), argv=SERVE, config=users) as server:
        hello = CONNECT.replace('"pass":"p"', '"pass":"pw"')
        with Wire(server.port, hello) as wire, Wire(server.port) as wrong:
            wire.send(b"SUB > 1\r\nPUB a b 0\r\n\r\nPUB b 0\r\n\r\nSUB b 2\r\nPUB a r 0\r\n\r\n")
            wire.until("-ERR 'Permissions Violation for Subscription")
            wrong.send(b'CONNECT {"user":"u","pass":"x"}\r\n')
            wrong.until("-ERR")
        assert server.stop() == 0
    assert replay(path, make_core)


def test_a_replay_does_not_depend_on_the_hash_seed(recording):
    script = (
        "import sys; from kvcore.node.node import Node; from kvcore.server.record import replay\n"
        "print(replay(sys.argv[1], lambda c, s, r, n: Node(c, s, r, n, lambda t: None)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script, str(recording)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_a_replay_that_differs_names_its_turn(recording):
    text = recording.read_text()
    assert text.count("refused") >= 1
    recording.write_text(text.replace("v29", "w29"))
    with pytest.raises(ReplayError, match=r"turn \d+ asks for other effects"):
        replay(recording, make_core)


def test_a_recording_that_was_cut_off_replays_as_far_as_it_goes(recording):
    text = recording.read_text()
    recording.write_text(text[: len(text) * 2 // 3])
    assert replay(recording, make_core)


def test_a_recording_holds_passwords_so_only_its_owner_may_read_it(recording):
    assert stat.S_IMODE(recording.stat().st_mode) == 0o600


def test_a_recording_begins_with_an_empty_store(tmp_path):
    store = tmp_path / "store"
    with running("kvcore", argv=SERVE, store=store) as server:
        server.stop()
    done = subprocess.run(
        [*SERVE, "-p", "-1", "-sd", str(store), "--record", str(tmp_path / "r")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "--record needs an empty store" in done.stderr


def test_what_is_no_recording_is_refused(tmp_path):
    path = Path(tmp_path / "x")
    path.write_text('{"kvcore": 99}\n')
    with pytest.raises(ReplayError, match="no recording of format 1"):
        replay(path, make_core)


@pytest.mark.parametrize(
    "other",
    [
        Effects({1: b"ax"}, (2,), {"file": Batch([(b"k", b"v")])}, 7),
        Effects({1: b"a"}, (3,), {"file": Batch([(b"k", b"v")])}, 7),
        Effects({1: b"a"}, (2,), {"memory": Batch([(b"k", b"v")])}, 7),
        Effects({1: b"a"}, (2,), {"file": Batch([(b"k", None)])}, 7),
        Effects({1: b"a"}, (2,), {"file": Batch([(b"k", b"v")], [(b"a", b"b")])}, 7),
        Effects({1: b"a"}, (2,), {"file": Batch([(b"k", b"v")])}, None),
        Effects({1: b"a"}, (2,), {"file": Batch([(b"k", b"v")])}, 7, {"n2": b"p"}),
        Effects({1: b"a"}, (2,), {"file": Batch([(b"k", b"v")])}, 7, {}, ("n2",)),
    ],
)
def test_a_digest_differs_when_anything_differs(other):
    effects = Effects({1: b"a"}, (2,), {"file": Batch([(b"k", b"v")])}, 7)
    assert digest(effects) == digest(effects)
    assert digest(effects) != digest(other)


def test_what_peers_do_is_recorded_and_played_again(tmp_path):
    cluster = ClusterConfig("c", 3, ("n1", "n2", "n3"), NATS_TIMERS)
    config = NodeConfig("n1", "NID", cluster=cluster)
    events = (PeerConnected("n2"), PeerData("n2", bytes(range(256))), PeerClosed("n2", "reset"))
    recorder = RunRecorder(str(tmp_path / "run"), config, seed=1, now=5)
    for event in events:
        recorder.event(event, 7)
    recorder.turn(Effects())
    recorder.close()
    played: list[object] = []

    class Listener:
        def __init__(self, config, stores, rng, now):
            played.append(config.cluster)

        def handle(self, event, now):
            played.append((event, now))

        def effects(self):
            return Effects()

        def deadline(self):
            return None

    replay(tmp_path / "run", Listener)
    assert played == [cluster, *((event, 7) for event in events)]
