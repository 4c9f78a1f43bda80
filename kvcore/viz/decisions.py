"""A decision flow: the questions that something is asked, in order, and what each "yes" leads to.

Of several refusals only the first is told, so their order is half of the rule. Each question
is a box on the left, its outcome on the right. A "yes" that refuses ends the way; its outcome
has a dashed edge and the sign ×. Any other outcome takes effect, and the way goes on down to
the last box. `yes` follows one case: the places, from 1, of the questions that were answered
so. What it met is bold and thick, and the table says it in words.

    show(decision_flow([Decision("Larger than max_bytes?", "error 10077", refuses=True)],
                       end="acked", title="May this write come in?", yes=[]))

Left out: branches that meet again, and a "no" that leads anywhere but down.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import Canvas, wrap

_LEFT, _TOP = 16, 44
_WIDE, _OUT, _RIGHT = 372, 434, 270  # a question's width, where outcomes begin, their width
_LINE, _PAD, _GAP = 16, 9, 22
_CHARACTER = 7.3


@dataclass(frozen=True, slots=True)
class Decision:
    """A question, and what becomes of whoever is answered "yes"."""

    asks: str
    outcome: str
    refuses: bool = False


def decision_flow(
    questions: Sequence[Decision],
    *,
    end: str,
    title: str,
    yes: Collection[int] | None = None,
    alt: str = "",
) -> Picture:
    """Draws the flow; without `yes` it follows no case."""
    told = _Case.of(questions, yes)
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    y: float = _TOP
    for place, each in enumerate(questions, start=1):
        y = _row(canvas, y, place, each, told)
    last = len(questions) + 1
    height = _box(canvas, _LEFT, y, _WIDE, [end], is_met=told.meets(last), refuses=False)
    said = alt or f"{title} {_told(questions, end, told)}"
    rows: list[tuple[str, ...]] = [
        (str(at), each.asks, ("× " if each.refuses else "") + each.outcome, told.answer(at))
        for at, each in enumerate(questions, start=1)
    ]
    rows.append(("", "the end of the way", end, "reached" if told.meets(last) else ""))
    columns: tuple[str, ...] = ("order", "question", "if yes", "this case")
    if yes is None:
        columns, rows = columns[:3], [row[:3] for row in rows]
    table = Table(columns, tuple(rows))
    return Picture(canvas.render(y + height + 12, title, said), said, table)


@dataclass(frozen=True, slots=True)
class _Case:
    """Which questions a case is answered yes, and at which one it ends (0: there is no case)."""

    yes: tuple[int, ...]
    stop: int

    @staticmethod
    def of(questions: Sequence[Decision], yes: Collection[int] | None) -> "_Case":
        if yes is None:
            return _Case((), 0)
        refusing = [at for at in sorted(yes) if questions[at - 1].refuses]
        return _Case(tuple(sorted(yes)), refusing[0] if refusing else len(questions) + 1)

    def meets(self, place: int) -> bool:
        return place <= self.stop

    def says_yes(self, place: int) -> bool:
        return self.meets(place) and place in self.yes

    def answer(self, place: int) -> str:
        if not self.meets(place):
            return ""
        return "yes" if place in self.yes else "no"


def _row(canvas: Canvas, y: float, place: int, each: Decision, case: _Case) -> float:
    """One question with its outcome; returns where the next begins."""
    asks = wrap(f"{place}  {each.asks}", _WIDE - 24, _CHARACTER)
    outcome = wrap(("× " if each.refuses else "") + each.outcome, _RIGHT - 24, _CHARACTER)
    tall = max(len(asks), len(outcome)) * _LINE + 2 * _PAD
    style = "bold" if case.meets(place) else ""
    canvas.rect(_LEFT, y, _WIDE, tall, "line-edge", stroke_width="1.2")
    for at, line in enumerate(asks):
        canvas.text(_LEFT + 12 + (20 if at else 0), y + _PAD + 12 + at * _LINE, line, style)
    fires = case.says_yes(place)
    _box(canvas, _OUT, y, _RIGHT, outcome, is_met=fires, refuses=each.refuses, tall=tall)
    middle = y + tall / 2
    start = _LEFT + _WIDE
    _arrow(canvas, (start, middle), (_OUT, middle), is_met=fires)
    canvas.text((start + _OUT) / 2, middle - 6, "yes", "small", text_anchor="middle")
    below = y + tall + _GAP
    goes_on = case.meets(place + 1)
    _arrow(canvas, (_LEFT + 40, y + tall), (_LEFT + 40, below), is_met=goes_on)
    canvas.text(_LEFT + 52, y + tall + 15, "no" if each.refuses else "then", "small")
    return below


def _box(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    lines: Sequence[str],
    *,
    is_met: bool,
    refuses: bool,
    tall: float = 0,
) -> float:
    tall = tall or len(lines) * _LINE + 2 * _PAD
    canvas.rect(x, y, width, tall, "boxed")
    edge = "lost-edge dashed" if refuses else "client-edge"
    canvas.rect(x, y, width, tall, edge, stroke_width="3" if is_met else "1.2")
    for at, line in enumerate(lines):
        canvas.text(x + 12, y + _PAD + 12 + at * _LINE, line, "bold" if is_met else "")
    return tall


def _arrow(
    canvas: Canvas, start: tuple[float, float], tip: tuple[float, float], *, is_met: bool
) -> None:
    style, width = ("ink-edge", "2.4") if is_met else ("line-edge", "1.2")
    (x1, y1), (x2, y2) = start, tip
    canvas.line(x1, y1, x2, y2, style, stroke_width=width)
    wings = [(x2 - 6, y2 - 4), tip, (x2 - 6, y2 + 4)]
    if x1 == x2:
        wings = [(x2 - 4, y2 - 6), tip, (x2 + 4, y2 - 6)]
    points = " L".join(f"{x:g} {y:g}" for x, y in wings)
    canvas.path(f"M{points}", style, stroke_width=width)


def _told(questions: Sequence[Decision], end: str, case: _Case) -> str:
    if not case.stop:
        return f"{len(questions)} questions in order; the first refusal ends the way to: {end}."
    fired = [f"{at} ({questions[at - 1].outcome})" for at in case.yes if case.says_yes(at)]
    answers = f"Answered yes: {', '.join(fired)}." if fired else "All answers are no."
    return f"{answers} The way ends at {'a refusal' if case.stop <= len(questions) else end}."
