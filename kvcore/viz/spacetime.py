"""The space-time diagram: who sent what to whom, and when it arrived.

A race can't be seen in a list of calls: each call looks right. Drawn over time it is plain,
two bars that overlap. A lane for each client on top, then for each server; time runs to the
right. An operation is a pill on its client's lane: solid when it worked, with ✗ when it was
refused, dotted with ? when nobody answered. Its request is a solid arrow to the server, its
answer a dotted one back; a message that was lost ends in ×. A shaded band says what befell
the lanes it covers.

    show(space_time(["A", "B", "n1"], [Operation("A", "n1", 0, 0.2, 0.3, 0.5, "get → 5")]))

Left out: a folded axis. A wait of seconds beside calls of a millisecond needs two pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import WIDTH, Canvas

Outcome: TypeAlias = Literal["ok", "failed", "unknown"]

_LEFT, _RIGHT, _TOP = 52, 700, 54
_LANE, _LAST = 78, 58
_PILL = 20
_CHARACTER = 6.1  # width of a sans-serif character at 11 units, on the generous side
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_TICKS_COUNT = 9
_STYLE = {
    "ok": ("client-edge", "client"),
    "failed": ("lost-edge", "lost"),
    "unknown": ("unknown-edge dotted", "unknown"),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A client's call and its two messages; times in ms, None for what did not happen.

    `note` stands under the server's lane where the request arrives.
    """

    client: str
    server: str
    start: float
    reached: float | None
    answered: float | None
    end: float | None
    label: str
    outcome: Outcome = "ok"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """What befell some neighbouring lanes for a while."""

    start: float
    end: float
    lanes: tuple[str, ...]
    label: str


def space_time(
    lanes: Sequence[str],
    operations: Sequence[Operation],
    *,
    bands: Sequence[Band] = (),
    title: str = "what happened",
    alt: str = "",
) -> Picture:
    """Draws the operations over time, clients' lanes on top as `lanes` orders them."""
    plot = _Plot(Canvas(), tuple(lanes), _span(operations, bands))
    height = plot.bottom + 34
    plot.canvas.text(16, 22, title, "big")
    for band in bands:
        plot.band(band)
    plot.frame({each.client: None for each in operations})
    for each in _by_arrival(operations):
        plot.messages(each)
    for lane in lanes:
        mine = sorted((o for o in operations if o.client == lane), key=lambda o: o.start)
        plot.pills(mine)
    said = alt or _sentence(title, lanes, operations, bands)
    return Picture(plot.canvas.render(height, title, said), said, _table(operations, bands))


