"""Three lanes: the command that was typed, the bytes that were stored, the text that was shown.

A value passes through a shell, a client and a terminal, and each may add or hide something.
Side by side they can be compared: a row is one command, its stored bytes with every line end
visible, and exactly what came out on the screen.

Left out: colours of a terminal. The text is shown as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kvcore.viz.bytesview import NAMES
from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import WIDTH, Canvas, wrap

_LEFT, _TOP = 16, 34
_LANES = (("command", 16, 256), ("bytes stored", 284, 194), ("text shown", 490, 214))
_LINE = 15
_PAD = 8
_NO_BYTES, _NO_TEXT = "(nothing stored)", "(nothing shown)"


@dataclass(frozen=True, slots=True)
class Lane:
    """One command and what came of it. `stored` is None when nothing was stored."""

    command: str
    stored: bytes | None
    shown: str


def three_lanes(rows: Sequence[Lane], *, alt: str = "") -> Picture:
    """Draws the rows under each other."""
    canvas = Canvas()
    for head, x, width in _LANES:
        canvas.text(x + _PAD, 22, head, "bold client")
        canvas.line(x, 28, x + width, 28, "client-edge", stroke_width="2")
    y = float(_TOP)
    for row in rows:
        y += _draw_row(canvas, y, row) + _PAD
    said = alt or _sentence(rows)
    return Picture(canvas.render(y + 4, "command, bytes, text", said), said, _table(rows))


def _draw_row(c: Canvas, y: float, row: Lane) -> float:
    """Draws one row and returns its height."""
    columns = [
        wrap(row.command, _LANES[0][2] - 2 * _PAD),
        _stored_lines(row.stored, _LANES[1][2] - 2 * _PAD),
        wrap(row.shown.rstrip() or _NO_TEXT, _LANES[2][2] - 2 * _PAD),
    ]
    height = max(len(lines) for lines in columns) * _LINE + 2 * _PAD
    for (_, x, width), lines in zip(_LANES, columns, strict=True):
        c.rect(x, y, width, height, "boxed")
        c.rect(x, y, width, height, "line-edge")
        for at, line in enumerate(lines):
            is_count = at == 0 and x == _LANES[1][1]
            style = "small bold" if is_count else "small mono"
            style = "small follower" if line in {_NO_BYTES, _NO_TEXT} else style
            c.text(x + _PAD, y + _PAD + 11 + at * _LINE, line, style)
    for x in (_LANES[1][1], _LANES[2][1]):
        middle = y + height / 2
        left = f"M{x - 10:g} {middle - 4:g}L{x - 3:g} {middle:g}"
        c.path(f"{left}L{x - 10:g} {middle + 4:g}Z", "client")
    return height


def _stored_lines(stored: bytes | None, width: float) -> list[str]:
    if stored is None:
        return [_NO_BYTES]
    count = f"{len(stored)} byte{'' if len(stored) == 1 else 's'}"
    return [count, *wrap(visible(stored), width), *wrap(stored[-12:].hex(" "), width)]


def visible(data: bytes) -> str:
    """The bytes as text on one line, with names in ⟨⟩ for what has no shape."""
    text = data.decode("utf-8", errors="backslashreplace")
    names = {chr(byte): f"⟨{name}⟩" for byte, name in NAMES.items() if byte != 32}
    return "".join(names.get(each, each) for each in text)


def _sentence(rows: Sequence[Lane]) -> str:
    counts = ", ".join("none" if r.stored is None else str(len(r.stored)) for r in rows)
    noun = "command" if len(rows) == 1 else "commands"
    return f"{len(rows)} {noun} and what came of each; bytes stored: {counts}."


def _table(rows: Sequence[Lane]) -> Table:
    body = tuple(
        (
            row.command,
            "" if row.stored is None else str(len(row.stored)),
            "nothing" if row.stored is None else visible(row.stored),
            row.shown,
        )
        for row in rows
    )
    return Table(("command", "bytes", "stored", "text shown"), body)


assert _LANES[-1][1] + _LANES[-1][2] <= WIDTH - _LEFT
