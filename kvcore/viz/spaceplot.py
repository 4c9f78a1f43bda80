"""How a space-time diagram is drawn: lanes downwards, milliseconds to the right.

`spacetime.py` has the values and the words; here is where each of them goes. Words find
their own places (`Labels`), since their moments come from a run and may be close together.

Left out: deciding what is worth drawing; that is `storyline.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kvcore.viz.measure import width
from kvcore.viz.scale import round_step
from kvcore.viz.svg import WIDTH, Canvas, Labels

_LEFT, _RIGHT, _TOP = 52, 700, 54
_LANE, _LAST = 78, 58  # between lanes; from the last lane to the axis
_CLIENT_LANE, _SERVER_LANE = 74, 58  # where servers talk to each other
_PILL = 20
_TICKS_COUNT = 9
_APART = 60  # between two times that the same is said of messages
_LOST_PART = 0.55  # of its way that a lost message is drawn to go
_STYLE = {
    "ok": ("client-edge", "client"),
    "failed": ("lost-edge", "lost"),
    "unknown": ("unknown-edge dotted", "unknown"),
}


@dataclass(slots=True)
class Plot:
    """The canvas with its scales."""

    canvas: Canvas
    heights: dict[str, float]
    clients: tuple[str, ...]
    left: float
    span: float
    is_of_a_group: bool
    labels: Labels
    inside: list[tuple[float, float, str, str]]  # what pills say, written over the lines, too
    notes: list[tuple[float, Sequence[float], str, str]]  # written last, over the lines
    asides: list[tuple[float, Sequence[float], str, str]]  # and then these, if there is room

    @staticmethod
    def of(
        lanes: Sequence[str], clients: Sequence[str], span: float, *, is_of_a_group: bool
    ) -> "Plot":
        """An empty plot with a place for each lane."""
        canvas = Canvas()
        left = max([_LEFT, *(24 + width(lane, "bold") for lane in lanes)])
        heights: dict[str, float] = {}
        y = float(_TOP + 10)
        for lane in lanes:
            heights[lane] = y
            apart = _CLIENT_LANE if lane in clients else _SERVER_LANE
            y += apart if is_of_a_group else _LANE
        labels = Labels(canvas, left, WIDTH - 6)
        scales = heights, tuple(clients), left, span, is_of_a_group
        return Plot(canvas, *scales, labels, [], [], [])

    def x(self, moment: float) -> float:
        """Where a moment is."""
        return round(self.left + 8 + (_RIGHT - self.left - 16) * moment / self.span, 1)

    @property
    def bottom(self) -> float:
        """Where the axis is."""
        return max(self.heights.values()) + _LAST

    def frame(self) -> None:
        """Lanes with their names, and the time axis."""
        c = self.canvas
        for lane, y in self.heights.items():
            colour = "client" if lane in self.clients else "leader"
            if self.is_of_a_group and colour == "leader":
                colour = "follower"
            c.text(16, y + 4, lane, f"bold {colour}")
            c.line(self.left, y, _RIGHT, y, f"{colour}-edge")
        step = round_step(self.span / _TICKS_COUNT, 0.1)
        c.line(self.left, self.bottom, _RIGHT, self.bottom, "line-edge")
        for number in range(int(self.span / step) + 1):
            x = self.x(number * step)
            c.line(x, self.bottom, x, self.bottom + 4, "line-edge")
            c.text(x, self.bottom + 17, f"{number * step:g}", "small", text_anchor="middle")
        c.text(16, self.bottom + 17, "ms", "small")

    def band(
        self,
        start: float,
        end: float,
        lanes: Sequence[str],
        label: str,
        sides: Sequence[Sequence[str]],
    ) -> None:
        """A shaded stretch of some lanes; between the sides of a cut a double line."""
        c = self.canvas
        covered = [lane for lane in self.heights if lane in lanes]
        top, foot = self.heights[covered[0]] - 24, self.heights[covered[-1]] + 24
        left, right = self.x(start), self.x(end)
        if self.is_of_a_group:
            foot += 8
        c.rect(left, top, right - left, foot - top, "boxed")
        c.rect(left, top, right - left, foot - top, "lost-edge dashed")
        for upper, lower in pairwise(covered):
            if _side(sides, upper) != _side(sides, lower):
                y = (self.heights[upper] + self.heights[lower]) / 2
                c.line(left, y - 2, right, y - 2, "lost-edge", stroke_width="1.4")
                c.line(left, y + 2, right, y + 2, "lost-edge", stroke_width="1.4")
        words = label if "‖" in label else f"‖ {label}"
        self.labels.place(left + 6, [foot - 6], words, "small lost")

    def reign(self, server: str, start: float, end: float | None, term: int) -> None:
        """A thick stretch of the lane, and the word."""
        y, left = self.heights[server], self.x(start)
        right = self.x(self.span if end is None else end)
        self.canvas.line(left, y, max(right, left + 3), y, "leader-edge", stroke_width="5")
        self._later(left, (y - 9, y - 22, y + 17), f"▲ leads term {term}", "small bold leader")

    def outage(self, server: str, start: float, end: float | None, label: str) -> None:
        """The lane is broken for a while."""
        c, y, left = self.canvas, self.heights[server], self.x(start)
        right = self.x(self.span if end is None else end)
        c.line(left, y, right, y, "ground-edge", stroke_width="6")
        c.line(left, y, right, y, "line-edge dashed", stroke_width="2")
        c.text(left - 4, y + 5, "×", "bold lost")
        self._later(left + 8, (y - 9, y + 17, y - 22, y + 30), label, "small bold lost")

    def mark(self, server: str, at: float, label: str, *, is_loss: bool) -> None:
        """A dot on the lane and a few words."""
        y, x, ink = self.heights[server], self.x(at), "lost" if is_loss else "ink"
        self.canvas.circle(x, y, 3.5, ink)
        self._later(x + 5, (y + 17, y + 30, y - 9, y - 22), label, f"small {ink}")

    def message(
        self,
        sender: tuple[str, float],
        receiver: tuple[str, float | None],
        label: str,
        ink: str,
        *,
        is_answer: bool,
    ) -> None:
        """An arrow between two lanes, dotted for an answer, half of one with × if it was lost."""
        start = self.x(sender[1]), self.heights[sender[0]]
        y = self.heights[receiver[0]]
        tip = None if receiver[1] is None else self.x(receiver[1])
        self._arrow(start, (tip, y), ink, "dotted" if is_answer else "")
        if label:
            lane = start[1]
            below, above = (lane + 17, lane + 30), (lane - 9, lane - 22)
            bases = (*below, *above) if y > lane else (*above, *below)
            self.asides.append((start[0] + 4, bases, label, f"small {ink}"))

    def call(
        self,
        client: tuple[str, float, float | None],
        server: tuple[str, float | None, float | None],
    ) -> None:
        """The request's arrow and the answer's."""
        (name, start, heard), (other, reached, answered) = client, server
        above, below = self.heights[name] + _PILL / 2, self.heights[other]
        tip = None if reached is None else self.x(reached)
        self._arrow((self.x(start), above), (tip, below), "client", "")
        if tip is not None:
            self.canvas.circle(tip, below, 3.5, "client")
        if answered is not None:
            tip = None if heard is None else self.x(heard)
            self._arrow((self.x(answered), below), (tip, above), "client", "dotted")

    def note(self, server: str, reached: float | None, note: str) -> None:
        """A word under the server's lane, in the next row where it would cover another."""
        if not note or reached is None:
            return
        y = self.heights[server]
        left = self.x(reached) - width(note, "small bold") / 2
        self._later(left, (y + 19, y + 32, y + 45), note, "small bold")

    def pill(self, client: str, start: float, end: float | None, label: str, outcome: str) -> None:
        """An operation; a label that doesn't fit stands above, in one of two rows."""
        c, y = self.canvas, self.heights[client]
        left = self.x(start)
        wide = max(self.x(self.span if end is None else end) - left, 6)
        edge, ink = _STYLE[outcome]
        c.rect(left, y - _PILL / 2, wide, _PILL, "ground")
        c.rect(left, y - _PILL / 2, wide, _PILL, edge, stroke_width="1.6")
        if width(label, "small bold") + 8 <= wide:
            self.inside.append((left + wide / 2, y + 4, label, f"small bold {ink}"))
            return
        over = y - _PILL / 2 - 5
        self.labels.place(left, (over, over - 13), label, f"small bold {ink}")

    def finish(self) -> None:
        """Writes the words that were kept back, over all lines: messages' where there is room."""
        for x, y, text, style in self.inside:
            self.canvas.text(x, y, text, f"{style} halo", text_anchor="middle")
        for x, bases, text, style in self.notes:
            self.labels.place(x, bases, text, f"{style} halo")
        told: dict[tuple[str, float], float] = {}  # each word once in a while
        for x, bases, text, style in self.asides:
            if x - told.get((text, bases[0]), -_APART) >= _APART:
                told[text, bases[0]] = x
                self.labels.place(x, bases, text, f"{style} halo", must=False)

    def _later(self, x: float, bases: Sequence[float], text: str, style: str) -> None:
        if text:
            self.notes.append((x, bases, text, style))

    def _arrow(
        self, start: tuple[float, float], end: tuple[float | None, float], ink: str, style: str
    ) -> None:
        """To nowhere: part of the way, then ×."""
        if end[0] is not None:
            self.canvas.arrow(start, (end[0], end[1]), ink, style)
            return
        x, y = start[0] + 14, start[1] + (end[1] - start[1]) * _LOST_PART
        self.canvas.line(*start, x, y, f"lost-edge {style}".rstrip(), stroke_width="1.4")
        self.canvas.text(x - 4, y + 5, "×", "bold lost halo")


def _side(sides: Sequence[Sequence[str]], lane: str) -> int:
    return next((at for at, side in enumerate(sides) if lane in side), -1)


assert _RIGHT < WIDTH
