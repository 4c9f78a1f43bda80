"""What a server that anyone can reach must get right, row by row.

Each test proves one row in short; the areas' own tests go further. `ROWS` is the list, and
a row without a test fails.
"""

import ast
import asyncio
import hmac
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from kvcore import limits
from kvcore.limits import MIB
from kvcore.nats.connect import ConnectOptions
from kvcore.nats.permissions import Permissions, Rule
from kvcore.node import frames
from kvcore.node.config import NodeConfig, User
from kvcore.node.io import ClientConnected, ClientData
from kvcore.node.node import Node
from kvcore.server import flags
from kvcore.server.access import TlsSettings
from kvcore.server.clustering import is_this_machine
from kvcore.server.driver import Clock
from kvcore.server.driver import Driver as ServerDriver
from kvcore.server.identity import node_config
from kvcore.server.listener import is_loopback
from kvcore.server.log import Log
from kvcore.server.main import Server
from kvcore.server.secrets import Secrets, check_signature
from kvcore.server.settings import Settings, read
from kvcore.server.tls import TlsError, make_context
from kvcore.sim.disk import SimulatedDisk
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.files import OsFileSystem
from kvcore.storage.memory import MemoryStorage
from tests.support.certificates import Authority
from tests.support.conversation import FULL, QUIET, Conversation
from tests.support.driven import Driver
from tests.support.servers import Server as ServerProcess
from tests.support.servers import running
from tests.support.wait import eventually
from tests.support.wire import Wire

ROWS = (
    "bind", "auth", "tls", "sizes", "slow_consumer", "json_bombs", "path_traversal",
    "subjects_and_permissions", "pickle", "ops", "raft_rpc",
)  # fmt: skip
ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
VIOLATION = b"-ERR 'Authorization Violation'\r\n"


def test_every_row_has_a_test() -> None:
    for row in ROWS:
        assert any(name.startswith(f"test_{row}_") for name in globals()), row


# bind


def test_bind_is_to_this_machine_alone_unless_told_otherwise() -> None:
    assert is_loopback(Settings().host)
    assert is_loopback(read(flags.parse(["-p", "1"]), "nats-server", {}).host)
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "", "10.0.0.1"))


def test_bind_to_others_without_a_secret_is_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    def warned(**settings: object) -> bool:
        server = Server(Settings(**settings), "kvcore", Log("", times=False, debug=False))  # type: ignore[arg-type]
        server._warn_if_open(node_config(server._settings, 4222))
        server._loop.close()
        return "ANYONE who can reach" in capfd.readouterr().err

    guest = (User("guest", ""),)
    assert warned(host="0.0.0.0")
    assert warned(host="0.0.0.0", users=guest, no_auth_user="guest")
    assert not warned(host="0.0.0.0", users=guest)
    assert not warned(host="0.0.0.0", token="t")
    assert not warned(host="127.0.0.1")


# auth


@pytest.mark.parametrize(
    "first",
    [
        b"PING\r\n",
        b"PONG\r\n",
        b"SUB > 1\r\n",
        b"UNSUB 1\r\n",
        b"+OK\r\n",
        b"INFO {}\r\n",
        b"PUB a 0\r\n\r\n",
        b"HPUB a 12 12\r\n",
        b"PUB a 99",
        b"RS+ $G a\r\n",
        b"x",
        b"\r\n",
    ],
)
def test_auth_no_operation_but_a_good_connect_is_looked_at(first: bytes) -> None:
    talk = Conversation(users=(User("bob", "s3"),))
    assert talk.connect(1, first) == VIOLATION
    assert talk.closed == [1]


def test_auth_compares_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(given: bytes, kept: bytes) -> bool:
        compared.append((given, kept))
        return real(given, kept)

    monkeypatch.setattr("hmac.compare_digest", compare)
    secrets = Secrets()
    assert secrets.check_secret("s3", "s3")
    assert not secrets.check_secret("\ud800", "s3")
    assert [kept for _, kept in compared] == [b"s3", b"s3"]


