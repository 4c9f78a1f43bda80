"""Long runs of what `make test` does in short: one line each, with what it found.

    python scripts/soak.py [SOAK ...]

A soak is a command; its line says how it went and how long it took, and what a failing
command printed follows. How far a soak is goes to stderr meanwhile. The exit code is 0 only
if every soak passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Each ends with a line that says what it has done; that line is shown.
SOAKS: dict[str, list[str]] = {
    "differential": [
        *(sys.executable, "-m", "tests.differential"),
        *("--seed", "1000", "--scripts", "10000"),
    ],
    "kills": [
        *("env", "KVCORE_CLUSTER_KILLS=100", sys.executable, "-m", "pytest", "-q"),
        *("tests/durability/test_cluster_kill.py", "-k", "kills"),
    ],
    "compose": [
        *(sys.executable, "-m", "pytest", "-q", "tests/containers/compose_whole.py"),
    ],
    "client-view": [
        *(sys.executable, "-m", "tests.interop.client_view", "--check", "nats-server", "kvcore"),
    ],
}


def soak(name: str) -> bool:
    start = time.monotonic()
    done = subprocess.run(SOAKS[name], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.rstrip().splitlines() or ["(nothing said)"]
    word = "FAIL" if done.returncode else "PASS"
    print(f"{word} {name:<17}{time.monotonic() - start:7.0f} s  {lines[-1]}", flush=True)
    if done.returncode:
        print("\n".join(lines[-400:]), flush=True)
    return not done.returncode


def main() -> int:
    wanted = sys.argv[1:] or list(SOAKS)
    unknown = [name for name in wanted if name not in SOAKS]
    if unknown:
        print(f"no such soak: {', '.join(unknown)}; there are: {', '.join(SOAKS)}")
        return 2
    for name in [name for name in os.environ if name.startswith(("MAKE", "MFLAGS"))]:
        del os.environ[name]
    results = [soak(name) for name in wanted]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
