"""Exercises: how a lesson declares one, and what a learner calls.

The check of an exercise is code of this package, not of the notebook: the cell is one call,
nothing gives the answer away, and a copied cell still works. It judges behaviour, in worlds
of its own, and says one useful thing when it rejects. In `kvcore/lab/lessons/l02.py`:

    @exercise(
        "02a", names=("kv_get", "kv_keys"), seeds=8,
        hints=("Level 1 nudges.", "Level 2 names the idea.", "Level 3 is nearly code."),
        wrong={"M1": "A revision counts …", "tombstone": "A delete is …"},
        compare="One walks back and stops; one folds all.",
    )
    def check_02a(learner, seeds):
        kv_get, kv_keys = learner           # with one name: learner is the function itself
        for seed in seeds:
            log = make_log(Random(seed))
            if (got := kv_get(log, "a")) != (want := ...):
                return not_yet(f"… {shown(got)}", f"… {want}", seed=seed, hint="M1", trace=…)
        return passed("…")

Keys of `wrong` become hint ids ("02a.M1"); "error", "loop" and "wait" (an exception, code
without end, an await without end) have general texts that `wrong` may replace; without a
key the hint is level 1 ("02a.1").
Classifications and configurations: `quiz.py`. Async answers: `trial.py`. References in
`course/solutions/02.py`, wrong ones in `tests/mutants/02.py`: `grading.py`.

Left out: marks, deadlines, and anything that reads the learner's source for more than `...`.
"""

import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kvcore.lab import journal, sandbox, solutions, stubs
from kvcore.lab.feedback import (
    NotPassed,
    Result,
    Verdict,
    Word,
    not_attempted,
    not_yet,
    say,
    unknown,
)

Kind: TypeAlias = Literal["code", "prediction", "classification", "config"]
Check: TypeAlias = Callable[..., Verdict]

LEVELS_COUNT = 3
HINT_CHARACTERS = 320
GENERAL = {
    "error": "Read the line above from right to left: which value in it is not what it expects?",
    "wait": "It waits for something that never comes. What would have to happen, and who does it?",
    "loop": "Something never ends. What must change on each turn of the loop, and does it?",
}


@dataclass(frozen=True, slots=True)
class Exercise:
    """A declared exercise. `learner` reaches `check` alone for one name, as a tuple for more."""

    id: str
    kind: Kind
    names: tuple[str, ...]
    hints: tuple[str, str, str]
    check: Check
    wrong: Mapping[str, str] = field(default_factory=dict)
    misconceptions: tuple[str, ...] = ()
    seeds: int = 8
    compare: str = ""
    tempting: tuple[tuple[object, str], ...] = ()  # wrong answers that come to mind, hint keys

    def learner(self, answers: tuple[object, ...]) -> object:
        """What the check function is given."""
        return answers[0] if len(self.names) == 1 else answers

    def hint(self, key: str) -> tuple[str, str]:
        """The id and the text of the hint that answers a verdict's key."""
        if not key:
            return f"{self.id}.1", self.hints[0]
        text = self.wrong.get(key) or GENERAL.get(key)
        assert text, f"exercise {self.id} has no hint {key!r}"
        return f"{self.id}.{key}", text


_declared: dict[str, Exercise] = {}
_last: dict[str, Result] = {}
_judged: dict[str, tuple[tuple[object, ...], Result]] = {}


def declare(each: Exercise) -> Exercise:
    """Registers an exercise; a lesson that is imported twice replaces its own."""
    assert re.fullmatch(r"\d\d[a-z]", each.id), each.id
    assert len(each.hints) == LEVELS_COUNT
    assert each.names
    for text in (*each.hints, *each.wrong.values()):
        assert "\n" not in text, f"{each.id}: a hint is one line"
        assert 0 < len(text) <= HINT_CHARACTERS, f"{each.id}: {text}"
    _declared[each.id] = each
    return each


def exercise(
    exercise_id: str,
    *,
    names: tuple[str, ...],
    hints: tuple[str, str, str],
    kind: Kind = "code",
    wrong: Mapping[str, str] | None = None,
    misconceptions: tuple[str, ...] | None = None,
    seeds: int = 8,
    compare: str = "",
) -> Callable[[Check], Check]:
    """Declares the decorated check function. `M…` keys of `wrong` are its misconceptions."""
    texts = wrong or {}
    known = tuple(key for key in texts if re.fullmatch(r"M\d+", key))

    def decorate(function: Check) -> Check:
        bank = known if misconceptions is None else misconceptions
        declare(Exercise(exercise_id, kind, names, hints, function, texts, bank, seeds, compare))
        return function

    return decorate


def get(exercise_id: str) -> Exercise:
    """The exercise, its lesson imported if need be; LookupError names what exists."""
    if exercise_id not in _declared and re.fullmatch(r"\d\d[a-z]", exercise_id):
        name = f"kvcore.lab.lessons.l{exercise_id[:2]}"
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    if exercise_id not in _declared:
        known = ", ".join(sorted(_declared)) or "none so far"
        raise LookupError(f"there is no exercise {exercise_id!r} (known here: {known})")
    return _declared[exercise_id]


