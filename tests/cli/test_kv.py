"""`kvcore kv` against our own server, and line by line against the official CLI."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import nats
import pytest

from kvcore.cli.abandoned import abandoned, show_abandoned
from tests.support.require import program, require
from tests.support.servers import Server, running

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
OURS = [sys.executable, "-m", "kvcore.cli.main", "nats"]

# What may differ: times, ages and the server's made-up name.
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"│ +[0-9.]+m?s +│$", re.MULTILINE), "│ AGE │"),
    (re.compile(r"Leader: .*"), "Leader: NAME"),
    (re.compile(r" \(stored plainly\)"), ""),  # kvcore's own CLI knows what its server does
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("kvcore", argv=SERVE) as started:
        yield started


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    """A second server, so that two CLIs can do the same things from the same beginning."""
    with running("kvcore", argv=SERVE) as started:
        yield started


def run(
    program_words: Sequence[str], server: Server, *words: str, stdin: bytes = b""
) -> tuple[int, str, str]:
    done = subprocess.run(
        [*program_words, *words],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "NATS_URL": server.url, "COLUMNS": "80"},
    )
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


def ours(server: Server, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    return run(OURS, server, *words, stdin=stdin)


def masked(text: str) -> str:
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text


# Command lines, each with its standard input; run in this order on both sides.
SAME: tuple[tuple[str, bytes], ...] = (
    ("kv ls", b""),
    ("kv add my_kv_store", b""),
    ("kv add my_kv_store", b""),
    ("kv add my_kv_store --history 3", b""),
    ("kv add E --history 2 --ttl 1h --metadata a:b", b""),
    ("kv edit E --description changed --history 5", b""),
    ("kv edit E --ttl 2h --max-value-size 1KB --max-bucket-size 1MB", b""),
    ("kv edit E --metadata c:d --compress", b""),
    ("kv edit E --no-compress", b""),
    ("kv edit E --marker-ttl 10s", b""),
    ("kv edit E --republish-source > --republish-destination told.>", b""),
    ("kv edit E", b""),
    ("kv edit E --history 65", b""),
    ("kv edit E --replicas 3", b""),
    ("kv edit NO --history 2", b""),
    ("kv info E", b""),
    ("kv del E -f", b""),
    ("kv add bad.name", b""),
    ("kv add H --history 65", b""),
    ("kv add H --history 0", b""),
    ("kv add H --storage rocksdb", b""),
    ("kv add H --ttl abc", b""),
    ("kv add H --max-value-size x", b""),
    ("kv add H --metadata ab", b""),
    ("kv add R --replicas 6", b""),
    ("kv add H --history 5 --ttl 36h --marker-ttl 30s --storage memory --compress", b""),
    ("kv add I --max-value-size 1KB --max-bucket-size 10M --description d --metadata a=b", b""),
    ("kv put my_kv_store greeting hello", b"ignored\n"),
    ("kv get my_kv_store greeting", b""),
    ("kv get my_kv_store greeting --raw", b""),
    ("kv put my_kv_store piped", b"from stdin\n"),
    ("kv get my_kv_store piped --raw", b""),
    ("kv get my_kv_store piped", b""),
    ("kv put my_kv_store bytes", b"\x00\x01\xff"),
    ("kv get my_kv_store bytes", b""),
    ("kv del my_kv_store bytes -f", b""),  # a table can't show them the same way twice
    ("kv put my_kv_store long", b"x" * 300),
    ("kv get my_kv_store long", b""),
    ("kv history my_kv_store long", b""),
    ("kv put my_kv_store .bad v", b""),
    ("kv put my_kv_store a.* v", b""),
    ("kv put nobucket k v", b""),
    ("kv get nobucket k", b""),
    ("kv get my_kv_store nokey", b""),
    ("kv get my_kv_store greeting --revision 1", b""),
    ("kv get my_kv_store greeting --revision 99", b""),
    ("kv create my_kv_store greeting other", b""),
    ("kv create my_kv_store fresh other", b""),
    ("kv create my_kv_store t v --ttl 30s", b""),
    ("kv create H t v --ttl 30s", b""),
    ("kv update my_kv_store greeting new 1", b""),
    ("kv update my_kv_store greeting newer 1", b""),
    ("kv update my_kv_store greeting newer abc", b""),
    ("kv put H a 1", b""),
    ("kv put H a 2", b""),
    ("kv history H a", b""),
    ("kv revert H a 2 --force", b""),
    ("kv del H a -f", b""),
    ("kv create H a again", b""),
    ("kv del H a", b""),
    ("kv purge H a -f", b""),
    ("kv history H a", b""),
    ("kv history H nokey", b""),
    ("kv history nobucket a", b""),
    ("kv ls", b""),
    ("kv ls -n", b""),
    ("kv ls my_kv_store", b""),
    ("kv ls my_kv_store -v", b""),
    ("kv ls my_kv_store -v --display-value", b""),
    ("kv ls my_kv_store fresh -v", b""),
    ("kv ls my_kv_store nokey", b""),
    ("kv ls nobucket", b""),
    ("kv status H", b""),
    ("kv info nobucket", b""),
    ("kv info", b""),
    ("kv compact H -f", b""),
    ("kv compact H", b""),
    ("kv compact nobucket -f", b""),
    ("kv get H a --timeout 1", b""),
    ("kv put", b""),
    ("kv put H", b""),
    ("kv get H", b""),
    ("kv update H a v", b""),
    ("kv del --help-me", b""),
    ("kv put H neg -1", b""),
    ("kv put H neg -- -1", b""),
    ("kv rm H -f", b""),
    ("kv del H -f", b""),
)  # fmt: skip


def test_every_line_and_exit_code_is_the_official_clis(server, other):
    require("go")
    official = [program("nats")]
    with ThreadPoolExecutor(2) as both:
        for line, stdin in SAME:
            words = line.split()
            mine = both.submit(ours, server, *words, stdin=stdin)
            theirs = both.submit(run, official, other, *words, stdin=stdin)
            assert [masked(str(part)) for part in mine.result()] == [
                masked(str(part)) for part in theirs.result()
            ], line


def test_an_argument_wins_over_standard_input_and_without_it_the_newline_is_kept(server):
    ours(server, "kv", "add", "inputs")
    assert ours(server, "kv", "put", "inputs", "a", "given", stdin=b"piped\n")[1] == "given\n"
    assert ours(server, "kv", "get", "inputs", "a", "--raw")[1] == "given"
    assert ours(server, "kv", "put", "inputs", "a", stdin=b"piped\n")[1] == "\n"
    assert ours(server, "kv", "get", "inputs", "a", "--raw")[1] == "piped\n"


def test_without_an_argument_a_terminal_is_not_read_and_an_empty_value_is_stored(server):
    ours(server, "kv", "add", "typed")
    keyboard, terminal = os.openpty()
    try:
        done = subprocess.run(
            [*OURS, "kv", "put", "typed", "a"],
            stdin=terminal,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "NATS_URL": server.url},
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\n", b"")
    assert "typed > a revision: 1 " in ours(server, "kv", "get", "typed", "a")[1]
    assert ours(server, "kv", "get", "typed", "a", "--raw")[1] == ""


def watched(server: Server, *words: str, lines: int) -> list[str]:
    """The first lines of a watch; the stored keys are there, so it never waits for more."""
    process = subprocess.Popen(
        [*OURS, "kv", "watch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NATS_URL": server.url},
    )
    assert process.stdout is not None
    found = [re.sub(r"^\[.*?\] ", "", process.stdout.readline().rstrip()) for _ in range(lines)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    return found


def test_a_watch_shows_what_is_stored_and_then_waits(server):
    ours(server, "kv", "add", "seen", "--history", "5")
    for words in (("put", "seen", "a", "1"), ("put", "seen", "a", "2"), ("put", "seen", "b", "3")):
        ours(server, "kv", *words)
    ours(server, "kv", "del", "seen", "b", "-f")
    assert watched(server, "seen", lines=2) == ["PUT seen > a: 2", "DELETE seen > b"]
    assert watched(server, "seen", "a", lines=1) == ["PUT seen > a: 2"]
    assert watched(server, "seen", "--history", lines=4) == [
        "PUT seen > a: 1",
        "PUT seen > a: 2",
        "PUT seen > b: 3",
        "DELETE seen > b",
    ]
    assert watched(server, "seen", "--no-deletes", "--revision", "2", lines=2) == [
        "PUT seen > a: 2",
        "PUT seen > b: 3",
    ]


def test_no_command_leaves_a_consumer_behind(server):
    ours(server, "kv", "add", "left", "--history", "5")
    ours(server, "kv", "put", "left", "a", "1")
    for words in (("history", "left", "a"), ("ls", "left"), ("compact", "left", "-f")):
        assert ours(server, "kv", *words)[0] == 0
    watched(server, "left", lines=1)
    assert "Abandoned" not in ours(server, "kv", "status", "left")[1]


def test_nobody_listening_is_said_at_once():
    done = subprocess.run(
        [*OURS, "-s", "nats://127.0.0.1:1", "kv", "ls"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "nats: error: nats: no servers available for connection\n"


def test_credentials_are_flags_or_environment_and_a_wrong_one_is_one_line():
    with running("kvcore", "--user", "me", "--pass", "secret", argv=SERVE) as server:
        code, _, said = ours(server, "kv", "ls")
        assert (code, said) == (1, "nats: error: nats: Authorization Violation\n")
        assert ours(server, "kv", "ls", "--user", "me", "--password", "secret")[0] == 0
        assert ours(server, "--user", "me", "--password=secret", "kv", "ls")[0] == 0


def test_a_watch_whose_server_goes_ends_with_one_line():
    with running("kvcore", argv=SERVE) as server:
        ours(server, "kv", "add", "b")
        ours(server, "kv", "put", "b", "k", "v")
        watch = subprocess.Popen(
            [*OURS, "kv", "watch", "b"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NATS_URL": server.url},
        )
        assert watch.stdout is not None
        assert b"PUT b > k: v" in watch.stdout.readline()
        server.stop()
        _, said = watch.communicate(timeout=30)
    assert said == b"nats: error: nats: connection closed: the server is gone\n"
    assert watch.returncode == 1


def test_help_is_shown_for_the_stand_in_too(server):
    for words in ((), ("--help",), ("-h",)):
        code, shown, said = ours(server, *words)
        assert (code, said) == (0, "")
        assert "kv put      Puts a value into a key" in shown


def test_kvcore_kv_and_the_name_nats_are_the_same_program(server, tmp_path):
    ours(server, "kv", "add", "names")
    direct = [sys.executable, "-m", "kvcore.cli.main", "kv"]
    assert "names\n" in run(direct, server, "ls", "-n")[1]
    link = tmp_path / "nats"
    link.write_text(f"#!{sys.executable}\nfrom kvcore.cli.main import main\nmain()\n")
    link.chmod(0o755)
    assert "names\n" in run([str(link)], server, "kv", "ls", "-n")[1]


def test_other_commands_of_the_official_cli_are_refused_by_name(server):
    code, _, said = ours(server, "stream", "ls")
    assert code == 1
    assert "only `kv` is here, not 'stream'" in said


def test_the_kv_commands_load_no_typer(server):
    script = (
        "import sys\nfrom kvcore.cli.main import run\n"
        "code = run('nats', ['kv', 'ls', '-n'])\n"
        "assert 'typer' not in sys.modules and 'rich' not in sys.modules\nsys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NATS_URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_status_names_abandoned_watches_and_says_when_they_go(server: Server) -> None:
    assert ours(server, "kv", "add", "LEFT")[0] == 0

    async def leave() -> None:
        nc = await nats.connect(server.url)
        kv = await nc.jetstream().key_value("LEFT")
        await kv.watchall()
        await nc.jetstream().pull_subscribe("$KV.LEFT.>", "worker")
        await nc.close()

    asyncio.run(leave())
    _, out, _ = ours(server, "kv", "info", "LEFT")
    assert "Abandoned: 1 consumer that nobody listens to" in out
    assert "goes after 5m0s without a listener" in out
    assert "worker" not in out, "a pull consumer may pause between two requests"
    require("go")
    (name,) = re.findall(r"(\S+): goes after", out)
    _, report, _ = run([program("nats")], server, "consumer", "report", "KV_LEFT")
    assert name in report
    assert "worker" in report


def test_status_says_that_a_compressed_bucket_is_stored_plainly(server: Server) -> None:
    assert ours(server, "kv", "add", "PRESSED", "--compress")[0] == 0
    assert "Compressed: true (stored plainly)" in ours(server, "kv", "info", "PRESSED")[1]


def consumer(name: str, **more: object) -> dict:
    return {"name": name, "created": "2026-01-01T00:00:00.5Z", "delivered": {}, "ack_floor": {},
            "num_waiting": 0, "config": {}, **more}  # fmt: skip


def test_a_pull_consumer_is_abandoned_after_half_a_minute_without_a_sign() -> None:
    at = datetime(2026, 1, 1, 0, 1, 0, tzinfo=UTC)
    worked = {"last_active": "2026-01-01T00:00:45Z"}
    found = abandoned(
        [
            consumer("never used"),
            consumer("waiting", num_waiting=1),
            consumer("delivered", delivered=worked),
            consumer("acknowledged", ack_floor=worked),
            consumer("heard", config={"deliver_subject": "d"}, push_bound=True),
            consumer("unheard", config={"deliver_subject": "d"}),
        ],
        at,
    )
    assert [each["name"] for each in found] == ["never used", "unheard"]


def test_a_consumer_without_a_threshold_stays_until_it_is_deleted() -> None:
    text = show_abandoned([consumer("c"), consumer("d", config={"inactive_threshold": 5 * 10**9})])
    assert "2 consumers" in text
    assert "c: stays until it is deleted" in text
    assert "d: goes after 5s without a listener" in text
