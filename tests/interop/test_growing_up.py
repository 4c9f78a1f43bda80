"""Every command of docs/growing-up.md, run as it stands: kvcore is the laptop, nats-servers are
production, and two more of them, joined by a leaf node, are two regions.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvcore.lab.ports import free_ports
from tests.support import nats_cluster, servers
from tests.support.require import program

PAGE = (Path(__file__).parents[2] / "docs" / "growing-up.md").read_text(encoding="utf-8")
BLOCK_S = 60.0

_HUB = """
jetstream {{ store_dir: "%STORE%", domain: hub }}
leafnodes {{ listen: "127.0.0.1:{way}" }}
"""
_EU = """
jetstream {{ store_dir: "%STORE%", domain: eu }}
leafnodes {{ remotes: [ {{ url: "nats://127.0.0.1:{way}" }} ] }}
"""


def sections() -> dict[str, list[str]]:
    """The shell commands below each heading."""
    found = {}
    for part in PAGE.split("\n## ")[1:]:
        blocks = re.findall(r"^```sh\n(.*?)^```", part, flags=re.DOTALL | re.MULTILINE)
        if blocks:
            found[part.splitlines()[0]] = blocks
    return found


class Shell:
    """Runs commands in a folder of its own, with `$PROD` and the like set."""

    def __init__(self, folder: Path, **urls: str) -> None:
        path = [Path(sys.executable).parent, Path(program("nats")).parent]
        self._folder = folder
        self._env = {**os.environ, **urls, "NO_COLOR": "1", "HOME": str(folder)}
        self._env["PATH"] = os.pathsep.join([*map(str, path), os.environ["PATH"]])

    def run(self, text: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("growing")
    laptop = servers.start("kvcore", folder / "laptop")
    try:
        with nats_cluster.cluster("nats-server", tags=["ssd"]) as production:
            urls = ",".join(production.url(name) for name in production.names)
            made = Shell(folder, LAPTOP=laptop.url, PROD=urls)
            for line in (
                "kv add config --history 5",
                *(
                    "kv put config colour red",
                    "kv put config colour blue",
                    "kv del config -f colour",
                ),
                "kv put config colour green",
            ):
                made.run(f'nats -s "$LAPTOP" {line}')
            yield made
    finally:
        laptop.kill()


def settings(shell: Shell, stream: str) -> dict:
    return json.loads(shell.run(f'nats -s "$PROD" stream info -j {stream}'))


def test_a_bucket_moves_is_placed_looked_after_and_restored(shell):
    below = sections()
    for block in below["Move"]:
        shell.run(block)
    moved = settings(shell, "KV_config")
    assert moved["config"]["num_replicas"] == 3
    assert moved["state"]["last_seq"] == 4
    for block in below["Decide before the first write"]:
        shell.run(block)
    placed = settings(shell, "KV_orders")
    assert placed["config"]["placement"]["tags"] == ["ssd"]
    assert len(placed["cluster"]["replicas"]) == 2
    for block in below["Look after it"]:
        shell.run(block)
    restored = settings(shell, "KV_config")
    assert restored["state"]["last_seq"] == 4
    assert shell.run('nats -s "$PROD" kv get config colour --raw') == "green"


def test_a_bucket_is_mirrored_in_another_region_and_its_puts_go_to_the_origin(tmp_path):
    (way,) = free_ports(1)
    hub = servers.start("nats-server", tmp_path / "hub", config=_HUB.format(way=way), name="hub")
    try:
        far = servers.start("nats-server", tmp_path / "eu", config=_EU.format(way=way), name="eu")
        try:
            shell = Shell(tmp_path, HUB=hub.url, EU=far.url)
            for block in sections()["Another region"]:
                shell.run(block)
            assert shell.run('nats -s "$HUB" kv get flags dark-mode --raw') == "off"
            hub.kill()
            shell.run('nats -s "$EU" kv get flags dark-mode --raw')
            with pytest.raises(AssertionError, match="no response from stream"):
                shell.run('nats -s "$EU" --timeout 2s kv put flags dark-mode on')
        finally:
            far.kill()
    finally:
        hub.kill()


def test_no_section_with_commands_is_left_out():
    assert list(sections()) == [
        "Move",
        "Decide before the first write",
        "Look after it",
        "Another region",
    ]