def test_auth_ends_after_two_seconds_of_silence() -> None:
    talk = Conversation(token="t0")
    talk.connect(1, b"")
    talk.pass_time(limits.AUTH_TIMEOUT_NS - 1)
    assert talk.hear(1) == b""
    talk.pass_time(1)
    assert talk.hear(1) == b"-ERR 'Authentication Timeout'\r\n"
    assert limits.AUTH_TIMEOUT_NS == 2_000_000_000


def test_auth_shows_no_secret_in_info_log_trace_or_reports(tmp_path: Path) -> None:
    words = ["hush-user", "hush-given", "hush-token"]
    text = f"authorization {{ token: hush-token, users: [{{user: me, password: {words[0]}}}] }}"
    with running("kvcore", "-DV", argv=SERVE, config=text) as server:
        with Wire(server.port) as stranger:
            stranger.send(b'CONNECT {"user":"me","pass":"hush-given","auth_token":""}\r\n')
            told = [str(stranger.frame()), str(stranger.frame())]
        with Wire(server.port, '{"verbose":false,"user":"me","pass":"hush-user"}') as known:
            told.append(str(known.request("$SYS.REQ.SERVER.PING")))
            told.append(str(known.request("$JS.API.INFO")))
        assert server.stop() == 0
        seen = "\n".join([*server.lines, *told])
    assert "client-connect" in seen, "the trace was on"
    assert [word for word in words if word in seen] == []
    assert not any(word in repr(ConnectOptions(password=word, sig=word)) for word in words)


def test_auth_takes_no_signature_but_that_of_the_nonce() -> None:
    key = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF"
    rng = Random(1)
    for _ in range(200):
        assert not check_signature(key, b"nonce", rng.randbytes(64).hex())
    for text in ("", "=", "A" * 86, "\ud800", "é", "A" * 10_000):
        assert not check_signature(key, b"nonce", text)
        assert not check_signature(text, b"nonce", "A" * 86)


# tls


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_tls_settings_are_pythons_own_and_1_2_at_least(authority: Authority) -> None:
    pair = authority.pair("server")
    context = make_context(TlsSettings(pair.cert, pair.key))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE
    usual = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert context.options & usual.options == usual.options
    strict = make_context(TlsSettings(pair.cert, pair.key, authority.file, verify=True))
    assert strict.verify_mode == ssl.CERT_REQUIRED
    newest = make_context(TlsSettings(pair.cert, pair.key, min_version="1.3"))
    assert newest.minimum_version == ssl.TLSVersion.TLSv1_3


