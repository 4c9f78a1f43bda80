"""What a test needs from the machine, and what happens when it is missing.

A test that needs Go's tools or a browser skips, with a reason, on a machine without them.
Where `KVCORE_REQUIRE` (a comma list: `go,browser`) names the need, its want is a failure,
so that no continuous run passes by skipping.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# need -> programs, each a tuple of names any of which will do
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "go": (("nats-server",), ("nats",)),
    "browser": (("chromium", "chromium-browser", "google-chrome"),),
    "strace": (("strace",),),
    "node": (("node",),),
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
    found += [Path.home() / "go" / "bin", ROOT / ".tools" / "bin"]
    return tuple(found)


@cache
def find(program: str) -> str | None:
    """The path of a program: from PATH, from Go's bin directories, or from `.tools/bin`."""
    on_path = shutil.which(program)
    if on_path:
        return on_path
    for directory in _directories():
        path = directory / program
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    return None


def missing(need: str) -> list[str]:
    """The programs that `need` wants and that are not here."""
    return [names[0] for names in NEEDS[need] if not any(find(name) for name in names)]


def require(need: str) -> None:
    """Skip the test for want of `need`; fail it where `KVCORE_REQUIRE` lists the need."""
    absent = missing(need)
    if not absent:
        return
    reason = f"needs {need}: {', '.join(absent)} not found"
    if need in os.environ.get("KVCORE_REQUIRE", "").split(","):
        pytest.fail(f"{reason}, and KVCORE_REQUIRE lists {need}", pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program that `require` has already vouched for."""
    path = find(name)
    assert path is not None, f"{name} not found; call require() first"
    return path
