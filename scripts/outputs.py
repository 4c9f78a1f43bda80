"""Run the lessons and store their outputs, as `make outputs` does.

    python scripts/outputs.py [NN ...]

Each lesson runs top to bottom in a fresh kernel, in the simulated world, with untouched
stubs. What is stored: the outputs of experiment cells. What is not: outputs of exercise and
check cells (they are the reader's), timings, kernel versions; a cell with outputs carries
its place among the code cells as its execution count.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

COURSE = Path(__file__).resolve().parent.parent / "course"
KEEP_CELL = {"tags", "editable", "deletable"}


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Text that came in several pieces as one: where it was cut is chance."""
    whole: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = whole[-1] if whole else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            whole.append(output)
    return whole


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Strip what differs from run to run or belongs to the reader."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    order = 0
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEEP_CELL}
        if cell.cell_type != "code":
            continue
        order += 1
        tags = set(cell.metadata.get("tags", []))
        if tags & {"exercise", "nbval-ignore-output"}:
            cell.outputs = []
        for output in cell.outputs:
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        cell.outputs = joined([each for each in cell.outputs if each.get("data", True)])
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output["execution_count"] = order
            output.get("metadata", {}).clear()
        # nbval compares no cell that seems never to have run: a number says that it has.
        cell.execution_count = order if cell.outputs else None
    return notebook


def run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        env = dict(os.environ, KVCORE_WORLD="sim", KVCOURSE_PROGRESS="off")
        env["JUPYTER_RUNTIME_DIR"] = scratch
        client = NotebookClient(
            notebook, timeout=60, resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute(env=env)
    nbformat.write(clean(notebook), path)
    print(f"{path.name}: {sum(bool(c.get('outputs')) for c in notebook.cells)} outputs stored")


def main() -> None:
    wanted = sys.argv[1:]
    for path in sorted(COURSE.glob("[0-9][0-9]_*.ipynb")):
        if not wanted or path.name[:2] in wanted:
            run(path)


if __name__ == "__main__":
    main()