def test_tls_files_that_dont_fit_are_one_sentence(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.pair("one"), authority.pair("other")
    for settings in (TlsSettings(one.cert, other.key), TlsSettings("nowhere", one.key)):
        with pytest.raises(TlsError, match="can't use the TLS files") as refused:
            make_context(settings)
        assert "\n" not in str(refused.value)
    flags = ["--tls", "--tlscert", one.cert, "--tlskey", other.key, "-sd", str(tmp_path / "s")]
    done = subprocess.run([*SERVE, *flags], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_tls_takes_no_word_that_was_said_in_clear(authority: Authority) -> None:
    pair = authority.pair("injected")
    with running("kvcore", "--tlscert", pair.cert, "--tlskey", pair.key, argv=SERVE) as server:
        with Wire(server.port) as wire:
            assert str(wire.frame()).startswith("INFO")
            wire.send(b'CONNECT {"verbose":true}\r\nPING\r\n')
            assert wire.frame() is None
        context = authority.context()
        with Wire(server.port) as wire:
            wire.frame()
            wire.socket = context.wrap_socket(wire.socket, server_hostname="127.0.0.1")
            wire.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
            wire.until("PONG")
            assert wire.socket.version() in ("TLSv1.2", "TLSv1.3")
        server.wait_for("TLS handshake error")


def test_tls_our_client_checks_the_servers_name(authority: Authority) -> None:
    here, elsewhere = authority.pair("here"), authority.pair("elsewhere", is_here=False)
    environment = {**os.environ, "SSL_CERT_FILE": authority.file}
    for pair, code in ((here, 0), (elsewhere, 1)):
        files = ["--tlscert", pair.cert, "--tlskey", pair.key]
        with running("kvcore", *files, argv=SERVE) as server:
            done = subprocess.run(
                [*SERVE[:-1], "kv", "ls", "-s", f"tls://127.0.0.1:{server.port}"],
                capture_output=True, text=True, timeout=30, env=environment, check=False,
            )  # fmt: skip
            assert done.returncode == code, done.stdout + done.stderr


def test_tls_a_slow_reader_is_closed_alone(authority: Authority) -> None:
    pair = authority.pair("slow")
    flags = ["--tlscert", pair.cert, "--tlskey", pair.key]
    context = authority.context()

    def enter(port: int) -> Wire:
        wire = Wire(port)
        wire.frame()
        wire.socket = context.wrap_socket(wire.socket, server_hostname="127.0.0.1")
        wire.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
        wire.until("PONG")
        return wire

    with (
        running("kvcore", *flags, argv=SERVE) as server,
        enter(server.port) as stalled,
        enter(server.port) as busy,
    ):
        stalled.send(b"SUB flood 1\r\nPING\r\n")
        stalled.until("PONG")
        before = server.rss()
        for _ in range(90):
            busy.send(b"PUB flood %d\r\n%s\r\nPING\r\n" % (MIB, b"x" * MIB))
            busy.until("PONG")
        assert server.rss() - before < 300 * MIB
        with pytest.raises((ssl.SSLError, OSError, AssertionError)):
            stalled.until("PONG")


# sizes


def test_sizes_are_bounded_by_nats_servers_defaults() -> None:
    assert limits.CONTROL_LINE_BYTES == 4096
    assert limits.PAYLOAD_BYTES == MIB
    assert limits.PENDING_OUTPUT_BYTES == 64 * MIB
    assert limits.CONNECTIONS_COUNT == 64 * 1024
    assert (limits.PING_INTERVAL_NS, limits.PINGS_OUT_COUNT) == (120_000_000_000, 2)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"PUB a 1048577\r\n", b"-ERR 'Maximum Payload Violation'\r\n"),
        (b"PUB a 99999999999999999999\r\n", b""),
        (b"HPUB a 5 1048577\r\n", b"-ERR 'Maximum Payload Violation'\r\n"),
        (b"SUB " + b"a" * 4096 + b" 1\r\n", b"-ERR 'maximum control line exceeded'\r\n"),
        (b"SUB " + b"a" * 9000, b"-ERR 'maximum control line exceeded'\r\n"),
        (b"HPUB a 9 5\r\n", b""),
        (b"HPUB a -1 5\r\n", b""),
        (b"PUB a -5\r\n", b""),
    ],
)
def test_sizes_are_judged_before_the_bytes_come(data: bytes, told: bytes) -> None:
    talk = Conversation()
    talk.connect(1, FULL)
    tracemalloc.start()
    try:
        answer = talk.say(1, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer == told
    assert talk.closed == [1]
    assert peak < 200_000


def test_sizes_one_connection_too_many_is_turned_away() -> None:
    talk = Conversation(max_connections=1)
    talk.connect(1)
    assert talk.connect(2, b"") == b"-ERR 'maximum connections exceeded'\r\n"
    assert talk.say(1, b"PING\r\n") == b"PONG\r\n"


# slow consumer


def test_slow_consumer_100_stalled_readers_cost_a_bounded_amount(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound = 256 * 1024
    monkeypatch.setattr(limits, "PENDING_OUTPUT_BYTES", bound)

    class Stalled(asyncio.Transport):
        """Keeps what is written, as a socket does whose peer doesn't read."""

        def __init__(self) -> None:
            super().__init__()
            self.kept: list[bytes] = []
            self.size = 0
            self.closed = False

        def write(self, data: bytes) -> None:  # type: ignore[override]
            self.kept.append(bytes(data))
            self.size += len(data)

        def get_write_buffer_size(self) -> int:
            return self.size

        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("127.0.0.1", 1)

        def close(self) -> None:
            self.closed = True
            self.kept.clear()

        abort = close

    async def flood() -> tuple[int, int, list[Stalled], bytes]:
        stores = {"file": MemoryStorage(), "memory": MemoryStorage()}
        clock = Clock()
        node = Node(NodeConfig("n", "ID", jetstream=False), stores, Random(1), clock())
        loop = asyncio.get_running_loop()
        failures: list[str] = []
        driver = ServerDriver(loop, node, stores, clock, failures.append)
        readers = [Stalled() for _ in range(100)]
        for reader in readers:
            driver.data(driver.connected(reader), QUIET + b"SUB flood 1\r\n")
        writer = Stalled()
        conn = driver.connected(writer)
        tracemalloc.start()
        for _ in range(100):
            driver.data(conn, QUIET + b"PUB flood 10000\r\n%s\r\n" % (b"x" * 10_000))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        writer.kept.clear()
        driver.data(conn, b"PING\r\n")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answer = b"".join(writer.kept)
        driver.fail("")
        return peak, driver.slow_consumers, readers, answer

    peak, counted, readers, answer = asyncio.run(flood())
    assert counted == 100
    assert all(reader.closed for reader in readers)
    assert all(reader.size <= bound + 20_000 for reader in readers)
    assert peak < 100 * (bound + 40_000)
    assert answer.endswith(b"PONG\r\n")


def test_slow_consumer_one_turn_can_not_exceed_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PENDING_OUTPUT_BYTES", 50_000)
    talk = Conversation()
    talk.connect(1, QUIET + b"SUB flood 1\r\n")
    talk.connect(2)
    assert talk.say(2, (b"PUB flood 10000\r\n%s\r\n" % (b"x" * 10_000)) * 20) == b""
    assert talk.hear(1) == b"-ERR 'Slow Consumer'\r\n"
    assert talk.closed == [1]
    assert talk.broker.stats.slow_consumers == 1
    assert talk.say(2, b"PING\r\n") == b"PONG\r\n"


# json bombs

DEEP = [b"[" * 100_000, b'{"a":' * 50_000, b'{"config":' + b"[" * 33 + b"]" * 33 + b"}"]
WIDE = [b'{"a":1e999999}', b"9" * 500_000, b'{"name":"' + b"\\" * 99_999]


@pytest.mark.parametrize("bomb", DEEP + WIDE, ids=lambda bomb: repr(bomb[:12]))
def test_json_bombs_in_a_request_are_refused_and_the_server_goes_on(bomb: bytes) -> None:
    server = Driver()
    server.sync()
    server.client()
    for subject in ("STREAM.CREATE.S", "CONSUMER.CREATE.S", "STREAM.LIST", "STREAM.PURGE.S"):
        server.publish(f"$JS.API.{subject}", bomb)
        server.sync()
        assert b'"error"' in server.heard()
    assert "memory" in server.request("$JS.API.INFO")
    assert limits.JSON_DEPTH_COUNT == 32


@pytest.mark.parametrize("bomb", DEEP + WIDE, ids=lambda bomb: repr(bomb[:12]))
def test_json_bombs_before_auth_end_the_connection(bomb: bytes) -> None:
    talk = Conversation(users=(User("bob", "s3"),), max_control_line=2 * MIB)
    told = talk.connect(1, b"CONNECT " + bomb + b"\r\n")
    assert told in (b"", VIOLATION)
    assert talk.closed == [1]


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 1 << 64, 10**400])
def test_json_bombs_numbers_are_checked_for_range(number: int) -> None:
    server = Driver()
    server.sync()
    server.client()
    for field in ("max_msgs", "max_age", "num_replicas", "first_seq", "duplicate_window"):
        answer = server.request(
            "$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["s"], field: number}
        )
        assert "error" in answer, field


