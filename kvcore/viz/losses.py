"""What a fault left of the writes that were acked: survived, lost, and where each byte was.

`stacked_bars` has a bar for each run: what was acked and is still there (solid), what was
acked and is gone (crossed out, ×), and what nobody was told about (dotted, ?). `disk_layers`
shows why: a write goes from the program's own memory to the operating system's page cache to
the disk, and each fault takes what is above a line.

    show(stacked_bars([Kept("kill -9", survived=400), Kept("power cut", 345, 55)], title="…"))
    show(disk_layers(buffered=3, cached=52, stored=345))

Left out: the disk's own cache. A disk that lies about a flush is beyond what we can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kvcore.viz.figure import Picture, Table
from kvcore.viz.measure import width
from kvcore.viz.svg import WIDTH, Canvas

_LEFT, _TOP, _ROW, _BAR = 16, 42, 46, 22
_HATCH = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """One run: writes that were acked and survived, acked and lost, and those of unknown fate."""

    name: str
    survived: int = 0
    lost: int = 0
    unknown: int = 0

    @property
    def acked(self) -> int:
        """What the client was promised."""
        return self.survived + self.lost


def stacked_bars(rows: Sequence[Kept], *, title: str, alt: str = "") -> Picture:
    """Draws a bar for each run, all on one scale."""
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    start = _LEFT + max((width(each.name, "bold") for each in rows), default=0) + 12
    most = max((each.acked + each.unknown for each in rows), default=0) or 1
    scale = (WIDTH - _LEFT - start) / most
    for at, each in enumerate(rows):
        y = _TOP + at * _ROW
        canvas.text(start - 10, y + 16, each.name, "bold", text_anchor="end")
        _stack(canvas, start, y, each, scale)
    said = alt or _sentence(title, rows)
    table = Table(
        ("run", "acked", "survived", "lost", "unknown"),
        tuple(
            (e.name, f"{e.acked:,}", f"{e.survived:,}", f"{e.lost:,}", f"{e.unknown:,}")
            for e in rows
        ),
    )
    height = _TOP + len(rows) * _ROW + 6
    return Picture(canvas.render(height, title, said), said, table)


def _stack(c: Canvas, x: float, y: float, each: Kept, scale: float) -> None:
    """The parts of a bar, and under it their numbers."""
    at = x
    if each.survived:
        c.rect(at, y, each.survived * scale, _BAR, "client")
        at += each.survived * scale
    if each.lost:
        _crossed(c, at, y, each.lost * scale)
        at += each.lost * scale
    if each.unknown:
        c.rect(at, y, each.unknown * scale, _BAR, "unknown-edge dotted", stroke_width="1.6")
    parts = [(f"{each.acked:,} acked:", ""), (f"{each.survived:,} survived", " client")]
    parts += [(f"× {each.lost:,} lost", " lost")] if each.lost else []
    parts += [("none lost", " follower")] if not each.lost and not each.unknown else []
    parts += [(f"? {each.unknown:,} unknown", " unknown")] if each.unknown else []
    for text, ink in parts:
        c.text(round(x, 1), y + _BAR + 14, text, f"small bold{ink}")
        x += width(text, "small bold") + 10


def _crossed(c: Canvas, x: float, y: float, wide: float) -> None:
    """A box that is hatched: lost, for those who don't see its colour."""
    c.rect(x, y, wide, _BAR, "lost-edge", stroke_width="1.6")
    count = int((wide + _BAR) // _HATCH)
    for number in range(1, count + 1):
        foot = number * _HATCH
        left, right = max(0.0, foot - _BAR), min(float(foot), wide)
        low, high = min(_BAR, foot), foot - right
        line = (round(x + left, 1), y + low, round(x + right, 1), round(y + high, 1))
        c.line(*line, "lost-edge")


def _sentence(title: str, rows: Sequence[Kept]) -> str:
    told = []
    for each in rows:
        text = f"{each.name}: of {each.acked:,} acked writes {each.survived:,} survived"
        text += f" and {each.lost:,} were lost" if each.lost else ""
        text += f", {each.unknown:,} are of unknown fate" if each.unknown else ""
        told.append(text)
    return f"{title}. {'; '.join(told)}."


_LAYERS = (
    ("application buffer", "the server's own memory"),
    ("page cache", "the system's memory"),
    ("platter", "the disk itself"),
)
_BOX, _BOX_TALL, _STEP, _BOX_TOP = 180, 92, 254, 42
_FAULTS = (("kill -9 takes", 1), ("a power cut takes up to", 2))


def disk_layers(
    *, buffered: int, cached: int, stored: int, title: str = "Where a write is", alt: str = ""
) -> Picture:
    """Draws the three layers with the number of entries in each, and what each fault takes."""
    counts = (buffered, cached, stored)
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    for at, ((name, means), count) in enumerate(zip(_LAYERS, counts, strict=True)):
        x = _LEFT + at * _STEP
        is_safe = at == len(_LAYERS) - 1
        canvas.rect(x, _BOX_TOP, _BOX, _BOX_TALL, "boxed" if is_safe else "ground")
        edge = "client-edge" if is_safe else "ink-edge dashed"
        canvas.rect(x, _BOX_TOP, _BOX, _BOX_TALL, edge, stroke_width="2")
        canvas.text(x + 12, _BOX_TOP + 24, name, "bold")
        canvas.text(x + 12, _BOX_TOP + 42, means, "small follower")
        canvas.text(x + 12, _BOX_TOP + 74, _entries(count), "big")
    for at, call in enumerate(("write()", "fsync()")):
        start = _LEFT + at * _STEP + _BOX + 6
        end = start + _STEP - _BOX - 12
        y = _BOX_TOP + _BOX_TALL / 2
        canvas.arrow((start, y), (end, y), "client")
        canvas.text((start + end) / 2, y - 9, call, "small mono bold", text_anchor="middle")
    for line, (fault, layers) in enumerate(_FAULTS):
        _bracket(canvas, _BOX_TOP + _BOX_TALL + 18 + 40 * line, fault, layers, sum(counts[:layers]))
    said = alt or (
        f"{title}: {_entries(buffered)} in the application's buffer, {_entries(cached)} in the "
        f"page cache, {_entries(stored)} on the platter. kill -9 takes {buffered}, a power cut up "
        f"to {buffered + cached}."
    )
    faults = (("kill -9", "power cut"), ("power cut",), ())
    rows = tuple(
        (name, means, f"{count:,}", " and ".join(taken) or "neither fault")
        for (name, means), count, taken in zip(_LAYERS, counts, faults, strict=True)
    )
    table = Table(("layer", "what it is", "entries", "lost by"), rows)
    return Picture(canvas.render(_BOX_TOP + _BOX_TALL + 98, title, said), said, table)


def _bracket(c: Canvas, y: float, fault: str, layers: int, count: int) -> None:
    """Under the layers that a fault takes."""
    right = _LEFT + (layers - 1) * _STEP + _BOX
    c.path(f"M{_LEFT} {y - 6:g}V{y:g}H{right}V{y - 6:g}", "lost-edge", stroke_width="2")
    c.text(_LEFT + 4, y + 16, f"× {fault} {_entries(count)}", "small bold lost")


def _entries(count: int) -> str:
    return "nothing" if not count else f"{count:,} entr{'y' if count == 1 else 'ies'}"


assert _LEFT + 2 * _STEP + _BOX <= WIDTH
