"""`make lab` copies lessons to work/ and never touches an answer."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("lab_script", ROOT / "scripts" / "lab.py")
lab = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lab)


@pytest.fixture
def folders(tmp_path):
    course, work = tmp_path / "course", tmp_path / "work"
    course.mkdir()
    (course / "00_start_here.ipynb").write_text("zero")
    (course / "01_put_get.ipynb").write_text("one")
    (course / "notes.txt").write_text("not a lesson")
    return course, work


def test_the_first_copy_brings_each_lesson_and_nothing_else(folders):
    course, work = folders
    assert lab.copy(course, work) == []
    assert sorted(p.name for p in work.glob("*.ipynb")) == [
        "00_start_here.ipynb",
        "01_put_get.ipynb",
    ]


def test_what_the_lessons_link_to_is_copied_with_them(tmp_path):
    lab.copy(ROOT / "course", tmp_path)
    links = set()
    for lesson in tmp_path.glob("*.ipynb"):
        for cell in nbformat.read(lesson, as_version=4).cells:
            if cell.cell_type == "markdown":
                links |= set(re.findall(r"\]\((?!https?:)([^)#]+)", cell.source))
    assert "glossary.yml" in links
    assert [link for link in sorted(links) if not (tmp_path / link).exists()] == []


def test_an_edited_glossary_is_kept_as_an_edited_lesson_is(folders):
    course, work = folders
    (course / "glossary.yml").write_text("first edition")
    lab.copy(course, work)
    (work / "glossary.yml").write_text("my notes")
    (course / "glossary.yml").write_text("second edition")
    lab.copy(course, work)
    assert (work / "glossary.yml").read_text() == "my notes"
    assert (work / "glossary.new.yml").read_text() == "second edition"


def test_a_second_copy_leaves_an_edited_lesson_alone(folders):
    course, work = folders
    lab.copy(course, work)
    (work / "01_put_get.ipynb").write_text("my answer")
    assert lab.copy(course, work) == []
    assert (work / "01_put_get.ipynb").read_text() == "my answer"


def test_an_updated_lesson_lands_beside_an_edited_copy_and_says_so_once(folders):
    course, work = folders
    lab.copy(course, work)
    (work / "01_put_get.ipynb").write_text("my answer")
    (course / "01_put_get.ipynb").write_text("one, second edition")
    (told,) = lab.copy(course, work)
    assert "01_put_get.new.ipynb" in told
    assert (work / "01_put_get.ipynb").read_text() == "my answer"
    assert (work / "01_put_get.new.ipynb").read_text() == "one, second edition"
    assert lab.copy(course, work) == []


def test_an_updated_lesson_replaces_an_untouched_copy(folders):
    course, work = folders
    lab.copy(course, work)
    (course / "01_put_get.ipynb").write_text("one, second edition")
    (told,) = lab.copy(course, work)
    assert "updated" in told
    assert (work / "01_put_get.ipynb").read_text() == "one, second edition"


def test_a_lesson_that_the_learner_deleted_comes_back(folders):
    course, work = folders
    lab.copy(course, work)
    (work / "01_put_get.ipynb").unlink()
    lab.copy(course, work)
    assert (work / "01_put_get.ipynb").read_text() == "one"


def notebook(said: str, **metadata: str) -> str:
    cell = {"cell_type": "markdown", "source": said, "metadata": {}}
    return json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_a_lesson_that_was_only_opened_counts_as_unchanged(folders):
    course, work = folders
    (course / "01_put_get.ipynb").write_text(notebook("old"))
    lab.copy(course, work)
    (work / "01_put_get.ipynb").write_text(notebook("old", kernel="Python 3.11.7"))
    (course / "01_put_get.ipynb").write_text(notebook("new"))
    told = lab.copy(course, work)
    assert told == ["work/01_put_get.ipynb: updated (you had not changed it)"]
    assert json.loads((work / "01_put_get.ipynb").read_text()) == json.loads(notebook("new"))


def test_fresh_keeps_the_old_copy_aside_each_time(folders):
    course, work = folders
    lab.copy(course, work)
    for answer in ("first try", "second try"):
        (work / "01_put_get.ipynb").write_text(answer)
        lab.fresh("01", course, work)
        assert (work / "01_put_get.ipynb").read_text() == "one"
    kept = sorted(p.read_text() for p in work.glob("01_put_get.old-*.ipynb"))
    assert kept == ["first try", "second try"]


def test_fresh_names_the_lessons_that_there_are(folders):
    for unknown in ("99", "", "start"):
        with pytest.raises(SystemExit, match="00, 01"):
            lab.fresh(unknown, *folders)


def test_fresh_takes_a_lesson_number_without_its_zero(folders):
    course, work = folders
    lab.copy(course, work)
    assert lab.fresh("1", course, work).startswith("work/01_put_get.ipynb is new")


def test_root_gets_allow_root_with_a_warning_and_nobody_else(monkeypatch, capsys):
    monkeypatch.setattr(lab.os, "geteuid", lambda: 1000)
    assert "--allow-root" not in lab.arguments([])
    monkeypatch.setattr(lab.os, "geteuid", lambda: 0)
    assert "--allow-root" in lab.arguments([])
    assert "root" in capsys.readouterr().out


def test_no_shipped_setting_turns_the_token_off_or_allows_root():
    for path in (ROOT / "jupyter").rglob("*.json"):
        text = path.read_text().lower()
        assert "token" not in text
        assert "allow_root" not in text


def test_a_copy_has_no_outputs_and_running_it_is_no_edit(folders):
    course, work = folders
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), course / "00_start_here.ipynb")
    lab.copy(course, work)
    mine = nbformat.read(work / "00_start_here.ipynb", as_version=4)
    assert (mine.cells[0].outputs, mine.cells[0].execution_count) == ([], None)
    shutil.copyfile(course / "00_start_here.ipynb", work / "00_start_here.ipynb")  # as if run
    cell.source = "2 + 2"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), course / "00_start_here.ipynb")
    (told,) = lab.copy(course, work)
    assert "updated" in told


def test_extra_arguments_are_passed_on_last():
    assert lab.arguments(["--port=9999"])[-1] == "--port=9999"