# path traversal

TRAVERSALS = ["..", "../x", "a/b", "a\\b", "/etc", "a.b", "a b", "a\x00b", "", "\ud800", "x" * 256]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_path_traversal_stream_names_are_nats_servers(name: str) -> None:
    server = Driver()
    server.sync()
    server.client()
    server.publish("$JS.API.STREAM.CREATE.S", json.dumps({"name": name}).encode())
    server.sync()
    assert b'"error"' in server.heard()
    assert server.node.streams == {}


def test_path_traversal_no_name_of_a_client_becomes_a_files(tmp_path: Path) -> None:
    fields = '{"verbose":false}'
    with running("kvcore", argv=SERVE, store=tmp_path / "store") as server:
        with Wire(server.port, fields) as wire:
            for name in ("CON", "NUL", "KV_evil", "%2e%2e"):
                wire.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"]})
        names = sorted(path.name for path in (tmp_path / "store").rglob("*"))
        modes = stat.S_IMODE((tmp_path / "store").stat().st_mode)
    assert not any(word in name for name in names for word in ("CON", "NUL", "evil", ".."))
    assert modes == 0o700


def test_path_traversal_a_store_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="symbolic link"):
        OsFileSystem(tmp_path / "link")


# subjects and permissions

KV_READER = Permissions(
    publish=Rule(("$JS.API.STREAM.INFO.>", "$JS.API.DIRECT.GET.>")), subscribe=Rule(("_I.>",))
)


