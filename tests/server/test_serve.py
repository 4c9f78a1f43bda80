"""A real server process, from its command line to its end."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.support.require import program, require
from tests.support.servers import running, start
from tests.support.wait import eventually
from tests.support.wire import Delivery, Wire

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
CONNECT = '{"verbose":false,"protocol":1,"headers":true,"no_responders":true}'
BUCKET = {"name": "KV_b", "subjects": ["$KV.b.>"], "max_msgs_per_subject": 1}


def refused(*flags: str, **options) -> str:
    """What a server says that will not start."""
    done = subprocess.run(
        [*SERVE, *flags], capture_output=True, text=True, timeout=30, check=False, **options
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def put(wire: Wire, key: str, value: bytes) -> int:
    ack = json.loads(wire.request(f"$KV.b.{key}", value).payload)
    assert "error" not in ack, ack
    return int(ack["seq"])


def get(wire: Wire, key: str) -> bytes:
    return wire.request("$JS.API.STREAM.MSG.GET.KV_b", {"last_by_subj": f"$KV.b.{key}"}).payload


@pytest.fixture
def server(tmp_path):
    with running("kvcore", argv=SERVE, store=tmp_path / "store") as running_server:
        yield running_server


def test_the_articles_three_commands_work_with_the_official_cli(server):
    require("go")
    nats = [program("nats"), "-s", server.url]

    def run(*words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*nats, *words], input=stdin, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Bucket Name: my_kv_store" in run("kv", "add", "my_kv_store")
    put_line = run("kv", "put", "my_kv_store", "greeting", "hello world", stdin="hello world\n")
    assert put_line == "hello world\n"
    assert "\nhello world\n" in run("kv", "get", "my_kv_store", "greeting")


def test_the_lines_that_scripts_wait_for_are_nats_servers(server):
    text = "\n".join(server.lines)
    assert f"[INF] Listening for client connections on 127.0.0.1:{server.port}" in text
    assert "[INF] Server is ready" in text
    assert str(server.store) in text


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_acked_values_survive_a_restart_and_a_kill(tmp_path, end):
    store = tmp_path / "store"
    server = start("kvcore", store, argv=SERVE)
    try:
        with Wire(server.port, CONNECT) as wire:
            wire.api("STREAM.CREATE.KV_b", BUCKET)
            revisions = [put(wire, f"k{n}", b"v%d" % n) for n in range(20)]
        getattr(server, end)()
        assert server.process.returncode == (0 if end == "stop" else -signal.SIGKILL)
        server = start("kvcore", store, argv=SERVE)
        with Wire(server.port, CONNECT) as wire:
            for n in range(20):
                assert b'"seq":%d,' % revisions[n] in get(wire, f"k{n}")
            assert put(wire, "next", b"v") == revisions[-1] + 1
    finally:
        server.kill()


def test_sigterm_ends_with_code_0_and_takes_the_ports_and_pid_files_away(tmp_path):
    ports, pid_file = tmp_path / "ports", tmp_path / "pid"
    ports.mkdir()
    flags = ["--ports_file_dir", str(ports), "-P", str(pid_file)]
    with running("kvcore", *flags, argv=SERVE) as server:
        path = ports / f"nats-server_{server.pid}.ports"
        assert json.loads(path.read_text()) == {"nats": [server.url]}
        assert pid_file.read_text() == str(server.pid)
        assert server.stop() == 0
        assert not path.exists()
        assert not pid_file.exists()


def test_a_port_in_use_is_one_sentence_and_makes_no_store(server, tmp_path):
    said = refused("-p", str(server.port), "-sd", str(tmp_path / "other"))
    reason = "address already in use; stop what listens there, or choose another port with -p\n"
    assert f"can't listen on 127.0.0.1:{server.port}: {reason}" in said
    assert not (tmp_path / "other").exists()


def test_an_address_that_isnt_this_machines_is_one_sentence(tmp_path):
    said = refused("-a", "192.0.2.1", "-p", "-1", "-sd", str(tmp_path / "store"))
    assert "can't listen on 192.0.2.1: this machine has no such address; choose" in said


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("-P", "can't write the process id to "),
        ("--ports_file_dir", "can't write the ports file to "),
    ],
)
def test_a_file_that_cant_be_written_is_named_with_its_purpose(tmp_path, flag, said):
    where = str(tmp_path / "none" / "such")
    heard = refused("-p", "-1", "-sd", str(tmp_path / "store"), flag, where)
    assert f"{said}{where}: No such file or directory\n" in heard
    assert "Errno" not in heard


def test_checking_a_configuration_shows_its_warnings_too(tmp_path):
    path = tmp_path / "a.conf"
    path.write_text("websocket { port: 80 }\n")
    done = subprocess.run(
        [*SERVE, "-t", "-c", str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr.splitlines() == [
        "kvcore: line 1: websocket is ignored",
        "kvcore: configuration is valid",
    ]


def test_a_store_in_use_is_one_sentence_and_stays_whole(server):
    with Wire(server.port, CONNECT) as wire:
        wire.api("STREAM.CREATE.KV_b", BUCKET)
        put(wire, "k", b"v")
        said = refused("-p", "-1", "-sd", str(server.store))
        assert "in use by another server" in said
        assert said.endswith("stop it, or choose another directory with -sd\n")
        put(wire, "k", b"w")


def test_a_store_of_another_version_is_one_sentence(tmp_path):
    server = start("kvcore", tmp_path / "store", argv=SERVE)
    assert server.stop() == 0
    log = tmp_path / "store" / "log.00000001"
    data = bytearray(log.read_bytes())
    at = data.index(b"kvcore") if b"kvcore" in data else 0
    before = bytes(data)
    data[at : at + 12] = bytes(byte ^ 0xFF for byte in data[at : at + 12])
    log.write_bytes(bytes(data))
    said = refused("-p", "-1", "-sd", str(tmp_path / "store"))
    assert "[FTL]" in said
    assert "Traceback" not in said
    log.write_bytes(before)
    start("kvcore", tmp_path / "store", argv=SERVE).kill()


def test_a_store_that_cant_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("no directory")
    said = refused("-p", "-1", "-sd", str(tmp_path / "file" / "store"))
    assert "can't make the store directory" in said
    assert "Traceback" not in said


def test_bad_flags_and_files_end_with_code_1(tmp_path):
    assert refused("--bogus").count("\n") == 1
    (tmp_path / "c").write_text("bogus: 1")
    assert 'unknown field "bogus"' in refused("-c", str(tmp_path / "c"))


def test_a_password_is_asked_for_and_never_printed(tmp_path):
    flags = ["--user", "me", "--pass", "hush-hush", "-DV"]
    with running("kvcore", *flags, argv=SERVE) as server:
        with Wire(server.port) as stranger:
            stranger.send(b'CONNECT {"verbose":false,"user":"me","pass":"wrong"}\r\nPING\r\n')
            stranger.until("-ERR 'Authorization Violation'")
        with Wire(server.port, '{"verbose":false,"user":"me","pass":"hush-hush"}'):
            pass
        server.stop()
        eventually(lambda: any("Exiting" in line for line in server.lines))
        assert "hush-hush" not in "\n".join(server.lines)


def test_an_address_that_others_reach_without_a_password_is_warned_about(tmp_path):
    process = subprocess.Popen(
        [*SERVE, "-a", "0.0.0.0", "-p", "-1", "-sd", str(tmp_path / "s")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Server is ready" in line:
            break
    process.terminate()
    process.communicate(timeout=20)
    assert any("ANYONE who can reach 0.0.0.0" in line for line in lines)


def test_sigterm_tells_those_who_wait_for_messages_that_none_will_come(server):
    with Wire(server.port, CONNECT) as wire:
        wire.api("STREAM.CREATE.KV_b", BUCKET)
        consumer = {"name": "c", "ack_policy": "explicit"}
        wire.api("CONSUMER.CREATE.KV_b.c", {"stream_name": "KV_b", "config": consumer})
        request = json.dumps({"batch": 3}).encode()
        head = f"PUB $JS.API.CONSUMER.MSG.NEXT.KV_b.c _INBOX.p {len(request)}\r\n".encode()
        wire.send(b"SUB _INBOX.p 9\r\n" + head + request + b"\r\n")
        eventually(lambda: wire.api("CONSUMER.INFO.KV_b.c")["num_waiting"] == 1)
        server.process.terminate()
        told = wire.frame()
        assert isinstance(told, Delivery), told
        assert told.header.startswith(b"NATS/1.0 409 Server Shutdown\r\n"), told
        assert wire.frame() is None


def test_lame_duck_tells_clients_takes_no_new_ones_and_ends(tmp_path):
    config = "lame_duck_duration: 300ms\nlame_duck_grace_period: 50ms\n"
    with running("kvcore", argv=SERVE, config=config) as server, Wire(server.port, CONNECT) as wire:
        done = subprocess.run(
            [*SERVE, "--signal", f"ldm={server.pid}"], capture_output=True, check=False, timeout=30
        )
        assert done.returncode == 0
        frames = []
        while (frame := wire.frame()) is not None:
            frames.append(frame)
        assert any(isinstance(f, str) and '"ldm":true' in f for f in frames)
        assert server.process.wait(20) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), 1)


def test_signal_refuses_to_guess_a_process():
    assert "needs a process" in refused("--signal", "ldm")
    assert "knows ldm" in refused("--signal", "dance=1")


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*SERVE, "-p", "-1", "-sd", str(tmp_path / "s"), "--parent-fd", str(reading)],
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[reading],
    )
    os.close(reading)
    assert process.stderr is not None
    for line in process.stderr:
        if "Server is ready" in line:
            break
    os.close(writing)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "started this server is gone" in rest


def test_a_server_named_nats_server_has_jetstream_only_when_asked(tmp_path):
    link = tmp_path / "nats-server"
    link.write_text(f"#!{sys.executable}\nimport sys\nfrom kvcore.cli.main import main\nmain()\n")
    link.chmod(0o755)
    for flags, on in (([], False), (["-js"], True)):
        with (
            running("kvcore", *flags, argv=[str(link)]) as server,
            Wire(server.port, CONNECT) as wire,
        ):
            answer = wire.request("$JS.API.INFO")
            assert (b"503" not in answer.header) is on
        server.kill()


HEAVY = ("typer", "rich", "nats", "IPython", "pandas", "matplotlib", "jupyterlab", "hypothesis")


def test_a_server_loads_neither_the_cli_nor_the_course(tmp_path):
    """A running server says what it has loaded: SIGUSR1 reaches code that dumps sys.modules."""
    script = tmp_path / "probe.py"
    script.write_text(
        "import signal, sys\n"
        "from kvcore.cli.main import run\n"
        "from kvcore.server import log\n"
        "log.Log.reopen = lambda self: self.info('MODULES ' + ' '.join(sorted(sys.modules)))\n"
        "sys.exit(run('kvcore', ['serve', *sys.argv[1:]]))\n"
    )
    with running("kvcore", argv=[sys.executable, str(script)]) as server:
        with Wire(server.port, CONNECT) as wire:
            wire.api("STREAM.CREATE.KV_b", BUCKET)
            put(wire, "k", b"v")
        server.process.send_signal(signal.SIGUSR1)
        loaded = server.wait_for("MODULES ").split("MODULES ")[1].split()
    tops = {name.split(".")[0] for name in loaded}
    assert not tops & set(HEAVY)
    own = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("kvcore.")}
    assert not own & {"kvcore.lab", "kvcore.viz", "kvcore.sim", "kvcore.check"}


def test_a_full_disk_ends_the_server_with_a_clear_error_and_no_ack(tmp_path):
    limit = f'ulimit -f 64; exec {" ".join(SERVE)} "$@"'
    with (
        running("kvcore", argv=["bash", "-c", limit, "serve"]) as server,
        Wire(server.port, CONNECT) as wire,
    ):
        wire.api("STREAM.CREATE.KV_b", BUCKET)
        acked = 0
        while True:
            wire.send(b"PUB $KV.b.k r 8000\r\n" + b"x" * 8000 + b"\r\nPING\r\n")
            try:
                wire.until("PONG")
            except AssertionError:
                break
            acked += 1
            assert acked < 1000
        assert server.process.wait(20) == 1
        eventually(lambda: any("[FTL]" in line for line in server.lines))


def test_kvcore_serve_help_and_version_need_no_server():
    for flag, said in (("--help", "usage: kvcore serve"), ("-v", "kvcore 0.")):
        done = subprocess.run(
            [*SERVE, flag], capture_output=True, text=True, check=True, timeout=30
        )
        assert said in done.stdout


def test_a_client_that_does_not_read_is_closed_alone_and_costs_a_bounded_amount(server):
    with Wire(server.port, CONNECT) as stalled, Wire(server.port, CONNECT) as busy:
        stalled.send(b"SUB flood 1\r\nPING\r\n")
        stalled.until("PONG")
        body = b"x" * (1 << 20)
        before = server.rss()
        for _ in range(90):
            busy.send(b"PUB flood %d\r\n%s\r\nPING\r\n" % (len(body), body))
            busy.until("PONG")
        assert server.rss() - before < 300 << 20
        told = False
        while (frame := stalled.frame()) is not None:
            told = told or frame == "-ERR 'Slow Consumer'"
        assert told
        busy.send(b"PING\r\n")
        busy.until("PONG")