def declared() -> list[Exercise]:
    """All exercises whose lessons have been imported, by id."""
    return [_declared[key] for key in sorted(_declared)]


def judge(
    exercise_id: str,
    answers: tuple[object, ...],
    seeds: Iterable[int] | None = None,
    *,
    patience: float = 1.0,
) -> Result:
    """The verdict on `answers`, silently: nothing is printed, counted or raised."""
    task = get(exercise_id)
    if len(answers) != len(task.names):
        call = f'check("{task.id}", {", ".join(task.names)})'
        raise TypeError(f"exercise {task.id} is checked with {call}")
    still_open = stubs.open_parts(dict(zip(task.names, answers, strict=True)))
    if still_open:
        return _result(task, not_attempted("; ".join(still_open)))
    for name, given in zip(task.names, answers, strict=True):
        if given is None:
            return _result(task, not_yet(f"{name} is None", "an answer", hint="error"))
    cases = _Cases(list(seeds if seeds is not None else range(1, task.seeds + 1)))
    learner = task.learner(answers)
    outcome = sandbox.run(lambda: task.check(learner, cases), answers, patience=patience)
    return _result(task, _verdict(outcome, cases.at))


class _Cases:
    """The seeds of a check, and which of them it is at: an exception tells that one."""

    def __init__(self, seeds: list[int]) -> None:
        self._seeds = seeds
        self.at: int | None = None

    def __iter__(self) -> Iterator[int]:
        for seed in self._seeds:
            self.at = seed
            yield seed
        self.at = None


def _verdict(outcome: sandbox.Value[Verdict] | sandbox.Failure, seed: int | None) -> Verdict:
    if isinstance(outcome, sandbox.Value):
        return outcome.value
    if outcome.kind == "ours":
        return unknown(f"the check itself failed: {outcome}")
    wanted = {"error": "an answer", "loop": "an end", "wait": "an answer in the end"}[outcome.kind]
    return not_yet(str(outcome), wanted, seed=seed, hint=outcome.kind, trace=outcome.trace)


def _result(task: Exercise, verdict: Verdict) -> Result:
    if verdict.word is Word.PASS:
        return Result(task.id, verdict, "", "")
    return Result(task.id, verdict, *task.hint(verdict.hint))


def check(exercise_id: str, *answers: object, seed: int | None = None) -> Result:
    """Judges the answers, prints at most six lines, returns a result that is true after a pass.

    `seed` runs one case alone. Under `KVCOURSE_STRICT=1` anything but a pass raises NotPassed.
    """
    result = judge(exercise_id, answers, None if seed is None else [seed])
    _last[exercise_id] = result
    if seed is None:
        _judged[exercise_id] = (answers, result)
        if result.verdict.word is not Word.NOT_ATTEMPTED:
            journal.attempted(exercise_id, passed=bool(result))
    if result.hint_text:
        journal.hinted(exercise_id, 1)
    say(result.text)
    if not result and os.environ.get("KVCOURSE_STRICT") == "1":
        raise NotPassed(result.text)
    return result


def hint(exercise_id: str) -> None:
    """The next hint, under those before it: level 2 at the first call, level 3 at the second."""
    task = get(exercise_id)
    level = min(max(journal.record(exercise_id).hint, 1) + 1, LEVELS_COUNT)
    journal.hinted(exercise_id, level)
    for number, text in enumerate(task.hints[:level], start=1):
        say(f"  hint {number} of {LEVELS_COUNT}  {text}")


def show_trace(exercise_id: str) -> None:
    """The case on which the last `check` of this exercise failed, step by step."""
    result = _last.get(exercise_id)
    if result is None:
        say(f'no trace: run check("{exercise_id}", …) first')
    else:
        say("\n".join(result.verdict.trace) or "no trace: this verdict came without steps")


def reveal(exercise_id: str) -> None:
    """The reference solutions, after a pass or three tries, and how they compare."""
    task = get(exercise_id)
    known = journal.record(exercise_id)
    left = journal.TRIES_COUNT - known.attempts
    if not known.passed and left > 0:
        tries = "one more try" if left == 1 else f"{left} more tries"
        say(f"{task.id}: after a pass or {tries}. hint({task.id!r}) helps.")
        return
    for answer in solutions.references(task.id):
        say(f"── {task.id}: {answer.title} ──")
        say(answer.source(task.names).rstrip())
    say(f"── compare approaches: {task.compare or 'what does each do when the data grow?'} ──")


def use(exercise_id: str, *answers: object) -> object:
    """The learner's answer if it passes, else the reference; one line says which.

    Later cells call this, so that everything works without solving the exercise.
    """
    task = get(exercise_id)
    judged, result = _judged.get(exercise_id, ((), None))
    same = len(judged) == len(answers) and all(a is b for a, b in zip(judged, answers, strict=True))
    if result is None or not same:
        result = judge(exercise_id, answers)
        _judged[exercise_id] = (answers, result)
    names = ", ".join(task.names)
    if result:
        say(f"{names}: yours (it passes {task.id})")
        return task.learner(answers)
    say(f"{names}: the reference ({task.id}: {result.word.lower()})")
    return task.learner(solutions.references(task.id)[0].ordered(task.names))
