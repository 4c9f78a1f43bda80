"""What a test needs from the machine, and what happens when it is missing.

A test that needs Go's tools, a browser or RocksDB skips, with a reason, where they are missing.
Where `KVCORE_REQUIRE` (a comma list: `go,browser`) names the need, its want is a failure,
so that no continuous run passes by skipping. A program that is too old counts as missing.
"""

import os
import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# need -> programs, each a tuple of names any of which will do
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "go": (("nats-server",), ("nats",)),
    "compiler": (("go",),),
    "browser": (("chromium", "chromium-browser", "google-chrome"),),
    "strace": (("strace",),),
    "node": (("node",), ("npm",)),
}
# need -> packages that can be imported
PACKAGES = {"rocksdb": ("rocksdict",)}
PART_OF = {"compiler": "go"}  # who promises the second has promised the first
LESSONS = {"14": "go"}  # what a lesson starts that a learner's machine may lack

# program -> the words that make it say its version, and the oldest that will do
OLDEST: dict[str, tuple[str, tuple[int, int]]] = {
    "go": ("version", (1, 25)),
    "node": ("--version", (20, 0)),
}


@cache
def _directories() -> tuple[Path, ...]:
    """Where Go puts programs besides PATH, and the checkout's own tools."""
    found = []
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if Path(go).exists():
        answer = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            found.append(Path(answer.stdout.strip()) / "bin")
    found += [Path.home() / "go" / "bin", ROOT / ".tools" / "bin", Path(go).parent]
    return tuple(found)


@cache
def find(program: str) -> str | None:
    """The path of a program: from PATH, from Go's bin directories, or from `.tools/bin`."""
    on_path = shutil.which(program)
    if on_path and _is_new_enough(program, on_path):
        return on_path
    for directory in _directories():
        path = directory / program
        if path.is_file() and os.access(path, os.X_OK) and _is_new_enough(program, str(path)):
            return str(path)
    return None


def _is_new_enough(program: str, path: str) -> bool:
    if program not in OLDEST:
        return True
    word, oldest = OLDEST[program]
    local = {**os.environ, "GOTOOLCHAIN": "local"}
    said = subprocess.run([path, word], capture_output=True, text=True, check=False, env=local)
    found = re.search(r"(\d+)\.(\d+)", said.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= oldest


def missing(need: str) -> list[str]:
    """The programs or packages that `need` wants and that are not here."""
    if need in PACKAGES:
        return [name for name in PACKAGES[need] if find_spec(name) is None]
    return [_told(names[0]) for names in NEEDS[need] if not any(find(name) for name in names)]


def _told(program: str) -> str:
    if program not in OLDEST:
        return program
    return f"{program} {'.'.join(map(str, OLDEST[program][1]))} or later"


def require(need: str) -> None:
    """Skip the test for want of `need`; fail it where `KVCORE_REQUIRE` lists the need."""
    absent = missing(need)
    if not absent:
        return
    lacking(need, f"needs {need}: {', '.join(absent)} not found")


def require_for(notebook: Path) -> None:
    """As `require`, for what this lesson's cells start; most start nothing that may be missing."""
    if notebook.name[:2] in LESSONS:
        require(LESSONS[notebook.name[:2]])


def lacking(need: str, reason: str) -> None:
    """What is done for want of `need`: skip the test, or fail it where the need is listed."""
    need = PART_OF.get(need, need)
    if need in os.environ.get("KVCORE_REQUIRE", "").split(","):
        pytest.fail(f"{reason}, and KVCORE_REQUIRE lists {need}", pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program that `require` has already vouched for."""
    path = find(name)
    assert path is not None, f"{name} not found; call require() first"
    return path