def test_subjects_and_permissions_the_api_is_granted_apart() -> None:
    users = (User("root", "r"), User("reader", "r", KV_READER))
    server = Driver(users=users)
    server.sync()
    for conn, user in ((1, b"root"), (2, b"reader")):
        hello = b'CONNECT {"verbose":false,"user":"%b","pass":"r"}\r\nSUB _I.> 1\r\n' % user
        server.turn(ClientConnected(conn, "h", conn), ClientData(conn, hello))
    server.request("$JS.API.STREAM.CREATE.KV_b", {"name": "KV_b", "subjects": ["$KV.b.>"]})
    server.out.clear()
    assert "config" in server.request("$JS.API.STREAM.INFO.KV_b", conn=2)
    closed = ["$JS.API.STREAM.DELETE.KV_b", "$JS.API.STREAM.PURGE.KV_b", "$KV.b.k"]
    closed += ["$SYS.REQ.SERVER.PING", "_I.forged", "$JS.ACK.x", "$JS.API.INFO"]
    for subject in closed:
        server.publish(subject, b"", "_I.answer", conn=2)
        server.sync()
        told = f"-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n"
        assert server.heard(2) == told.encode()
    server.turn(ClientData(2, b"SUB $KV.> 5\r\nSUB > 6\r\nSUB $SYS.> 7\r\nSUB $JS.EVENT.> 8\r\n"))
    assert server.heard(2).count(b"Permissions Violation for Subscription") == 4
    assert server.node.streams["KV_b"].last_seq == 0


def test_subjects_and_permissions_answers_can_not_be_sent_elsewhere() -> None:
    users = (User("reader", "r", KV_READER),)
    server = Driver(users=users)
    server.sync()
    hello = b'CONNECT {"verbose":false,"user":"reader","pass":"r"}\r\n'
    server.turn(ClientConnected(1, "h", 1), ClientData(1, hello))
    server.heard()
    server.publish("$JS.API.STREAM.INFO.X", b"", "$KV.b.k")
    told = b"-ERR 'Permissions Violation for Publish with Reply of \"$KV.b.k\"'\r\n"
    assert server.heard() == told


# pickle


