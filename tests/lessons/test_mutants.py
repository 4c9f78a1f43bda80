"""The graders, graded: stubs are not attempted, wrong answers meet the hint meant for them."""

from functools import cache
from pathlib import Path

import pytest

from kvcore.lab import grading

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "course").glob("[0-9][0-9]_*.ipynb"))
MUTANTS = ROOT / "tests" / "mutants"
PATIENCE = "3"  # on a busy machine a check may wait for its turn; an endless loop still ends

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda p: p.stem)


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("KVCOURSE_PROGRESS", "off")
    monkeypatch.delenv("KVCOURSE_STRICT", raising=False)
    monkeypatch.setenv("KVCOURSE_PATIENCE", PATIENCE)


@cache
def graded(lesson):
    """The mutants' grades: two tests look at them, and they need to be made only once."""
    return grading.grade_mutants(lesson.name[:2], MUTANTS)


@each_lesson
def test_nothing_is_missing_that_a_lesson_needs(lesson):
    assert grading.exercises(lesson.name[:2])
    assert grading.gaps(lesson.name[:2], MUTANTS) == []


@each_lesson
def test_an_untouched_stub_is_not_attempted(lesson):
    grades = grading.grade_stubs(lesson)
    assert {grade.id for grade in grades} == {e.id for e in grading.exercises(lesson.name[:2])}
    assert [str(grade) for grade in grades if not grade.ok] == []


@each_lesson
def test_each_wrong_answer_is_rejected_with_its_own_hint(lesson):
    grades = graded(lesson)
    assert grades
    assert [str(grade) for grade in grades if not grade.ok] == []


@each_lesson
def test_a_rejection_says_what_was_observed_and_required_in_six_lines(lesson):
    for grade in graded(lesson):
        lines = grade.result.text.splitlines()
        assert len(lines) <= 6, grade.result.text
        assert any("observed" in line for line in lines), grade.result.text
        assert any("required" in line for line in lines), grade.result.text


@each_lesson
def test_no_reference_solution_stands_in_the_published_lesson(lesson):
    assert grading.leaks(lesson, lesson.name[:2]) == []


@each_lesson
def test_the_first_hint_does_not_give_the_answer_away(lesson):
    from kvcore.lab import solutions

    for task in grading.exercises(lesson.name[:2]):
        first = task.hints[0]
        for reference in solutions.references(task.id):
            code = [line.strip() for line in reference.source(task.names).splitlines()]
            shown = [line for line in code if len(line) > 20 and line in first]
            assert shown == [], f"{task.id}: {first}"
