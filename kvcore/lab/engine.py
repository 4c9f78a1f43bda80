"""The container engine: reaching it, knowing what is ours there, and leaving nothing behind.

Everything that a cluster makes bears two labels: the cluster's own name, and who made it:

    kvcore.cluster = kvcore-3f2a9c      kvcore.owner = <this machine>:<process id>

So it can be found again whatever became of its maker. A cluster that is closed removes what
is its own. Should its kernel be killed instead, a second process does it, which waits for
nothing but that: it holds the reading end of a pipe whose writing end only the kernel has.
What escapes even that (both were killed, the engine was down) `clean` finds by the labels.

Left out: images, which stay for the next time.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLUSTER = "kvcore.cluster"
OWNER = "kvcore.owner"
_ENGINE_SECONDS = 120  # an answer may take that long: a stop, an import
_REAP_SECONDS = 60.0


class NoEngineError(RuntimeError):
    """No container engine can be reached; the text says what to do about it."""


@contextmanager
def engine() -> Iterator[Any]:
    """docker-py's client of the engine that DOCKER_HOST names, or the local one.

    Raises `NoEngineError`.
    """
    client = connect()
    try:
        yield client
    finally:
        client.close()


def connect() -> Any:
    """As `engine`, for whoever closes it later."""
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise NoEngineError(
            "Clusters of containers need docker-py: pip install 'docker>=7.1'. "
            "Without it, Cluster.processes(3) runs the same servers as plain processes."
        ) from error
    try:
        client = docker.from_env(timeout=_ENGINE_SECONDS)
        client.ping()
    except DockerException as error:
        host = os.environ.get("DOCKER_HOST", "")
        is_installed = shutil.which("docker") is not None
        told = remedy(str(error), host, is_installed=is_installed)
        # Without the three errors of docker-py's that wrap a refused connection.
        raise NoEngineError(f"No container engine answers: {told} {_ELSE}") from None
    return client


_ELSE = "Without one, Cluster.processes(3) runs the same servers as plain processes."


def remedy(error: str, host: str, *, is_installed: bool) -> str:
    """What is wrong, as far as docker-py's error tells, and what to do about it."""
    known = ("Permission denied", "No such file or directory", "Connection refused")
    cause = next((each for each in known if each in error), "")
    if cause == "Permission denied":
        return (
            "this user may not use Docker's socket (Permission denied). On Linux: "
            'sudo usermod -aG docker "$USER", then log in anew. That makes you as mighty as root.'
        )
    if host:
        return f"DOCKER_HOST is {host} ({cause or error[:120]}). Mend that, or unset DOCKER_HOST."
    if cause and not is_installed:
        return (
            "Docker is not installed, as it seems. Install Docker Desktop or, on Debian and "
            "Ubuntu, sudo apt install docker.io, and see that `docker info` works for you."
        )
    return (
        f"Docker is not running ({cause or error[:120]}). Start it (Docker Desktop; or on Linux: "
        "sudo systemctl start docker), and see that `docker info` works for you. If it does "
        "already, set DOCKER_HOST to the endpoint that `docker context ls` marks with a star."
    )


def labels(cluster: str) -> dict[str, str]:
    """What everything bears that belongs to this cluster and this process."""
    return {CLUSTER: cluster, OWNER: f"{platform.node()}:{os.getpid()}"}


def remove(client: Any, cluster: str) -> int:
    """Removes the containers, their volumes and the networks of a cluster; how many things."""
    from docker.errors import NotFound

    told = {"label": f"{CLUSTER}={cluster}"}
    removed = 0
    for container in client.containers.list(all=True, filters=told, ignore_removed=True):
        try:
            container.remove(v=True, force=True)
            removed += 1
        except NotFound:
            continue  # somebody was quicker
    for network in client.networks.list(filters=told):
        try:
            network.remove()
            removed += 1
        except NotFound:
            continue
    return removed


def clusters(client: Any) -> dict[str, str]:
    """The clusters that are there, and the owner of each."""
    found: dict[str, str] = {}
    told = {"label": CLUSTER}
    for container in client.containers.list(all=True, filters=told, ignore_removed=True):
        found[container.labels[CLUSTER]] = container.labels.get(OWNER, "")
    for network in client.networks.list(filters=told):
        named = network.attrs.get("Labels") or {}
        found.setdefault(named[CLUSTER], named.get(OWNER, ""))
    return found


def is_orphan(owner: str) -> bool:
    """Whether the process that made it is gone. Of another machine's we can't know: no."""
    machine, _, number = owner.rpartition(":")
    if machine != platform.node() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def clean(client: Any, *, all_owners: bool = False) -> list[str]:
    """Removes the clusters whose makers are gone, or all; their names."""
    found = clusters(client)
    gone = sorted(name for name in found if all_owners or is_orphan(found[name]))
    for name in gone:
        remove(client, name)
    return gone


class Reaper:
    """A process that removes a cluster when the one that started it is gone."""

    def __init__(self, cluster: str) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "kvcore.lab.engine", cluster],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    def end(self) -> None:
        """Lets it look and go; it finds nothing when the cluster was removed already."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def reap(cluster: str) -> None:
    """Waits until nobody holds the other end of standard input, then removes the cluster."""
    sys.stdin.buffer.read()
    with engine() as client:
        remove(client, cluster)


if __name__ == "__main__":
    reap(sys.argv[1])
