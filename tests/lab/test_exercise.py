import pytest

from kvcore.lab import check, exercise, hint, journal, reveal, show_trace, use
from kvcore.lab.feedback import NotPassed, clip, shown
from tests.support import exercises

SOLUTIONS = '''
"""References of a lesson that does not exist."""

from operator import mul


def _twice(number):
    return mul(number, 2)


def ex_90a__add(number):
    """By adding."""
    return number + number


def ex_90a__multiply(number):
    return _twice(number)


def ex_90b__shift__there(number):
    return number + 1


def ex_90b__shift__back(number):
    return number - 1
'''


@pytest.fixture(autouse=True)
def course(tmp_path, monkeypatch):
    monkeypatch.setenv("KVCOURSE_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("KVCOURSE_SOLUTIONS", str(tmp_path))
    monkeypatch.delenv("KVCOURSE_STRICT", raising=False)
    (tmp_path / "90.py").write_text(SOLUTIONS)
    monkeypatch.setattr(exercise, "_declared", {})
    monkeypatch.setattr(exercise, "_last", {})
    monkeypatch.setattr(exercise, "_judged", {})
    exercises.declare_double()
    exercises.declare_pair()
    exercises.declare_undecided()
    exercises.declare_broken()


def double(number):
    return 2 * number


def square(number):
    return number * number


def nothing(number):
    return None


def untouched(number: int) -> int:
    """Twice the number."""
    ...  # noqa: PIE790


async def untouched_too(number: int) -> int:
    """Twice the number."""
    ...  # noqa: PIE790


def raises(number):
    values = [number]
    return values[1]


def test_a_pass_is_true_and_says_what_was_tried(capsys):
    result = check("90a", double)
    assert result
    assert result.hint_id == ""
    assert capsys.readouterr().out == "✓ PASS  90a\n  tried     doubles of 8 numbers\n"


def test_a_rejection_says_observed_required_seed_trace_and_one_hint_in_six_lines(capsys):
    result = check("90a", square)
    assert not result
    assert result.hint_id == "90a.M1"
    assert capsys.readouterr().out.splitlines() == [
        "✗ NOT YET  90a",
        "  observed  double(1) gave 1",
        "  required  2",
        '  seed      1: check("90a", …, seed=1) runs this case alone',
        '  trace     show_trace("90a")',
        "  hint      That is the square.  [90a.M1]",
    ]


@pytest.mark.parametrize("stub", [untouched, untouched_too, ...])
def test_an_untouched_stub_is_not_attempted_and_never_passes_or_raises(stub, capsys):
    result = check("90a", stub)
    assert not result
    assert result.word == "NOT ATTEMPTED"
    assert result.hint_id == "90a.1"
    assert capsys.readouterr().out.splitlines() == [
        "○ NOT ATTEMPTED  90a",
        "  open      double",
        "  hint      Level one nudges.  [90a.1]",
    ]
    assert journal.record("90a").attempts == 0


def test_a_wrong_answer_without_a_hint_of_its_own_gets_level_one():
    assert check("90a", lambda number: -number).hint_id == "90a.1"


def test_an_exception_shows_the_learners_line_not_ours(capsys):
    result = check("90a", raises)
    assert result.hint_id == "90a.error"
    out = capsys.readouterr().out
    assert "IndexError: list index out of range at line " in out
    assert "return values[1]" in out
    assert "kvcore" not in out


def test_a_function_that_takes_other_arguments_is_rejected_as_the_learners():
    result = check("90a", lambda: 1)
    assert result.word == "NOT YET"
    assert "positional argument" in result.text


def test_a_check_that_cannot_decide_says_unknown_and_does_not_pass():
    result = check("90c", double)
    assert not result
    assert result.word == "UNKNOWN"
    assert "? UNKNOWN  90c\n  observed  no server became ready" in result.text


def test_a_fault_of_the_check_itself_is_unknown_and_not_blamed_on_the_learner():
    result = check("90d", double)
    assert result.word == "UNKNOWN"
    assert "the check itself failed: KeyError: 'missing'" in result.text


def test_a_seed_runs_one_case_alone_and_counts_no_attempt():
    assert check("90a", square, seed=2)
    assert not check("90a", square, seed=3)
    assert journal.record("90a").attempts == 0


def test_an_exercise_of_two_functions_gets_both():
    assert check("90b", lambda n: n + 1, lambda n: n - 1)
    assert check("90b", lambda n: n, lambda n: n - 1).hint_id == "90b.M5"
    assert check("90b", untouched, lambda n: n).word == "NOT ATTEMPTED"


def test_the_wrong_number_of_answers_says_how_to_call():
    with pytest.raises(TypeError, match=r'check\("90b", there, back\)'):
        check("90b", double)


def test_an_unknown_exercise_names_those_that_exist():
    with pytest.raises(LookupError, match=r"no exercise '99z'.*90a, 90b"):
        check("99z", double)


@pytest.mark.parametrize("answer", [square, untouched])
def test_the_strict_switch_turns_any_non_pass_into_an_exception(answer, monkeypatch):
    monkeypatch.setenv("KVCOURSE_STRICT", "1")
    assert check("90a", double)
    with pytest.raises(NotPassed, match="90a"):
        check("90a", answer)
    with pytest.raises(NotPassed, match="UNKNOWN"):
        check("90c", double)


def test_hint_reveals_level_two_then_three(capsys):
    check("90a", square)
    capsys.readouterr()
    hint("90a")
    first = capsys.readouterr().out.splitlines()
    hint("90a")
    second = capsys.readouterr().out.splitlines()
    assert first == ["  hint 1 of 3  Level one nudges.", "  hint 2 of 3  Level two names the idea."]
    assert second == [*first, "  hint 3 of 3  Level three is nearly code."]


def test_show_trace_prints_the_failing_case(capsys):
    show_trace("90a")
    assert 'run check("90a", …) first' in capsys.readouterr().out
    check("90a", square)
    capsys.readouterr()
    show_trace("90a")
    assert capsys.readouterr().out == "step 1\nstep 2\n"


def test_reveal_waits_for_a_pass_or_three_tries(capsys):
    check("90a", untouched)
    for left in ("3 more tries", "2 more tries", "one more try"):
        reveal("90a")
        out = capsys.readouterr().out
        assert f"after a pass or {left}" in out
        assert "number + number" not in out
        check("90a", square)
    capsys.readouterr()
    reveal("90a")
    out = capsys.readouterr().out
    assert "── 90a: By adding ──\ndef double(number):" in out
    assert "── 90a: multiply ──\nfrom operator import mul\n\n\ndef _twice(number):" in out
    assert out.endswith("── compare approaches: One adds. ──\n")


def test_reveal_opens_at_once_after_a_pass(capsys):
    check("90a", double)
    capsys.readouterr()
    reveal("90a")
    assert "return number + number" in capsys.readouterr().out


def test_use_takes_the_learners_answer_if_it_passes_and_says_so(capsys):
    assert use("90a", double) is double
    assert capsys.readouterr().out == "double: yours (it passes 90a)\n"


@pytest.mark.parametrize(("answer", "word"), [(square, "not yet"), (untouched, "not attempted")])
def test_use_takes_the_reference_otherwise_and_says_why(answer, word, capsys):
    assert use("90a", answer)(21) == 42
    assert capsys.readouterr().out == f"double: the reference (90a: {word})\n"


def test_use_of_two_functions_gives_two():
    there, back = use("90b", untouched, untouched)
    assert back(there(7)) == 7


def test_use_counts_no_attempt_and_judges_a_changed_answer_again(capsys):
    assert use("90a", square) is not square
    assert use("90a", double) is double
    assert journal.record("90a").attempts == 0


def test_a_result_at_the_end_of_a_cell_displays_nothing_more():
    result = check("90a", double)
    assert result._ipython_display_() is None
    assert repr(result) == "<90a: PASS>"


def test_long_values_are_cut_to_one_line():
    assert shown(list(range(1000))).count("\n") == 0
    assert len(shown("x" * 1000)) <= 62
    assert clip("a\nb") == "a b"


def test_a_value_whose_repr_fails_is_the_learners_error():
    class Bad:
        def __repr__(self):
            raise RuntimeError("no text")

    result = check("90a", lambda number: Bad())
    assert result.hint_id == "90a.error"
    assert 'raise RuntimeError("no text")' in result.text


def test_a_hint_key_that_nobody_declared_is_a_fault_of_the_lesson():
    with pytest.raises(AssertionError, match="no hint 'M9'"):
        exercise.get("90a").hint("M9")


def test_none_in_place_of_a_function_is_rejected_as_what_it_is(capsys):
    result = check("90a", None)
    assert not result
    assert result.word == "NOT YET"
    assert "is None" in capsys.readouterr().out


def test_an_exception_names_the_seed_of_the_case_it_came_from(capsys):
    def fails_late(number):
        if number > 2:
            raise LookupError("lost")
        return 2 * number

    result = check("90a", fails_late)
    assert result.verdict.seed is not None
    again = check("90a", fails_late, seed=result.verdict.seed)
    assert "lost" in again.verdict.observed
    assert f"seed={result.verdict.seed}" in capsys.readouterr().out
