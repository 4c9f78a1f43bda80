"""Exercises that are answered by filling in a dict: classifications, predictions, configurations.

    questionnaire(
        "01c", kind="classification", names=("verdicts",),
        hints=("…", "…", "…"),
        questions={
            "S3": Question("true-if", wrong={"true": "M2", "false": "exists"}, choices=CHOICES),
            "max_age": Question(0, wrong={None: "unlimited"}),
        },
        wrong={"M2": "How many replicas does `kv info` show?", "exists": "…"},
        sure="Each is backed by a command you ran.",
    )

Each tempting wrong answer names its own hint; the first wrong answer, in the order of the
questions, is the one that the verdict speaks about. The right answer is never printed. An
answer compares by value, so 1 and True differ, and text is compared without case and spaces
at its ends.

Left out: free text. What can't be listed can't be judged fairly.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kvcore.lab.exercise import Exercise, Kind, declare
from kvcore.lab.feedback import Verdict, not_yet, passed, shown


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the dict: the right value, or `accept` for a rule; hints of tempting answers.

    `required` is what the verdict says is wanted; it must not give the answer away.
    """

    right: object
    wrong: Mapping[object, str] = field(default_factory=dict)
    choices: tuple[object, ...] = ()
    hint: str = ""
    required: str = ""
    accept: Callable[[object], bool] | None = None

    def is_right(self, given: object) -> bool:
        """True for the right value, or for any that the rule accepts."""
        return self.accept(given) if self.accept else same(given, self.right)

    def hint_for(self, given: object) -> str:
        """The key of the hint for a wrong answer; "" is the exercise's level 1."""
        for tempting, key in self.wrong.items():
            if same(given, tempting):
                return key
        return self.hint


def questionnaire(
    exercise_id: str,
    *,
    kind: Kind,
    names: tuple[str],
    hints: tuple[str, str, str],
    questions: Mapping[str, Question],
    wrong: Mapping[str, str] | None = None,
    sure: str = "",
    compare: str = "",
) -> Exercise:
    """Declares an exercise whose answer is a dict with these keys."""
    texts = wrong or {}
    for each in questions.values():
        for key in (*each.wrong.values(), *([each.hint] if each.hint else [])):
            assert key in texts, f"{exercise_id}: no hint {key!r}"

    def check(given: object, _seeds: Iterable[int]) -> Verdict:
        return judge(given, questions, names[0], sure)

    bank = tuple(key for key in texts if key[:1] == "M" and key[1:].isdigit())
    wrongs = tuple(_tempting(questions))
    made = Exercise(exercise_id, kind, names, hints, check, texts, bank, 1, compare, wrongs)
    return declare(made)


def _tempting(questions: Mapping[str, Question]) -> Iterator[tuple[object, str]]:
    """All right but for one tempting answer, and the hint that must answer it."""
    right = {key: each.right for key, each in questions.items()}
    for key, each in questions.items():
        for value, hint in each.wrong.items():
            yield right | {key: value}, hint


def judge(given: object, questions: Mapping[str, Question], name: str, sure: str) -> Verdict:
    """The verdict on a filled-in dict."""
    if not isinstance(given, Mapping):
        return not_yet(f"{name} is a {type(given).__name__}", "a dict with one answer a key")
    missing = [key for key in questions if key not in given]
    if missing:
        return not_yet(f"{name} has no {', '.join(missing)}", "one answer a key")
    for key, question in questions.items():
        value = given[key]
        if question.choices and not any(same(value, each) for each in question.choices):
            wanted = "one of " + ", ".join(repr(each) for each in question.choices)
            return not_yet(f"{key}: {shown(value)}", wanted)
        if not question.is_right(value):
            wanted = question.required or "what the cluster shows when you try it"
            return not_yet(f"{key}: {shown(value)}", wanted, hint=question.hint_for(value))
    right = f"{len(questions)} of {len(questions)}"
    return passed(f"{right}. {sure}" if sure else right)


def same(one: object, other: object) -> bool:
    """Equal in value and kind: 1 is not True; text may differ in case and outer spaces."""
    if isinstance(one, str) and isinstance(other, str):
        return one.strip().casefold() == other.strip().casefold()
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
