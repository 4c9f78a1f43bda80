"""nats-core, nats-jetstream and nats-key-value say the same of kvcore and of nats-server.

They can't share an interpreter with nats-py (both are `nats`) and want Python 3.13, so they
live in an environment of their own, made once under `.tools/`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvcore import testing
from tests.support.require import require
from tests.support.servers import running

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("newer_python.py")
PACKAGES = (
    "nats-core[nkeys]>=0.2,<0.3",
    "nats-jetstream>=0.3,<0.4",
    "nats-key-value>=0.1,<0.2",
)
NEED = "newer-python"


def is_new_enough(python: str) -> bool:
    code = "import sys; sys.exit(sys.version_info < (3, 13))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def interpreter() -> str | None:
    """A Python that the packages accept: this one, one on PATH, or one of pyenv's."""
    found = [sys.executable]
    found += filter(None, (shutil.which(f"python3.{minor}") for minor in (13, 14, 15)))
    found += map(str, sorted(Path.home().glob(".pyenv/versions/3.1[3-9]*/bin/python")))
    return next((python for python in found if is_new_enough(python)), None)


def absent(reason: str) -> None:
    if NEED in os.environ.get("KVCORE_REQUIRE", "").split(","):
        pytest.fail(f"{reason}, and KVCORE_REQUIRE lists {NEED}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter that has the packages."""
    directory = ROOT / ".tools" / NEED
    made = directory / "bin" / "python"
    mark = directory / "installed"
    if mark.exists() and mark.read_text() == "\n".join(PACKAGES):
        return str(made)
    base = interpreter()
    if base is None:
        absent(f"needs {NEED}: no Python 3.13 or later")
    shutil.rmtree(directory, ignore_errors=True)
    make = [base, "-m", "venv", str(directory)]
    fill = [str(made), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES]
    if uv := shutil.which("uv"):
        make = [uv, "venv", "-q", "--python", base, str(directory)]
        fill = [uv, "pip", "install", "-q", "--python", str(made), *PACKAGES]
    for command in (make, fill):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            absent(f"needs {NEED}: {' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    mark.write_text("\n".join(PACKAGES))
    return str(made)


def walk(python: str, url: str) -> list[str]:
    """What the program prints about the server there."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-W", "error", str(PROGRAM), url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_demand_17_the_newer_python_packages_find_the_whole_kv_and_stream_api(python):
    with testing.server() as server:
        said = walk(python, server.url)
    assert "put after purge: 9" in said
    assert "buckets: ['config', 'second']" in said
    assert said[-1] == "account: 1"


def test_demand_17_the_newer_python_packages_say_the_same_of_nats_server(python):
    require("go")
    with running("nats-server") as server:
        theirs = walk(python, server.url)
    with running("kvcore") as server:
        assert walk(python, server.url) == theirs