@dataclass(slots=True)
class _Plot:
    """The canvas with its scales: lanes downwards, milliseconds to the right."""

    canvas: Canvas
    lanes: tuple[str, ...]
    span: float
    notes: list[tuple[float, float]] = field(default_factory=list)

    def x(self, moment: float) -> float:
        return round(_LEFT + 8 + (_RIGHT - _LEFT - 16) * moment / self.span, 1)

    def y(self, lane: str) -> float:
        return _TOP + 10 + self.lanes.index(lane) * _LANE

    @property
    def bottom(self) -> float:
        return self.y(self.lanes[-1]) + _LAST

    def frame(self, clients: dict[str, None]) -> None:
        """Lanes with their names, and the time axis."""
        c = self.canvas
        for lane in self.lanes:
            colour = "client" if lane in clients else "leader"
            c.text(16, self.y(lane) + 4, lane, f"bold {colour}")
            c.line(_LEFT, self.y(lane), _RIGHT, self.y(lane), f"{colour}-edge")
        steps = [each for each in _TICKS if self.span / each <= _TICKS_COUNT]
        step = steps[0] if steps else _TICKS[-1]
        c.line(_LEFT, self.bottom, _RIGHT, self.bottom, "line-edge")
        for number in range(int(self.span / step) + 1):
            x = self.x(number * step)
            c.line(x, self.bottom, x, self.bottom + 4, "line-edge")
            c.text(x, self.bottom + 17, f"{number * step:g}", "small", text_anchor="middle")
        c.text(16, self.bottom + 17, "ms", "small")

    def band(self, band: Band) -> None:
        c = self.canvas
        top, end = self.y(band.lanes[0]) - 24, self.y(band.lanes[-1]) + 24
        left, right = self.x(band.start), self.x(band.end)
        c.rect(left, top, right - left, end - top, "boxed")
        c.rect(left, top, right - left, end - top, "lost-edge dashed")
        c.text(left + 6, end - 6, f"‖ {band.label}", "small lost")

    def messages(self, each: Operation) -> None:
        """The request's arrow and the answer's."""
        above, below = self.y(each.client) + _PILL / 2, self.y(each.server)
        self._arrow((each.start, above), (each.reached, below), "client-edge")
        if each.reached is not None:
            self.canvas.circle(self.x(each.reached), below, 3.5, "client")
            self._note(self.x(each.reached), below + 19, each.note)
        if each.answered is not None:
            self._arrow((each.answered, below), (each.end, above), "client-edge dotted")

    def _note(self, x: float, y: float, note: str) -> None:
        """A word under the server's lane, in the next row where it would cover another."""
        room = len(note) * _CHARACTER
        while note and any(abs(x - other) < room and y == row for other, row in self.notes):
            y += 13
        if note:
            self.notes.append((x, y))
            self.canvas.text(x, y, note, "small bold", text_anchor="middle")

    def _arrow(self, start: tuple[float, float], end: tuple[float | None, float], ink: str) -> None:
        """A line with a head, or, to nowhere, half a line with ×."""
        c = self.canvas
        x1, y1 = self.x(start[0]), start[1]
        if end[0] is None:
            x2, y2 = x1 + 14, (y1 + end[1]) / 2
            c.line(x1, y1, x2, y2, ink.replace("client", "lost"), stroke_width="1.4")
            c.text(x2 - 4, y2 + 5, "×", "bold lost")
            return
        x2, y2 = self.x(end[0]), end[1]
        c.line(x1, y1, x2, y2, ink, stroke_width="1.4")
        length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        bx, by = x2 - 8 * ux, y2 - 8 * uy
        left, right = (bx - 3.5 * uy, by + 3.5 * ux), (bx + 3.5 * uy, by - 3.5 * ux)
        corners = " ".join(f"{x:.1f} {y:.1f}L" for x, y in (left, (x2, y2)))
        c.path(f"M{corners}{right[0]:.1f} {right[1]:.1f}Z", "client")

    def pills(self, operations: Sequence[Operation]) -> None:
        """A lane's operations; a label that doesn't fit stands above, in one of two rows."""
        rows = [0.0, 0.0]
        for each in operations:
            c, y = self.canvas, self.y(each.client)
            left = self.x(each.start)
            right = self.x(self.span if each.end is None else each.end)
            edge, ink = _STYLE[each.outcome]
            width = max(right - left, 6)
            c.rect(left, y - _PILL / 2, width, _PILL, "ground")
            c.rect(left, y - _PILL / 2, width, _PILL, edge, stroke_width="1.6")
            room = len(each.label) * _CHARACTER
            if room + 8 <= width:
                middle = {"text_anchor": "middle"}
                c.text(left + width / 2, y + 4, each.label, f"small bold {ink}", **middle)
                continue
            at = min(left, _RIGHT - room)
            row = 0 if rows[0] <= at else 1
            rows[row] = at + room + 6
            c.text(at, y - _PILL / 2 - 5 - 13 * row, each.label, f"small bold {ink}")


def _span(operations: Sequence[Operation], bands: Sequence[Band]) -> float:
    times = [band.end for band in bands]
    for each in operations:
        times += [t for t in (each.start, each.reached, each.answered, each.end) if t is not None]
    return max(times, default=0.0) or 1.0


def _sentence(
    title: str, lanes: Sequence[str], operations: Sequence[Operation], bands: Sequence[Band]
) -> str:
    told = "; ".join(f"{each.client} {each.label}" for each in _by_arrival(operations)[:8])
    more = len(operations) - 8
    tail = f" and {more} more" if more > 0 else ""
    befell = "".join(f" {band.label}." for band in bands)
    heads = ", ".join(lanes)
    return f"{title}: lanes {heads}. In the order of arrival: {told}{tail}.{befell}"


def _by_arrival(operations: Sequence[Operation]) -> list[Operation]:
    def arrival(each: Operation) -> float:
        return each.start if each.reached is None else each.reached

    return sorted(operations, key=arrival)


def _table(operations: Sequence[Operation], bands: Sequence[Band]) -> Table:
    columns = ("client", "operation", "sent", "at the server", "answered", "heard", "outcome")
    rows: list[tuple[str, ...]] = [
        (
            each.client,
            each.label,
            _ms(each.start),
            _ms(each.reached),
            _ms(each.answered),
            _ms(each.end),
            each.outcome,
        )
        for each in _by_arrival(operations)
    ]
    rows += [
        (", ".join(band.lanes), band.label, _ms(band.start), "", "", _ms(band.end), "")
        for band in bands
    ]
    return Table(columns, tuple(rows))


def _ms(moment: float | None) -> str:
    return "never" if moment is None else f"{moment:.2f} ms"


assert _RIGHT < WIDTH
