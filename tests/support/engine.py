"""A container engine for tests: the one that answers, or one of their own.

Where no engine answers and this is root on a Linux with `dockerd`, an engine is started for
the tests, with its data, its socket and its files in a directory of its own, and is ended
with them. Elsewhere the tests skip; under KVCORE_REQUIRE=docker they fail.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvcore.lab.engine import NoEngineError, connect
from tests.support.require import lacking
from tests.support.wait import eventually

START_S = 60.0
STOP_S = 30.0


def answers() -> bool:
    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if where.startswith("unix://") and not _listens(where.removeprefix("unix://")):
        return False  # docker-py would leave its socket to the collector, which complains
    try:
        connect().close()
    except NoEngineError:
        return False
    return True


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
        return True


def compose() -> list[str]:
    """The command that runs compose, v1 or v2; without one the test skips or fails."""
    if (program := shutil.which("docker-compose")) is not None:
        return [program]
    if (program := shutil.which("docker")) is not None:
        plugin = [program, "compose"]
        done = subprocess.run([*plugin, "version"], capture_output=True, check=False)
        if done.returncode == 0:
            return plugin
    lacking("docker", "needs docker-compose, or docker's compose plugin")
    raise AssertionError


@contextmanager
def running() -> Iterator[None]:
    """An engine answers meanwhile, as docker-py finds one by DOCKER_HOST or the usual socket."""
    if answers():
        yield
        return
    daemon = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if daemon is None or os.geteuid() != 0:
        lacking("docker", "no container engine answers, and none can be started here")
    assert daemon is not None
    with tempfile.TemporaryDirectory(prefix="kvcore-engine-") as place:
        here = Path(place)
        host = f"unix://{here}/docker.sock"
        command = [
            *(daemon, "--host", host, "--data-root", str(here / "data")),
            *("--exec-root", str(here / "exec"), "--pidfile", str(here / "pid")),
        ]
        with (here / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = host
        try:
            eventually(lambda: process.poll() is not None or answers(), START_S)
            if process.poll() is not None:
                said = (here / "log").read_text(errors="replace")[-1500:]
                lacking("docker", f"dockerd did not start: {said}")
            yield
        finally:
            process.terminate()
            process.wait(STOP_S)
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before
