"""A decision flow: the questions that something is asked, in order, and what each "yes" leads to.

Of several checks only the first that fires is told, so their order is half of the rule. Each
question is a box on the left; "no" leads down to the next, "yes" to its outcome on the right.
An outcome that refuses has a dashed edge and the sign ×; the last box is what is left when
nothing fired. `path` follows one case through: the questions it met are numbered in bold, and
the outcome that it came to is outlined.

    show(decision_flow([Decision("Is it larger than max_bytes?", "10077", refuses=True)],
                       end="stored", title="May this write come in?"))

Left out: branches that meet again, and "no" that leads anywhere but down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import Canvas, wrap

_LEFT, _TOP = 16, 44
_WIDE, _OUT, _RIGHT = 372, 452, 252  # a question's width, where outcomes begin, their width
_LINE, _PAD, _GAP = 16, 9, 20


@dataclass(frozen=True, slots=True)
class Decision:
    """A question, and what becomes of whoever is answered "yes"."""

    asks: str
    outcome: str
    refuses: bool = False


def decision_flow(
    questions: Sequence[Decision], *, end: str, title: str, path: int | None = None, alt: str = ""
) -> Picture:
    """Draws the flow. `path` is the place, from 1, of the question that decides a case, or one
    more than there are questions for a case that reaches the end.
    """
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    y: float = _TOP
    for place, each in enumerate(questions, start=1):
        y = _question(canvas, y, place, each, path)
    is_met = path == len(questions) + 1
    height = _box(canvas, _LEFT, y, _WIDE, [end], is_met=is_met, refuses=False)
    said = alt or f"{title} {_told(questions, end, path)}"
    rows = [
        (f"{n}", q.asks, ("× " if q.refuses else "") + q.outcome, _mark(n, path))
        for n, q in enumerate(questions, start=1)
    ]
    rows.append(("", "none of these", end, _mark(len(questions) + 1, path)))
    table = Table(("order", "question", "if yes", "this case"), tuple(rows))
    return Picture(canvas.render(y + height + 12, title, said), said, table)


def _question(canvas: Canvas, y: float, place: int, each: Decision, path: int | None) -> float:
    """One row; returns where the next begins."""
    asks = wrap(f"{place}  {each.asks}", _WIDE - 24, 7.0)
    outcome = wrap(("× " if each.refuses else "") + each.outcome, _RIGHT - 24, 7.0)
    tall = max(len(asks), len(outcome)) * _LINE + 2 * _PAD
    is_met = path is not None and place <= path
    style = "bold" if is_met else ""
    canvas.rect(_LEFT, y, _WIDE, tall, "line-edge", stroke_width="1.2")
    for at, line in enumerate(asks):
        canvas.text(_LEFT + 12 + (20 if at else 0), y + _PAD + 12 + at * _LINE, line, style)
    _box(canvas, _OUT, y, _RIGHT, outcome, is_met=place == path, refuses=each.refuses, tall=tall)
    middle = y + tall / 2
    start = _LEFT + _WIDE
    _arrow(canvas, start, middle, _OUT, middle, is_met=place == path)
    canvas.text((start + _OUT) / 2, middle - 5, "yes", "small", text_anchor="middle")
    below = y + tall + _GAP
    goes_on = path is not None and place < path
    _arrow(canvas, _LEFT + 40, y + tall, _LEFT + 40, below, is_met=goes_on)
    canvas.text(_LEFT + 50, y + tall + 14, "no", "small")
    return below


def _box(
    canvas: Canvas, x: float, y: float, width: float, lines: Sequence[str], *,
    is_met: bool, refuses: bool, tall: float = 0,
) -> float:  # fmt: skip
    tall = tall or len(lines) * _LINE + 2 * _PAD
    canvas.rect(x, y, width, tall, "boxed")
    edge = "lost-edge dashed" if refuses else "client-edge"
    canvas.rect(x, y, width, tall, edge, stroke_width="3" if is_met else "1.2")
    for at, line in enumerate(lines):
        style = "bold" if is_met else ""
        canvas.text(x + 12, y + _PAD + 12 + at * _LINE, line, style)
    return tall


def _arrow(canvas: Canvas, x1: float, y1: float, x2: float, y2: float, *, is_met: bool) -> None:
    style = "ink-edge" if is_met else "line-edge"
    width = "2.4" if is_met else "1.2"
    canvas.line(x1, y1, x2, y2, style, stroke_width=width)
    back, side = ((-6, 0), (0, 4)) if y1 == y2 else ((0, -6), (4, 0))
    tips = [(x2 + back[0] + side[0], y2 + back[1] + side[1]), (x2, y2)]
    tips.append((x2 + back[0] - side[0], y2 + back[1] - side[1]))
    points = " L".join(f"{x:g} {y:g}" for x, y in tips)
    canvas.path(f"M{points}", style, stroke_width=width)


def _mark(place: int, path: int | None) -> str:
    if path is None or place > path:
        return ""
    return "decided here" if place == path else "no"


def _told(questions: Sequence[Decision], end: str, path: int | None) -> str:
    if path is None:
        return f"{len(questions)} questions in order; the first yes decides, else: {end}."
    if path > len(questions):
        return f"The answer to all {len(questions)} questions is no: {end}."
    return f"Question {path} of {len(questions)} decides: {questions[path - 1].outcome}."
