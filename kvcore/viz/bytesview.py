"""Bytes as they are: the number, and the character where there is one.

"hello world" is eleven bytes, or twelve with the line end that a shell adds; text on a screen
hides the difference. Each byte is a cell: its hexadecimal number, and under it the character;
what has no shape of its own is named (LF, CR, TAB, NUL) and marked, and a byte of a longer
UTF-8 character is a dot.

Left out: other encodings. Text in NATS is UTF-8, and values are bytes.
"""

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import Canvas, fit

_LEFT, _TOP = 16, 38
_CELL_WIDTH, _CELL_HEIGHT = 40, 40
_PER_ROW = 16
_ROW_HEIGHT = _CELL_HEIGHT + 10
BYTES_COUNT = 64  # more are cut in the picture, and the count says so
NAMES = {0: "NUL", 9: "TAB", 10: "LF", 13: "CR", 27: "ESC", 32: "SP", 127: "DEL"}


def bytes_view(data: bytes, *, title: str = "bytes", alt: str = "") -> Picture:
    """Draws up to 64 bytes, 16 in a row."""
    shown = data[:BYTES_COUNT]
    columns = min(_PER_ROW, max(8, len(shown)))
    canvas = Canvas(2 * _LEFT + columns * _CELL_WIDTH)
    count = f"{len(data)} byte{'' if len(data) == 1 else 's'}"
    canvas.text(_LEFT, 24, fit(f"{title}: {count}", canvas.width - _LEFT, 8.6), "big")
    for at, byte in enumerate(shown):
        row, column = divmod(at, _PER_ROW)
        draw_cell(canvas, _LEFT + column * _CELL_WIDTH, _TOP + row * _ROW_HEIGHT, byte)
    rows = max(1, -(-len(shown) // _PER_ROW))
    height = _TOP + rows * _ROW_HEIGHT + 4
    if len(data) > len(shown):
        left = len(data) - len(shown)
        canvas.text(_LEFT, height + 10, f"… {left} more", "small")
        height += 18
    if not data:
        canvas.text(_LEFT, _TOP + 24, "empty: no byte at all")
    said = alt or _sentence(title, count, data)
    return Picture(canvas.render(height, title, said), said, _table(shown))


def draw_cell(c: Canvas, x: float, y: float, byte: int) -> None:
    """One byte: number above, character or name below."""
    special = byte in NAMES and byte != 32
    c.rect(x, y, _CELL_WIDTH, _CELL_HEIGHT, "boxed")
    edge = "candidate-edge" if special else "line-edge"
    c.rect(x, y, _CELL_WIDTH, _CELL_HEIGHT, edge, stroke_width="2" if special else "1")
    middle = x + _CELL_WIDTH / 2
    c.text(middle, y + 16, f"{byte:02x}", "mono small follower", text_anchor="middle")
    style = "mono bold candidate" if special else "mono bold"
    c.text(middle, y + 33, character(byte), style, text_anchor="middle")


def character(byte: int) -> str:
    """The character of a byte, its name, or a dot."""
    if byte in NAMES:
        return NAMES[byte]
    return chr(byte) if 32 < byte < 127 else "·"


def _sentence(title: str, count: str, data: bytes) -> str:
    named = [NAMES[byte] for byte in dict.fromkeys(data) if byte in NAMES and byte != 32]
    ending = f", {', '.join(named)} among them" if named else ""
    end = f"; the last byte is {character(data[-1])}" if data else ""
    return f"{title}: {count}{ending}{end}."


def _table(data: bytes) -> Table:
    """Sixteen bytes a row, as a dump shows them."""
    rows = []
    for start in range(0, len(data), _PER_ROW):
        part = data[start : start + _PER_ROW]
        text = " ".join(character(byte) for byte in part)
        rows.append((str(start), part.hex(" "), text))
    return Table(("offset", "bytes", "characters"), tuple(rows))
