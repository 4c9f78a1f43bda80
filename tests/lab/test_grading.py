import json

import pytest

from kvcore.lab import exercise, grading, solutions
from tests.support import exercises
from tests.support.exercises import HINTS

REFERENCES = '''
"""References of a lesson that does not exist."""

from operator import add


def ex_90a__add(number):
    """By adding."""
    return add(number, number)


def ex_90a__multiply(number):
    doubled = 2 * number
    return doubled


def ex_90b__shift__there(number):
    return number + 1


def ex_90b__shift__back(number):
    return number - 1


def ex_90b__flip__there(number):
    return -number


def ex_90b__flip__back(number):
    return -number
'''

MUTANTS = '''
"""Wrong answers of a lesson that does not exist."""

HINTS = {
    "ex_90a__square": "90a.M1",
    "ex_90a__nothing": "90a.none",
    "ex_90a__negative": "90a.1",
    "ex_90b__no_way_back": "90b.M5",
}


def ex_90a__square(number):
    return number**2


def ex_90a__nothing(number):
    return None


def ex_90a__negative(number):
    return -number


def ex_90b__no_way_back__back(number):
    return number
'''


def cell(text, *tags, kind="code"):
    return {
        "cell_type": kind,
        "metadata": {"tags": list(tags)},
        "source": text.splitlines(keepends=True),
    }


STUBS = [
    cell("# Lesson 90\n\nSome prose.", kind="markdown"),
    cell("%matplotlib inline"),
    cell("from kvcore.lab import check\nkv = await something()"),
    cell(
        'FACTOR = 2\n\n\ndef double(number: Number) -> int:\n    """Twice."""\n    ...', "exercise"
    ),
    cell('check("90a", double)'),
    cell('def there(number):\n    """There."""\n    ...', "exercise"),
    cell('def back(number):\n    """Back."""\n    ...', "exercise"),
    cell('check("90b", there, back)'),
]


@pytest.fixture(autouse=True)
def course(tmp_path, monkeypatch):
    monkeypatch.setenv("KVCOURSE_SOLUTIONS", str(tmp_path))
    monkeypatch.setattr(exercise, "_declared", {})
    (tmp_path / "90.py").write_text(REFERENCES)
    (tmp_path / "mutants").mkdir()
    (tmp_path / "mutants" / "90.py").write_text(MUTANTS)
    exercises.declare_double()
    exercises.declare_pair()
    return tmp_path


@pytest.fixture
def notebook(course):
    file = course / "90_doubles.ipynb"
    file.write_text(json.dumps({"cells": STUBS, "nbformat": 4, "nbformat_minor": 5}))
    return file


def test_the_stubs_of_a_published_notebook_are_not_attempted(notebook):
    grades = grading.grade_stubs(notebook)
    assert [each.id for each in grades] == ["90a", "90b"]
    assert all(each.ok for each in grades)


def test_references_pass_on_fifty_seeds():
    grades = grading.grade_references("90")
    assert [each.approach for each in grades] == ["add", "multiply", "shift", "flip"]
    assert all(each.ok for each in grades)


def test_mutants_are_rejected_with_the_hint_that_is_meant_for_them(course):
    grades = grading.grade_mutants("90", course / "mutants")
    assert [each.got for each in grades] == ["90a.M1", "90a.none", "90a.1", "90b.M5"]
    assert all(each.ok for each in grades)


def test_a_mutant_with_another_hint_is_not_ok_and_says_both(course):
    file = course / "mutants" / "90.py"
    file.write_text(MUTANTS.replace('square": "90a.M1"', 'square": "90a.none"'))
    grade = grading.grade_mutants("90", course / "mutants")[0]
    assert not grade.ok
    assert "wanted 90a.none, got 90a.M1" in str(grade)


def test_a_check_that_passes_everything_is_caught(course):
    @exercise.exercise("90a", names=("double",), hints=HINTS, wrong=exercises.WRONG)
    def lenient(double, seeds):
        return exercises.passed()

    grades = grading.grade_mutants("90", course / "mutants")
    assert [each.got for each in grades][:3] == ["PASS"] * 3
    assert not any(each.ok for each in grades[:3])


def test_gaps_name_what_a_lesson_lacks(course):
    assert grading.gaps("90", course / "mutants") == ["90b has 1 wrong answers of 3"]
    (course / "mutants" / "90.py").unlink()
    found = grading.gaps("90", course / "mutants")
    assert "90a: no wrong answer meets the hint 'M1'" in found
    assert "90a has 0 wrong answers of 3" in found


@pytest.mark.parametrize("approach", [0, 1])
def test_a_solved_copy_has_the_references_in_its_stub_cells_and_the_rest_as_it_was(
    notebook, course, approach
):
    target = course / "solved.ipynb"
    before = notebook.read_text()
    assert grading.solve(notebook, target, approach) == ["90a", "90b"]
    cells = ["".join(each["source"]) for each in json.loads(target.read_text())["cells"]]
    assert notebook.read_text() == before
    assert cells[:3] == ["".join(each["source"]) for each in STUBS[:3]]
    space = {}
    for text in cells[3:]:
        if not text.startswith("check"):
            exec(text, space)
    assert space["FACTOR"] == 2
    assert space["double"](21) == 42
    assert space["back"](space["there"](7)) == 7
    assert grading.stubs_of(target).keys() == {"90a", "90b"}
    assert not any(each.ok for each in grading.grade_stubs(target))


def test_a_solution_in_a_published_notebook_is_found_whatever_its_spacing(notebook):
    assert grading.leaks(notebook, "90") == []
    leaky = [*STUBS, cell("def mine(number):\n        doubled = 2*number\n        return doubled")]
    notebook.write_text(json.dumps({"cells": leaky}))
    assert grading.leaks(notebook, "90") == ["90a multiply"]


def test_a_lesson_without_solutions_says_where_they_should_be(course):
    (course / "90.py").unlink()
    with pytest.raises(LookupError, match=r"90\.py has no ex_90a__"):
        solutions.references("90a")
