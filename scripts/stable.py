"""Run each lesson again and again: its text must stay the stored one, byte for byte.

    python scripts/stable.py [RERUNS] [NN ...]

Each rerun has a fresh kernel and another hash seed, two at a time. Compared is what a reader
sees as text: what cells print, and the text of their results. Cells that hold the reader's own
work, or whose output says that it may differ, are left out, as in `make test`. The exit code is
1 if any text differed; the difference is printed.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient

COURSE = Path(__file__).resolve().parent.parent / "course"
RERUNS = 20
READERS_OWN = {"exercise", "nbval-ignore-output"}


def text(cell: nbformat.NotebookNode) -> str:
    """All that a code cell says in letters; empty for a cell whose output is the reader's."""
    if cell.cell_type != "code" or READERS_OWN & set(cell.metadata.get("tags", [])):
        return ""
    said = []
    for output in cell.outputs:
        if output.output_type == "stream":
            said.append(output.text)
        elif output.output_type == "error":
            said.append(f"{output.ename}: {output.evalue}")
        else:
            said.append(output.data.get("text/plain", ""))
    return "".join(said)


def differences(stored: nbformat.NotebookNode, ran: nbformat.NotebookNode) -> list[str]:
    """For each code cell whose text is not the stored one, the lines that differ."""
    found = []
    for number, (before, after) in enumerate(zip(stored.cells, ran.cells, strict=True)):
        was, now = text(before), text(after)
        if was != now:
            lines = difflib.unified_diff(was.splitlines(), now.splitlines(), "stored", "now", n=0)
            found.append(f"cell {number}:\n" + "\n".join(lines))
    return found


def rerun(path: Path, hash_seed: int) -> list[str]:
    """One more run in a fresh kernel; returns what differed."""
    stored = nbformat.read(path, as_version=4)
    ran = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        env = dict(os.environ, KVCORE_WORLD="sim", KVCOURSE_PROGRESS="off")
        env |= {"JUPYTER_RUNTIME_DIR": scratch, "PYTHONHASHSEED": str(hash_seed)}
        place = {"metadata": {"path": str(path.parent)}}
        NotebookClient(ran, timeout=120, resources=place).execute(
            env=env, stderr=subprocess.DEVNULL
        )
    return differences(stored, ran)


def main() -> int:
    words = sys.argv[1:]
    reruns = int(words.pop(0)) if words and len(words[0]) != 2 else RERUNS  # lessons: two digits
    lessons = [
        p for p in sorted(COURSE.glob("[0-9][0-9]_*.ipynb")) if not words or p.name[:2] in words
    ]
    unstable = 0
    with ThreadPoolExecutor(2) as pool:
        for path in lessons:
            start = time.monotonic()
            results = list(pool.map(rerun, [path] * reruns, range(reruns)))
            differing = [(seed, each) for seed, each in enumerate(results) if each]
            unstable += bool(differing)
            word = "FAIL" if differing else "PASS"
            same = reruns - len(differing)
            seconds = time.monotonic() - start
            print(
                f"{word} {path.stem:<24} {same} of {reruns} the same {seconds:6.0f} s", flush=True
            )
            for seed, each in differing:
                print(f"hash seed {seed}", *each, sep="\n", flush=True)
    return 1 if unstable else 0


if __name__ == "__main__":
    sys.exit(main())
