"""What is wrong is refused with a clear error, and nothing that was there is lost.

Names, keys, JSON and sizes are sent to our server and to nats-server: the same refusal. What
concerns our own process (its store, its port) ends it with one sentence and exit code 1.
"""

import json
import os
import re
import socket
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.require import require
from tests.support.servers import STOP_S, Server, command, running, start
from tests.support.wire import Delivery, Wire

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
CONNECT = '{"verbose":false,"headers":true,"no_responders":true}'
CONFIG = {
    "name": "KV_b",
    "subjects": ["$KV.b.>"],
    "storage": "file",
    "max_msgs_per_subject": 1,
    "max_msg_size": 100,
    "discard": "new",
    "deny_delete": True,
    "allow_rollup_hdrs": True,
    "allow_direct": True,
}

STREAM_NAMES = [
    *("KV_a/b", "KV_a\\b", "KV_..", "..", "x" * 255, "x" * 256, "KV_a*", "KV_>", "KV_a\tb", "CON"),
    *("KV_ä", "KV_\u0001", "-", "_", "KV_ü/../etc"),
]
SUBJECTS = [
    *(
        "$KV.b.a..b",
        "$KV.b.",
        "$KV.b",
        "$KV.b..a",
        "$KV.none.k",
        "$KV.b.a>",
        "$KV.b.*a",
    ),
    *("$KV.b." + "k" * 3000, "$KV.b." + ".".join(["t"] * 500)),
]
BODIES = [
    *(b"{", b"[]", b"null", b'"x"', b"5", b"{}", b'{"name":"KV_c"', b"\xff\xfe", b'{"name":5}'),
    *(b'{"name":"KV_c","subjects":"a"}', b'{"name":"KV_c","max_msgs":"1"}', b"[" * 5000),
    *(b'{"name":"KV_c","max_age":-5}', b'{"name":"KV_c","storage":"rocksdb"}', b'{"a":' * 5000),
    *(
        b'{"name":"KV_c","retention":"x"}',
        b'{"name":"KV_c","discard":"x"}',
        b'{"name":"KV_c","x":1}',
    ),
    *(
        b'{"name":"KV_c","num_replicas":1.5}',
        b'{"name":"KV_c","max_bytes":1e400}',
        b'{"name":null}',
    ),
    *(b'{"name":"KV_c","subjects":["a..b"]}', b'{"name":"KV_c","subjects":["a","a"]}'),
    *(
        b'{"name":"KV_c","max_msgs":99999999999999999999}',
        b'{"name":"KV_d","subjects":["$KV.b.x"]}',
    ),
    *(b'{"name":"KV_c","max_msgs_per_subject":-5}', b'{"name":"KV_c","duplicate_window":1}'),
]


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with running(OURS) as server:
        yield server


@pytest.fixture(scope="module")
def theirs() -> Iterator[Server]:
    require("go")
    with running("nats-server") as server:
        yield server


def ask(server: Server, subject: str, body: bytes, header: bytes = b"") -> object:
    """The answer, and whether a value that was there before is still there after."""
    with Wire(server.port, CONNECT) as wire:
        wire.api("STREAM.CREATE.KV_b", CONFIG)
        assert b'"seq"' in wire.request("$KV.b.kept", b"safe").payload
        answer = wire.request(subject, body, header)
        kept = wire.request("$JS.API.DIRECT.GET.KV_b.$KV.b.kept")
        assert kept.payload == b"safe", (subject, body, kept)
        try:
            value: object = json.loads(answer.payload)
        except ValueError:
            value = answer.payload
        if isinstance(value, dict):
            error = value.get("error")
            if isinstance(error, dict):  # what is wrong with the JSON is told in Python's words
                error["description"] = re.sub(r"(?<=invalid JSON:).*", "", error["description"])
            for name in ("created", "ts", "state", "config", "seq"):
                value.pop(name, None)
        made = wire.api("STREAM.NAMES")["streams"]
        assert isinstance(made, list)
        for name in made:
            if name != "KV_b":
                wire.api(f"STREAM.DELETE.{name}")
        return value, answer.header


@pytest.mark.parametrize("name", STREAM_NAMES, ids=range(len(STREAM_NAMES)))
def test_a_bad_bucket_name_gets_nats_servers_error(ours: Server, theirs: Server, name: str) -> None:
    body = json.dumps({"name": name, "subjects": ["bad.names"]}).encode()
    token = name if re.fullmatch(r"[^.\s]+", name) else "KV_c"
    subject = f"$JS.API.STREAM.CREATE.{token}"
    assert ask(ours, subject, body) == ask(theirs, subject, body)


@pytest.mark.parametrize("subject", SUBJECTS, ids=range(len(SUBJECTS)))
def test_a_bad_key_gets_nats_servers_answer(ours: Server, theirs: Server, subject: str) -> None:
    assert ask(ours, subject, b"v") == ask(theirs, subject, b"v")


