"""With the reference solutions in its cells, each lesson passes under the strict switch."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from kvcore.lab import grading
from scripts import stable
from tests.support.require import require_for

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "course").glob("[0-9][0-9]_*.ipynb"))

PATIENCE = "10"  # on a busy machine a check may wait for its turn

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda p: p.stem)


@each_lesson
def test_each_reference_passes_on_fifty_seeds(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("KVCOURSE_PROGRESS", "off")
    monkeypatch.setenv("KVCOURSE_PATIENCE", PATIENCE)
    grades = grading.grade_references(lesson.name[:2])
    assert grades
    assert [str(grade) for grade in grades if not grade.ok] == []


@each_lesson
@pytest.mark.parametrize("approach", [0, 1], ids=["first", "second"])
def test_the_solved_lesson_runs_strictly(lesson, approach, tmp_path):
    require_for(lesson)
    target = tmp_path / lesson.name
    solved = grading.solve(lesson, target, approach)
    assert solved == [task.id for task in grading.exercises(lesson.name[:2])]
    stored = nbformat.read(lesson, as_version=4)
    notebook = nbformat.read(target, as_version=4)
    env = dict(
        os.environ,
        PYTHONHASHSEED=str(approach),
        KVCOURSE_PROGRESS="off",
        KVCOURSE_STRICT="1",
        KVCOURSE_PATIENCE=PATIENCE,
    )
    client = NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(ROOT / "course")}}
    )
    client.execute(env=env)
    changed = stable.differences(stored, notebook)  # the text is the same on every run
    assert [each for each in changed if ": yours" not in each] == []  # but for whose rule it uses
    assert len(changed) <= 1
    said = "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "check(" in cell.source
    )
    assert said.count("PASS") >= len(solved)
    assert "NOT YET" not in said
