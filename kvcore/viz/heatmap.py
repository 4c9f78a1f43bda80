"""A heat map of a few cells: how often something worked, by two settings.

"How many copies" against "how many of them fail" has a staircase in it, and a table hides
the stairs. Each cell has its percentage and a word; the darker it is the more, a cell where
nothing worked is empty, dashed, and says ×, and one that can't be is blank.

    cells = {("R3", "1"): Cell(1.0, "goes on"), ("R3", "2"): Cell(0.0, "stands still")}
    show(heat_map(cells, rows="copies", columns="servers that fail", title="…"))

Left out: scales of colour. Five steps are told apart; more are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kvcore.viz.figure import Picture, Table
from kvcore.viz.measure import lines, width
from kvcore.viz.svg import WIDTH, Canvas

_LEFT, _TOP, _TALL, _GAP = 16, 76, 46, 4
_WIDEST = 158
STRONGEST = 0.3  # opacity of a full cell: dark ink on it keeps its contrast


@dataclass(frozen=True, slots=True)
class Cell:
    """The share that worked, 0 to 1, and a word or two."""

    share: float
    word: str = ""


def heat_map(
    cells: Mapping[tuple[str, str], Cell], *, rows: str, columns: str, title: str, alt: str = ""
) -> Picture:
    """Draws the cells by (row, column), both in the order of their first appearance."""
    down = list(dict.fromkeys(row for row, _ in cells))
    across = list(dict.fromkeys(column for _, column in cells))
    names = max([width(rows, "small"), *(width(row, "bold") for row in down)]) + 14
    wide = min(_WIDEST, (WIDTH - 2 * _LEFT - names) / max(1, len(across)))
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    canvas.text(_LEFT + names, 48, columns, "small")
    canvas.text(_LEFT, 66, rows, "small")
    for place, column in enumerate(across):
        middle = _LEFT + names + (place + 0.5) * wide - _GAP / 2
        canvas.text(middle, 66, column, "bold", text_anchor="middle")
    for line, row in enumerate(down):
        y = _TOP + line * (_TALL + _GAP)
        canvas.text(_LEFT, y + _TALL / 2 + 4, row, "bold")
        for place, column in enumerate(across):
            if (row, column) in cells:
                at = (_LEFT + names + place * wide, y, wide - _GAP)
                _draw(canvas, at, cells[row, column])
    height = _TOP + len(down) * (_TALL + _GAP) + 8
    said = alt or _sentence(title, cells, columns)
    return Picture(canvas.render(height, title, said), said, _table(cells, down, across, rows))


def _draw(c: Canvas, at: tuple[float, float, float], cell: Cell) -> None:
    x, y, wide = at
    share = min(1.0, max(0.0, cell.share))
    if share:
        strength = f"{STRONGEST * round(4 * share + 0.49) / 4:.2f}"
        c.rect(x, y, wide, _TALL, "client", fill_opacity=strength)
    style = "client-edge" if share == 1 else "line-edge" if share else "lost-edge dashed"
    c.rect(x, y, wide, _TALL, style, stroke_width="1.4")
    words = lines(cell.word, wide - 8, "small")[:2] if cell.word else []
    number = f"{share:.0%}".replace("%", " %") if share else "× 0 %"
    ink = "bold" if share else "bold lost"
    top = y + _TALL / 2 + 4 - 7 * len(words)
    c.text(x + wide / 2, top, number, ink, text_anchor="middle")
    for line, word in enumerate(words):
        c.text(x + wide / 2, top + 14 + 12 * line, word, "small", text_anchor="middle")


def _sentence(title: str, cells: Mapping[tuple[str, str], Cell], columns: str) -> str:
    rows: dict[str, list[str]] = {}
    for (row, column), cell in cells.items():
        rows.setdefault(row, []).append(f"{column}: {cell.share:.0%}")
    told = "; ".join(f"{row} by {columns}: {', '.join(each)}" for row, each in rows.items())
    return f"{title}. {told}."


def _table(
    cells: Mapping[tuple[str, str], Cell], down: list[str], across: list[str], rows: str
) -> Table:
    def told(row: str, column: str) -> str:
        cell = cells.get((row, column))
        if cell is None:
            return ""
        return f"{cell.share:.0%} {cell.word}".rstrip()

    return Table(
        (rows, *across), tuple((row, *(told(row, column) for column in across)) for row in down)
    )
