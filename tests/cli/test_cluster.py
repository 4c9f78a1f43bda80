"""`kvcore cluster`: one terminal runs it, another drives it."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kvcore.lab.supervisor import STATE, SupervisorError, order
from tests.support.require import ROOT
from tests.support.wait import eventually

KVCORE = [sys.executable, "-m", "kvcore.cli.main", "cluster"]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}


def kvcore(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KVCORE, words[0], "--dir", str(directory), *words[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENV,
    )


class Up:
    """`kvcore cluster up`, and what it has printed."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [*KVCORE, "up", "--dir", str(directory), "--port", "-1", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENV,
        )
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.process.stdout as lines:
            for line in lines:
                self.text += line

    def says(self, pattern: str) -> re.Match[str]:
        return eventually(lambda: re.search(pattern, self.text), 40.0, pattern)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self._reader.join(10)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    directory = tmp_path_factory.mktemp("up") / "cluster"
    running = Up(directory)
    try:
        running.says("3 servers are one cluster after")
        yield running, directory
    finally:
        running.end()


def test_up_prints_where_the_servers_are_and_who_leads_what(up):
    running, _ = up
    running.says(r"nats://127.0.0.1:\d+,nats://127.0.0.1:\d+,nats://127.0.0.1:\d+")
    for name in ("n1", "n2", "n3"):
        running.says(rf"{name} nats://127.0.0.1:\d+ up; leads ")


def test_another_terminal_hurts_a_server_and_brings_it_back(up):
    running, directory = up
    for words, done, state in (
        (("kill", "n2"), "n2 is killed", r"n2 \S+ crashed;"),
        (("restart", "n2"), "n2 is up again", r"n2 \S+ up;"),
        (("pause", "n3"), "n3 stands still", r"n3 \S+ paused;"),
        (("resume", "n3"), "n3 goes on", r"n3 \S+ up"),
        (("power-cut", "n1"), "n1 has no power", r"n1 \S+ crashed;"),
        (("restart", "n1"), "n1 is up again", r"n1 \S+ up;"),
        (("partition", "n1"), "the network is n1 | n2 n3", r"n1 \S+ up.*, cut off from n2 n3"),
        (("heal",), "the network is whole", r"n1 \S+ up[^,]*; leads"),
    ):
        found = kvcore(directory, *words)
        assert (found.returncode, found.stdout, found.stderr) == (0, f"{done}\n", "")
        running.says(state)


def test_status_says_what_the_table_says(up):
    _, directory = up
    found = kvcore(directory, "status")
    assert found.returncode == 0
    assert [line.split()[0] for line in found.stdout.splitlines()] == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("kill", "n9"), "no server 'n9'; there are n1, n2, n3"),
        (("partition", "n1", "n1"), "n1 is in two groups"),
    ],
)
def test_what_can_not_be_done_is_one_sentence(up, words, said):
    _, directory = up
    found = kvcore(directory, *words)
    assert (found.returncode, found.stdout) == (1, "")
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_second_cluster_in_the_same_directory_is_refused(up):
    _, directory = up
    found = kvcore(directory, "up", "--port", "-1")
    assert found.returncode == 1
    assert "runs in" in found.stderr


def test_only_who_can_read_the_file_can_give_orders(up, tmp_path):
    _, directory = up
    assert stat.S_IMODE((directory / STATE).stat().st_mode) == 0o600
    forged = tmp_path / STATE
    text = (directory / STATE).read_text()
    forged.write_text(re.sub(r'"token": "\w{4}', '"token": "0000', text))
    with pytest.raises(SupervisorError, match="wrong token"):
        order(tmp_path, "kill", ["n1"])


def test_without_a_cluster_the_sentence_says_how_to_start_one(tmp_path):
    found = kvcore(tmp_path, "kill", "n1")
    assert found.returncode == 1
    assert "kvcore cluster up" in found.stderr


def test_down_ends_it_and_the_data_stays(tmp_path):
    directory = tmp_path / "one"
    running = Up(directory, "--servers", "1")
    try:
        running.says("1 servers are one cluster|1 server is up")
        pid = int(
            re.findall(r"nats-server_(\d+)", " ".join(map(str, (directory / "n1").iterdir())))[0]
        )
        assert kvcore(directory, "down").stdout == "the cluster is ending\n"
        assert running.process.wait(30) == 0
        assert not (directory / STATE).exists()
        assert (directory / "n1" / "store").is_dir()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        running.end()
