"""What a learner costs the machine that many of them share.

    python -m bench.learners            prints a table, keeps results/learners.json

A learner on a JupyterHub has two kinds of processes: a JupyterLab server of their own, and a
kernel for each open lesson, with what its cells start. Here each learner is such a server and
one kernel that runs lessons from top to bottom without a pause, one, two and four learners at a
time. Memory is the proportional set size, in which what processes share is counted once; the
most that was seen after any cell counts. Processor time is that of a learner's processes.

A pause-less run is the worst case: who reads and thinks takes most of an hour for a lesson.

Left out: the hub and its proxy, which are a few hundred MB however many learners there are; the
browser, which is the learner's own; nats-servers and containers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "learners.json"
LESSONS = ("00", "06", "10")  # one server; three in virtual time; three real processes
TOGETHER = (1, 2, 4)
TOKEN = "bench"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Visit:
    """One learner's way through one lesson."""

    lesson: str
    learners: int  # at the same time
    server_mb: float
    kernel_mb: float  # with what it started
    processor_s: float
    wall_s: float


def main() -> int:
    if not Path("/proc/self/smaps_rollup").exists():
        print("bench.learners reads /proc, which only Linux has")
        return 2
    visits: list[Visit] = []
    for learners in TOGETHER:
        with ThreadPoolExecutor(learners) as pool:
            for group in pool.map(_learner, [learners] * learners):
                visits += group
    print(
        f"{'lesson':<8}{'learners':>9}{'server MB':>11}{'kernel MB':>11}{'CPU s':>8}{'wall s':>8}"
    )
    rows = []
    for lesson in LESSONS:
        for learners in TOGETHER:
            these = [v for v in visits if (v.lesson, v.learners) == (lesson, learners)]
            row = Visit(
                lesson,
                learners,
                round(median(v.server_mb for v in these), 1),
                round(median(v.kernel_mb for v in these), 1),
                round(median(v.processor_s for v in these), 1),
                round(median(v.wall_s for v in these), 1),
            )
            rows.append(row)
            print(
                f"{lesson:<8}{learners:>9}{row.server_mb:>11}{row.kernel_mb:>11}"
                f"{row.processor_s:>8}{row.wall_s:>8}"
            )
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0


def _learner(learners: int) -> list[Visit]:
    """Opens a JupyterLab server, goes through the lessons, and closes it."""
    with tempfile.TemporaryDirectory(prefix="kvcore-learner-") as home:
        env = dict(os.environ, HOME=home, JUPYTER_RUNTIME_DIR=home, KVCOURSE_PROGRESS="off")
        env |= {"KVCORE_WORLD": "sim", "IPYTHONDIR": home, "MPLCONFIGDIR": home}
        command = [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
            *(
                "--ServerApp.port=0",
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.root_dir={home}",
            ),
        ]
        server = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(home, server)
            return [_visit(lesson, learners, server.pid, env) for lesson in LESSONS]
        finally:
            server.terminate()
            server.wait()


def _wait_for(home: str, server: subprocess.Popen[bytes]) -> None:
    """Until JupyterLab has served its page, so that it has loaded what it needs."""
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        for path in Path(home).glob("jpserver-*.json"):
            url = json.loads(path.read_text())["url"]
            with urllib.request.urlopen(f"{url}lab?token={TOKEN}", timeout=30) as page:
                page.read()
                return
        time.sleep(0.1)
    raise TimeoutError("JupyterLab did not start within a minute")


def _visit(lesson: str, learners: int, server: int, env: dict[str, str]) -> Visit:
    path = next((ROOT / "course").glob(f"{lesson}_*.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    )
    start = time.monotonic()
    most = 0.0
    with client.setup_kernel(env=env, stderr=subprocess.DEVNULL):
        assert client.km is not None
        kernel = int(client.km.provisioner.pid)  # type: ignore[union-attr]
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
            most = max(most, sum(_pss_mb(pid) for pid in _family(kernel)))
        seconds = sum(_processor_s(pid) for pid in _family(kernel))
        wall = time.monotonic() - start
    return Visit(lesson, learners, _pss_mb(server), most, seconds, wall)


def _family(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise ValueError(f"process {pid} has no Pss")


def _processor_s(pid: int) -> float:
    """Its own time and that of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS


if __name__ == "__main__":
    sys.exit(main())
