import json

import pytest

from kvcore.lab import check, exercise, hint, journal, progress
from kvcore.lab.table import rows
from tests.support import exercises


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "kept" / ".progress.json"
    monkeypatch.setenv("KVCOURSE_PROGRESS", str(path))
    return path


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.delenv("KVCOURSE_PROGRESS", raising=False)

    def stand_in(name):
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        return folder

    return stand_in


def test_attempts_hints_and_the_first_pass_are_kept(file):
    journal.attempted("02a", passed=False)
    journal.attempted("02a", passed=True)
    first = journal.record("02a").passed
    journal.attempted("02a", passed=True)
    journal.hinted("02a", 2)
    journal.hinted("02a", 1)
    kept = json.loads(file.read_text())
    assert kept["version"] == 1
    assert kept["exercises"]["02a"] == {"attempts": 3, "hint": 2, "passed": first}
    assert first.endswith("Z")


def test_two_lessons_may_write_the_same_file(file):
    journal.attempted("01a", passed=True)
    kept = json.loads(file.read_text())
    kept["exercises"]["02b"] = {"attempts": 5, "hint": 0, "passed": ""}
    file.write_text(json.dumps(kept))
    journal.attempted("01a", passed=True)
    assert journal.record("02b").attempts == 5


def test_nothing_but_the_file_is_left_in_the_folder(file):
    journal.attempted("01a", passed=True)
    assert [each.name for each in file.parent.iterdir()] == [".progress.json"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 7}', "\x00"])
def test_a_damaged_file_is_put_aside_and_the_lesson_goes_on(file, damage):
    file.parent.mkdir()
    file.write_text(damage)
    assert journal.record("01a").attempts == 0
    journal.attempted("01a", passed=False)
    assert journal.record("01a").attempts == 1
    assert file.with_name(".progress.json.broken").read_text() == damage


def test_values_of_another_kind_are_read_as_nothing(file):
    file.parent.mkdir()
    wrong = {"version": 1, "exercises": {"01a": {"attempts": "x"}, "01b": 3}, "predictions": []}
    file.write_text(json.dumps(wrong))
    assert journal.record("01a") == journal.record("01b") == journal.Record()
    assert journal.predicted("01a") == ""


def test_a_folder_that_cannot_be_written_costs_memory_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KVCOURSE_PROGRESS", str(tmp_path / "file" / "under" / "it"))
    monkeypatch.setattr(journal, "_memory", {})
    journal.attempted("01a", passed=True)
    assert journal.record("01a").attempts == 1


def test_off_keeps_everything_in_memory(monkeypatch, tmp_path):
    monkeypatch.setenv("KVCOURSE_PROGRESS", "off")
    monkeypatch.setattr(journal, "_memory", {})
    monkeypatch.chdir(tmp_path)
    journal.attempted("01a", passed=True)
    assert journal.record("01a").passed
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_in_work_whichever_folder_the_notebook_is_in(folders):
    here = folders("work")
    assert journal.path() == here / ".progress.json"
    course = folders("clone/course")
    (course.parent / "pyproject.toml").write_text("")
    wanted = course.parent / "work" / ".progress.json"
    assert journal.path() == wanted
    folders("clone/work/deeper")
    assert journal.path() == wanted
    stranger = folders("work/stranger")
    assert journal.path() == stranger / "work" / ".progress.json"


def test_progress_lists_what_was_tried_and_what_is_open(file, capsys, monkeypatch):
    monkeypatch.setattr(exercise, "_declared", {})
    exercises.declare_double()
    exercises.declare_pair()
    check("90a", lambda number: 2 * number)
    check("90b", lambda number: 0, lambda number: 0)
    hint("90b")
    capsys.readouterr()
    progress()
    assert capsys.readouterr().out.splitlines() == [
        "exercise  state      tries  hint",
        "90a       ✓ passed       1  -",
        "90b       … tried        1  2 of 3",
        "1 of 2 passed",
    ]


def test_an_untouched_exercise_is_open():
    assert rows({}, ["01a"])[1] == "01a       ○ open         0  -"