@pytest.mark.parametrize("subject", ["$KV.b.x.*", "$KV.b.>", "$KV.b.*"])
def test_a_key_with_a_wildcard_is_refused_where_nats_server_stores_it(
    ours: Server, theirs: Server, subject: str
) -> None:
    assert "publish subject can not contain wildcards" in str(ask(ours, subject, b"v"))
    assert "error" not in str(ask(theirs, subject, b"v"))


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bad_json_gets_nats_servers_error(ours: Server, theirs: Server, body: bytes) -> None:
    one, other = (ask(server, "$JS.API.STREAM.CREATE.KV_c", body) for server in (ours, theirs))
    assert one == other


@pytest.mark.parametrize("size", [100, 101, 5_000, 1024 * 1024])
def test_a_value_over_the_buckets_limit_gets_nats_servers_error(
    ours: Server, theirs: Server, size: int
) -> None:
    assert ask(ours, "$KV.b.k", b"x" * size) == ask(theirs, "$KV.b.k", b"x" * size)


def test_a_header_over_64k_gets_nats_servers_error(ours: Server, theirs: Server) -> None:
    header = b"NATS/1.0\r\nA: " + b"x" * 65_536 + b"\r\n\r\n"
    assert ask(ours, "$KV.b.k", b"", header) == ask(theirs, "$KV.b.k", b"", header)


def test_a_value_over_max_payload_closes_that_connection_alone(ours: Server) -> None:
    with Wire(ours.port, CONNECT) as other:
        other.api("STREAM.CREATE.KV_b", CONFIG)
        other.request("$KV.b.kept", b"safe")
        with Wire(ours.port, CONNECT) as wire:
            wire.send(b"PUB $KV.b.k r %d\r\n" % (1024 * 1024 + 1))
            assert wire.frame() == "-ERR 'Maximum Payload Violation'"
            assert wire.frame() is None
        answer = other.request("$JS.API.DIRECT.GET.KV_b.$KV.b.kept")
        assert isinstance(answer, Delivery)
        assert answer.payload == b"safe"


# Our own process: one sentence on stderr, exit code 1, and the store as it was.


def refused(*flags: str) -> str:
    """What `kvcore serve` says when it can't start."""
    ended = subprocess.run(
        [*command("kvcore"), "-a", "127.0.0.1", *flags],
        capture_output=True,
        text=True,
        timeout=STOP_S,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    assert "Server is ready" not in ended.stderr
    return ended.stderr


def filled(store: Path) -> dict[str, bytes]:
    """A store with a value in it, written by a server that has ended; its files."""
    server = start("kvcore", store)
    try:
        with Wire(server.port, CONNECT) as wire:
            wire.api("STREAM.CREATE.KV_b", CONFIG)
            assert b'"seq"' in wire.request("$KV.b.kept", b"safe").payload
    finally:
        assert server.stop() == 0
    return contents(store)


def contents(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir() if path.name != "lock"}


def still_there(store: Path) -> bool:
    server = start("kvcore", store)
    try:
        with Wire(server.port, CONNECT) as wire:
            return wire.request("$JS.API.DIRECT.GET.KV_b.$KV.b.kept").payload == b"safe"
    finally:
        server.kill()


def test_a_store_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    files = filled(store)
    for name, data in files.items():
        if data.startswith(b"kvcore"):
            head = data[:6] + struct.pack(">H", 77) + data[8:24]
            (store / name).write_bytes(head + struct.pack(">I", zlib.crc32(head)) + data[28:])
    altered = contents(store)
    assert altered != files
    said = refused("-p", "-1", "-sd", str(store))
    assert "77" in said
    assert "version" in said
    assert contents(store) == altered
    for name, data in files.items():
        (store / name).write_bytes(data)
    assert still_there(store)


def test_a_store_that_is_in_use_is_refused_and_its_server_serves_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    filled(store)
    server = start("kvcore", store)
    try:
        said = refused("-p", "-1", "-sd", str(store))
        assert "in use" in said
        assert str(store) in said
        with Wire(server.port, CONNECT) as wire:
            assert wire.request("$JS.API.DIRECT.GET.KV_b.$KV.b.kept").payload == b"safe"
            assert b'"seq"' in wire.request("$KV.b.more", b"v").payload
    finally:
        server.kill()
    assert still_there(store)


def test_a_store_that_is_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    (tmp_path / "file").write_text("mine")
    assert str(tmp_path / "file") in refused("-p", "-1", "-sd", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "store")
    assert "link" in refused("-p", "-1", "-sd", str(tmp_path / "link"))
    assert still_there(tmp_path / "store")


def test_a_port_in_use_is_refused_and_the_store_not_touched(tmp_path: Path) -> None:
    store = tmp_path / "store"
    files = filled(store)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("-p", str(port), "-sd", str(store))
        assert f"127.0.0.1:{port}" in said
        assert "in use" in said
    assert contents(store) == files
    assert still_there(store)


@pytest.mark.parametrize(
    "flags",
    [("-p", "99999"), ("-p", "x"), ("--sync", "perhaps"), ("--no-such-flag",), ("-c", "/no/file")],
)
def test_a_bad_flag_is_refused_before_anything_is_made(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    said = refused(*flags, "-sd", str(tmp_path / "store"))
    assert len(said.strip().splitlines()) <= 2
    assert not (tmp_path / "store").exists()
