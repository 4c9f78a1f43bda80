"""The set-up of .venv by the Makefile, with a Python that only notes how it was called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Makes a "virtual environment" that holds itself; has no pip until venv ran without fault.
STUB = """#!/bin/sh
echo "$0 $*" >> "$LOG"
case "$*" in
  "-m pip --version") test -e "$(dirname "$0")/pip" ;;
  "-m venv "*)
    mkdir -p "$3/bin" && cp "$STUB" "$3/bin/python" && test -z "$BROKEN" && touch "$3/bin/pip" ;;
esac
"""


@pytest.fixture
def set_up(tmp_path):
    """Runs make in a folder with the Makefile alone, without uv on the path."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    stub, log = tmp_path / "stub", tmp_path / "log"
    stub.write_text(STUB)
    stub.chmod(0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "make", "mkdir", "cp", "touch", "dirname", "test", "rm", "find"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool}"))

    def run(*targets: str, **more: str) -> tuple[int, str, str]:
        log.write_text("")
        env = {**os.environ, "PATH": str(tools), "LOG": str(log), "STUB": str(stub), **more}
        done = subprocess.run(
            [str(tools / "make"), f"PYTHON={stub}", *targets],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, log.read_text()

    return run


def test_the_set_up_says_how_long_it_takes_and_is_done_once(set_up):
    code, said, called = set_up(".venv/.kvcore-installed")
    assert code == 0
    assert said == "Setting up .venv with pip, once: about a minute.\n"
    assert "-m pip install" in called
    assert set_up(".venv/.kvcore-installed")[2] == ""


def test_a_virtual_environment_that_got_no_pip_is_made_again(set_up):
    """Debian's python3 without python3-venv leaves one behind."""
    code, _, called = set_up(".venv/.kvcore-installed", BROKEN="yes")
    assert code != 0
    assert "pip install" not in called
    code, _, called = set_up(".venv/.kvcore-installed")
    assert code == 0
    assert "-m venv .venv" in called
    assert "-m pip install" in called


def test_clean_leaves_answers_and_stored_data_alone(set_up, tmp_path):
    kept = [tmp_path / "work" / "answer", tmp_path / "kvcore-data" / "log"]
    for path in kept:
        path.parent.mkdir()
        path.write_text("mine")
    set_up(".venv/.kvcore-installed")
    assert set_up("clean")[0] == 0
    assert not (tmp_path / ".venv").exists()
    assert all(path.exists() for path in kept)
