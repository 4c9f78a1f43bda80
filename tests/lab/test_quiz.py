import pytest

from kvcore.lab import exercise
from kvcore.lab.exercise import judge
from kvcore.lab.quiz import Question, questionnaire, same

HINTS = ("Try each command.", "Look at replicas.", "S3 holds under a condition.")
CHOICES = ("true", "true-if", "false")


@pytest.fixture(autouse=True)
def quiz(monkeypatch):
    monkeypatch.setattr(exercise, "_declared", {})
    questionnaire(
        "91a",
        kind="classification",
        names=("verdicts",),
        hints=HINTS,
        questions={
            "S3": Question("true-if", wrong={"true": "M2", "false": "exists"}, choices=CHOICES),
            "S4": Question("false", wrong={"true": "M3"}, choices=CHOICES),
            "history": Question(1, hint="depth", accept=lambda each: each in {1, 2}),
        },
        wrong={"M2": "How many replicas?", "exists": "It exists.", "M3": "Count.", "depth": "1?"},
        sure="Each by a command.",
    )


RIGHT = {"S3": "true-if", "S4": "false", "history": 1}


def verdict(**change):
    return judge("91a", (RIGHT | change,))


def test_all_right_passes():
    assert verdict()
    assert verdict(S3=" True-If ", history=2)
    assert verdict().text == "✓ PASS  91a\n  tried     3 of 3. Each by a command."


@pytest.mark.parametrize(
    ("change", "hint_id"),
    [
        ({"S3": "true"}, "91a.M2"),
        ({"S3": "false"}, "91a.exists"),
        ({"S4": "true"}, "91a.M3"),
        ({"S4": "true-if"}, "91a.1"),
        ({"history": 64}, "91a.depth"),
        ({"S3": "true", "S4": "true"}, "91a.M2"),
        ({"S3": "maybe"}, "91a.1"),
    ],
)
def test_each_tempting_answer_has_its_own_hint(change, hint_id):
    result = verdict(**change)
    assert not result
    assert result.hint_id == hint_id


def test_a_rejection_never_prints_the_right_answer():
    assert "true-if" not in verdict(S3="true").text


def test_open_placeholders_are_not_attempted():
    result = verdict(S4=...)
    assert result.word == "NOT ATTEMPTED"
    assert "open      S4" in result.text


def test_open_parts_whose_names_have_commas_can_be_told_apart():
    result = judge("91a", ({"S3": ..., "S4": "true-if", "history": ...},))
    assert "open      S3; history" in result.text


def test_missing_keys_and_other_types_are_said():
    assert "no S4" in judge("91a", ({"S3": "true-if", "history": 1},)).text
    assert "verdicts is a list" in judge("91a", (["true"],)).text


def test_the_tempting_answers_are_there_for_the_grader():
    task = exercise.get("91a")
    assert [hint for _, hint in task.tempting] == ["M2", "exists", "M3"]
    assert task.misconceptions == ("M2", "M3")


def test_a_hint_that_was_not_written_is_a_fault_of_the_lesson():
    with pytest.raises(AssertionError, match="no hint 'M9'"):
        questionnaire(
            "91b",
            kind="config",
            names=("config",),
            hints=HINTS,
            questions={"a": Question(1, wrong={2: "M9"})},
        )


def test_values_are_compared_by_kind_too():
    assert same(1, 1)
    assert not same(*(1, True))
    assert not same(*(0, False))
    assert same("A ", "a")
    assert not same("1", 1)
