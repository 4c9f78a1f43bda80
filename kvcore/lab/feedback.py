"""What a check says: a verdict of four words, six lines at most, and the next hint.

"False is not true" teaches nobody. A rejection here always says what was observed, what was
required, with which seed it happens again, how to see the trace, and one hint. The words
are PASS, NOT YET, NOT ATTEMPTED and UNKNOWN: a check that could not decide says so and
never passes. Each word has its own symbol, so that nothing is said by colour.

A check function returns a `Verdict` by one of four builders:

    passed("every key, on 8 logs")
    not_yet("get('a') gave 3", "7, the stream's sequence", seed=4, hint="M1", trace=lines)
    not_attempted("S4, S5")            # rarely needed: stubs are found before the check runs
    unknown("the world never became ready")

Left out: where a verdict is kept (progress.py) and what a hint says (exercise.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

LINES_COUNT = 6
FACT_CHARACTERS = 160


class Word(Enum):
    """The four verdicts, each with its symbol."""

    PASS = ("PASS", "✓")
    NOT_YET = ("NOT YET", "✗")
    NOT_ATTEMPTED = ("NOT ATTEMPTED", "○")
    UNKNOWN = ("UNKNOWN", "?")

    @property
    def text(self) -> str:
        """The word as printed."""
        return self.value[0]

    @property
    def symbol(self) -> str:
        """The sign in front of the word."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check function decides. `hint` is a key of the exercise's `wrong`, or empty."""

    word: Word
    observed: str = ""
    required: str = ""
    seed: int | None = None
    hint: str = ""
    trace: tuple[str, ...] = ()


def passed(observed: str = "") -> Verdict:
    """All that was required was seen; `observed` says what was tried."""
    return Verdict(Word.PASS, observed)


def not_yet(
    observed: str,
    required: str,
    *,
    seed: int | None = None,
    hint: str = "",
    trace: tuple[str, ...] | list[str] = (),
) -> Verdict:
    """A rejection. `trace` is the failing case step by step, one line of text each."""
    return Verdict(Word.NOT_YET, observed, required, seed, hint, tuple(trace))


def not_attempted(still_open: str = "") -> Verdict:
    """Nothing to judge yet; `still_open` names the placeholders that are left."""
    return Verdict(Word.NOT_ATTEMPTED, required=still_open)


def unknown(why: str, *, seed: int | None = None, trace: tuple[str, ...] = ()) -> Verdict:
    """The check could not decide. Never a pass."""
    return Verdict(Word.UNKNOWN, why, seed=seed, trace=trace)


class NotPassed(Exception):  # noqa: N818 - it names the state, as learners read it
    """Under `KVCOURSE_STRICT=1` every verdict but PASS is raised as this."""


class Result:
    """What `check` returns: true after a pass. `hint_id` is "" after a pass."""

    def __init__(self, exercise_id: str, verdict: Verdict, hint_id: str, hint_text: str) -> None:
        self.id = exercise_id
        self.verdict = verdict
        self.hint_id = hint_id
        self.hint_text = hint_text

    def __bool__(self) -> bool:
        return self.verdict.word is Word.PASS

    @property
    def word(self) -> str:
        """PASS, NOT YET, NOT ATTEMPTED or UNKNOWN."""
        return self.verdict.word.text

    @property
    def text(self) -> str:
        """What is printed: at most six lines."""
        return "\n".join(lines_of(self))

    def __repr__(self) -> str:
        return f"<{self.id}: {self.word}{' ' + self.hint_id if self.hint_id else ''}>"

    def _ipython_display_(self) -> None:
        """Nothing: `check` has already printed, and a cell's last value must not repeat it."""


def lines_of(result: Result) -> list[str]:
    """The verdict as text: word, observed, required, seed, trace, hint."""
    verdict = result.verdict
    lines = [f"{verdict.word.symbol} {verdict.word.text}  {result.id}"]
    if verdict.word is Word.PASS:
        return [*lines, f"  tried     {clip(verdict.observed)}"] if verdict.observed else lines
    label = "open" if verdict.word is Word.NOT_ATTEMPTED else "required"
    lines += [f"  observed  {clip(verdict.observed)}"] if verdict.observed else []
    lines += [f"  {label:<10}{clip(verdict.required)}"] if verdict.required else []
    lines += [_seed_line(result)] if verdict.seed is not None else []
    lines += [f'  trace     show_trace("{result.id}")'] if verdict.trace else []
    lines += [f"  hint      {result.hint_text}  [{result.hint_id}]"] if result.hint_text else []
    assert len(lines) <= LINES_COUNT
    return lines


def _seed_line(result: Result) -> str:
    seed = result.verdict.seed
    return f'  seed      {seed}: check("{result.id}", …, seed={seed}) runs this case alone'


def clip(text: str, width: int = FACT_CHARACTERS) -> str:
    """One line of `text`, shortened in the middle where it is too long."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    half = (width - 3) // 2
    return f"{line[:half]} … {line[-half:]}"


def shown(value: object, width: int = 60) -> str:
    """`repr` for a verdict's sentence: one line, bounded."""
    return clip(repr(value), width)


Say = Callable[[str], None]


def say(text: str) -> None:
    """The lab's one door to standard output: notebooks read what is printed."""
    print(text)