def test_pickle_nor_its_like_is_anywhere() -> None:
    banned = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}
    for folder in ("kvcore", "scripts", "bench", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                if isinstance(node, ast.Import):
                    assert not banned & {a.name.split(".")[0] for a in node.names}, where
                elif isinstance(node, ast.ImportFrom):
                    assert (node.module or "").split(".")[0] not in banned, where
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    name = ast.unparse(node.func)
                    assert name not in ("yaml.load", "yaml.unsafe_load"), where
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert folder != "kvcore" or node.func.id != "eval", where


# ops


def test_ops_a_second_server_on_the_same_store_is_refused(tmp_path: Path) -> None:
    with running("kvcore", argv=SERVE, store=tmp_path / "store"):
        second = [*SERVE, "-p", "-1", "-sd", str(tmp_path / "store")]
        done = subprocess.run(second, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "in use by another server" in done.stderr


def test_ops_sigterm_answers_what_was_asked_and_ends(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running("kvcore", argv=SERVE, store=store) as server:
        with Wire(server.port, '{"verbose":false}') as wire:
            wire.api("STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
            assert b'"seq":1' in wire.request("s", b"v").payload
            server.process.send_signal(signal.SIGTERM)
            assert wire.frame() is None
        assert server.process.wait(20) == 0
    with (
        running("kvcore", argv=SERVE, store=store) as server,
        Wire(server.port, '{"verbose":false}') as wire,
    ):
        state = wire.api("STREAM.INFO.S")["state"]
        assert isinstance(state, dict)
        assert state["messages"] == 1


def test_ops_files_change_names_only_when_they_are_whole_and_durably() -> None:
    calls: list[str] = []

    class Watched(SimulatedDisk):
        def rename(self, old: str, new: str) -> None:
            calls.append("rename")
            super().rename(old, new)

        def sync_directory(self) -> None:
            calls.append("sync names")
            super().sync_directory()

        def create(self, name: str):  # type: ignore[no-untyped-def]
            calls.append(f"create {name}")
            file = super().create(name)
            sync = file.sync

            class Synced:
                write, close = file.write, file.close

                def sync(self) -> None:
                    calls.append("sync")
                    sync()

            return Synced()

    store = AppendFile(Watched(Random(1)))
    rng = Random(2)
    while "rename" not in calls:
        store.write(Batch([(b"k%d" % rng.randrange(4), rng.randbytes(100_000))]))
        store.sync()
        assert len(calls) < 100_000
    at = calls.index("rename")
    made = max(n for n in range(at) if calls[n].startswith("create"))
    assert "sync" in calls[made:at]
    assert "sync names" in calls[at:]


# raft rpc


SECRET = "a secret of thirty-two characters"


@pytest.fixture
def clustered(tmp_path: Path) -> Iterator[tuple[ServerProcess, int]]:
    """A server whose cluster has a secret, and the port for its peers."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    flags = ("--cluster", "nats://127.0.0.1:-1", "--cluster_name", "c", "--cluster_size", "1")
    told = ("--cluster_secret_file", str(path), "--ports_file_dir", str(tmp_path))
    with running("kvcore", *flags, *told) as server:
        ports = json.loads((tmp_path / f"nats-server_{server.pid}.ports").read_text())
        yield server, int(ports["cluster"][0].rpartition(":")[2])


def test_raft_rpc_a_thousand_forged_links_change_nothing(
    clustered: tuple[ServerProcess, int],
) -> None:
    server, port = clustered
    rng = Random(1)
    eventually(lambda: not look(server)[-1], 20.0, "the server leads its cluster of one")
    before = look(server)
    hello = b"KVCORE-ROUTE 1 c n2 %s %s 127.0.0.1:1\n"
    frame = frames.want(is_added=True, is_server=False, queue="", subject="forged")
    for number in range(1000):
        words = hello % (b"%x" % number, rng.randbytes(16).hex().encode())
        proof = b"PROOF " + rng.randbytes(32).hex().encode() + b"\nLINK\n"
        parcel = b"\x00" + len(frame).to_bytes(4, "big") + frame
        said = rng.choice(
            (frame, parcel, words + parcel, words + proof + parcel, rng.randbytes(99))
        )
        with socket.create_connection(("127.0.0.1", port)) as forged:
            forged.sendall(said)
            if number % 100 == 0 and said.startswith(words):
                forged.settimeout(10)
                assert b"PROOF" not in forged.recv(10_000)
    after = look(server)
    assert after == before
    assert SECRET not in "\n".join(server.lines)
    assert any("Route refused" in line for line in server.lines)
    assert len(server.lines) < 500, "a log that anyone can fill"


def look(server: ServerProcess) -> list[object]:
    """What a peer could have changed."""
    with Wire(server.port, '{"verbose":false,"headers":true}') as wire:
        answers = []
        for name, body in (("ROUTEZ", {}), ("SUBSZ", {"subscriptions": True}), ("JSZ", {})):
            answer = wire.request(f"$SYS.REQ.SERVER.PING.{name}", body)
            data = json.loads(answer.payload)["data"]
            answers.append({k: data.get(k) for k in ("num_routes", "streams", "messages")})
        answers.append("error" in wire.api("INFO"))
    return answers


def test_raft_rpc_without_a_secret_only_this_machine_is_let_in() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert is_this_machine(host)
    for host in (
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "fe80::1%lo",
        "::ffff:10.0.0.1",
        "localhost.evil",
        "",
    ):
        assert not is_this_machine(host)
