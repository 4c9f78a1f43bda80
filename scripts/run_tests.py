"""Run the tests in stages, one line each, and end with every skip and its reason.

    python scripts/run_tests.py [STAGE ...]

A stage is a list of commands. Its line says how it went, how many tests and how long;
what a failing command printed follows. The exit code is 0 only if every stage passed.
Two lanes of stages run side by side: what computes, and what mostly waits, for servers of
other makes, containers and a browser. Each command has its own processes, folders and ports.
Skips are read from pytest's JUnit files, so that a skip can't hide in a long log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
COMMAND_S = 2400  # ten times what the longest takes
PARALLEL = ["-n", "2", "--dist", "loadfile"]
SPREAD = ["-n", "2", "--dist", "worksteal"]  # few files, long tests that share nothing
# Strict: every stored output is compared. A dead kernel hangs nbval without the time-out.
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=60", "-o", "filterwarnings="]

STAGES: dict[str, list[list[str]]] = {
    "style": [
        [str(BIN / "ruff"), "format", "--check", "."],
        [str(BIN / "ruff"), "check", "."],
        [str(BIN / "mypy")],
    ],
    "architecture": [[*PYTEST, "tests/test_architecture.py", "tests/packaging"]],
    "unit": [
        [
            *(*PYTEST, *PARALLEL, "tests/nats", "tests/storage", "tests/raft", "tests/paper"),
            *("tests/scenarios", "tests/jetstream", "tests/node", "tests/security"),
            *("tests/server", "tests/cli", "tests/viz"),
        ]
    ],
    "simulation": [[*PYTEST, *PARALLEL, "tests/sim", "tests/lab"]],
    "storms": [[*PYTEST, *SPREAD, "tests/check"]],
    "interop": [
        [*PYTEST, *PARALLEL, "tests/interop", "tests/fuzz", "tests/durability"],
        [*PYTEST, "tests/differential"],
    ],
    "containers": [[*PYTEST, "tests/containers"]],
    "lessons-stub": [
        [*PYTEST, *PARALLEL, *NBVAL, "course"],
        [
            *(*PYTEST, *PARALLEL, "tests/lessons/test_structure.py"),
            *("tests/lessons/test_claims.py", "tests/lessons/test_levers.py"),
            *("tests/lessons/test_command_line_cells.py", "tests/lessons/test_storage_engines.py"),
            "tests/lessons/test_libraries.py",
        ],
    ],
    "lessons-solution": [
        [*PYTEST, *SPREAD, "tests/lessons/test_solutions.py"],
        [*PYTEST, *SPREAD, "tests/lessons/test_expectations.py", "tests/lessons/test_worlds.py"],
    ],
    "lessons-mutant": [[*PYTEST, *SPREAD, "tests/lessons/test_mutants.py"]],
    "browser": [[*PYTEST, "tests/browser"]],
}
LANES = [
    [
        *("style", "architecture", "unit", "simulation", "storms"),
        "lessons-solution",
    ],
    ["interop", "containers", "lessons-stub", "lessons-mutant", "browser"],
]


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skips: list[str] = field(default_factory=list)
    guard: Lock = field(default_factory=Lock)  # lanes count here, and print, one at a time
    is_stopped: Event = field(default_factory=Event)

    def read(self, report: Path) -> int:
        """Add a JUnit file; returns how many tests it tells of."""
        before = self.passed + self.failed + len(self.skips)
        for case in ET.parse(report).getroot().iter("testcase"):
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            elif skip is not None:
                self.skips.append(f"{case.get('name')}: {skip.get('message', 'no reason given')}")
            else:
                self.passed += 1
        return self.passed + self.failed + len(self.skips) - before


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs it in the project's folder; one that hangs is killed, and has failed."""
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")
        return subprocess.CompletedProcess(command, 1, said, f"killed after {COMMAND_S} s\n")


def run_stage(name: str, tally: Tally) -> bool:
    start = time.monotonic()
    tests = wrong = 0
    failures: list[str] = []
    for number, command in enumerate(STAGES[name]):
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch) / "junit.xml"
            is_pytest = "pytest" in command
            full = [*command, f"--junitxml={report}"] if is_pytest else command
            done = run(full)
            with tally.guard:
                counted = tally.read(report) if report.exists() else 0
            tests += counted
            if done.returncode != 0 or (is_pytest and not counted):
                failures.append(f"--- {name} [{number + 1}]: {' '.join(command)}")
                failures.append(done.stdout[-20_000:] + done.stderr[-5_000:])
                wrong += not counted
    seconds = time.monotonic() - start
    word = "FAIL" if failures else "PASS"
    what = f"{tests} tests" if tests else "clean" if not failures else ""
    with tally.guard:
        tally.failed += wrong
        print(f"{word} {name:<17}{what:<12} {seconds:6.1f} s", flush=True)
        for text in failures:
            print(text, flush=True)
    return not failures


def run_lane(names: list[str], tally: Tally) -> bool:
    """Each stage runs, whatever became of the one before; an interrupt ends the lane."""
    return not [name for name in names if tally.is_stopped.is_set() or not run_stage(name, tally)]


def main() -> int:
    wanted = sys.argv[1:] or list(STAGES)
    unknown = [name for name in wanted if name not in STAGES]
    if unknown:
        print(f"no such stage: {', '.join(unknown)}; there are: {', '.join(STAGES)}")
        return 2
    os.environ.pop("KVCOURSE_STRICT", None)
    # A job in the background ignores Ctrl-C, and so would all that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(("MAKE", "MFLAGS"))]:
        del os.environ[name]  # a test that runs make itself is not a part of this make
    os.environ["KVCOURSE_PROGRESS"] = "off"  # someone's own predictions are no lesson's output
    tally = Tally()
    start = time.monotonic()
    lanes = [[name for name in lane if name in wanted] for lane in LANES]
    with ThreadPoolExecutor(len(lanes)) as pool:
        futures = [pool.submit(run_lane, lane, tally) for lane in lanes]
        try:
            results = [future.result() for future in futures]
        except KeyboardInterrupt:
            tally.is_stopped.set()
            raise
    minutes = (time.monotonic() - start) / 60
    counts = f"{tally.passed} passed, {tally.failed} failed, {len(tally.skips)} skipped"
    print(f"{counts}, in {minutes:.1f} minutes")
    print("skips: " + ("; ".join(tally.skips) if tally.skips else "none"))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
