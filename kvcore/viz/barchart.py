"""A few numbers as bars, each with its name and its number beside it.

For "expected 400, got 55" a plot library is too much, and its bitmaps follow no theme. Each
row is a name, a bar as long as its number, and the number; the row that is the measure for
the others is drawn as an outline.

    show(bars({"expected": 400, "with put": 55}, measure="expected", title="345 are lost"))

Left out: axes, negative numbers, and more rows than can be read at a glance.
"""

from collections.abc import Mapping

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import Canvas

_LEFT, _TOP, _ROW, _BAR = 16, 40, 30, 18
_LONGEST = 470
_CHARACTER = 7.6


def bars(
    rows: Mapping[str, int], *, title: str, measure: str = "", unit: str = "", alt: str = ""
) -> Picture:
    """Draws a bar for each row; `measure` names the one that the others are held against."""
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    most = max(rows.values(), default=0) or 1
    start = _LEFT + max((len(name) for name in rows), default=0) * _CHARACTER + 10
    for at, (name, number) in enumerate(rows.items()):
        y = _TOP + at * _ROW
        width = max(2.0, _LONGEST * number / most)
        canvas.text(start - 10, y + 14, name, text_anchor="end")
        if name == measure:
            canvas.rect(start, y, width, _BAR, "line-edge dashed", stroke_width="1.6")
        else:
            canvas.rect(start, y, width, _BAR, "leader")
        canvas.text(start + width + 8, y + 14, f"{number:,}", "bold")
    numbers = ", ".join(f"{name} {number:,}" for name, number in rows.items())
    said = alt or f"{title}: {numbers}."
    table = Table(("", unit or "number"), tuple((name, f"{n:,}") for name, n in rows.items()))
    height = _TOP + len(rows) * _ROW + 8
    return Picture(canvas.render(height, title, said), said, table)
