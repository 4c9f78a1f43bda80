"""`progress()`: one line an exercise, what was tried and what is left.

Words and signs, no marks: a row says "passed", "tried" or "open", how often it was tried and
which hint was seen. Times are kept in the file (journal.py) but not printed, so that a
notebook's output stays the same from run to run.

Left out: comparison with anyone else.
"""

from collections.abc import Iterable

from kvcore.lab import journal
from kvcore.lab.exercise import declared, get
from kvcore.lab.feedback import say


def progress(lesson: str = "") -> None:
    """Prints the table; `lesson` ("02") restricts it and lists the untouched ones too."""
    known = journal.records()
    for key in "abcdef" if lesson else "":
        try:
            get(f"{lesson}{key}")
        except LookupError:
            break
    ids = sorted({*known, *(each.id for each in declared())})
    say("\n".join(rows(known, [each for each in ids if each.startswith(lesson)])))


def rows(known: dict[str, journal.Record], ids: Iterable[str]) -> list[str]:
    """The table as lines of text."""
    lines = ["exercise  state      tries  hint"]
    passed = total = 0
    for key in ids:
        each = known.get(key, journal.Record())
        state = "✓ passed" if each.passed else "… tried" if each.attempts else "○ open"
        hint = f"{each.hint} of 3" if each.hint else "-"
        lines.append(f"{key:<9} {state:<10} {each.attempts:>5}  {hint}")
        passed += bool(each.passed)
        total += 1
    return [*lines, f"{passed} of {total} passed"]
