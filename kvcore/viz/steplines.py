"""Step lines: how much something held over time, one line a way of doing it.

A store's size does not slide, it jumps: up with a write, down with a removal. So the lines
are steps, and what was done at a moment stands above a rule at that moment. Each line has its
name where it is highest, in its colour and with its own dash, so that no legend is needed.
It is SVG, unlike matplotlib's plots: it follows the reader's theme, and the same points give
the same bytes.

Left out: negative values, dates, and more than four lines, which nobody can tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from kvcore.viz.figure import Picture, Table
from kvcore.viz.scale import round_step
from kvcore.viz.svg import SMALL_CHARACTER, WIDTH, Canvas

Points: TypeAlias = Sequence[tuple[float, float]]

_LEFT, _RIGHT, _TOP, _HEIGHT = 64, 24, 74, 200
_BOTTOM = _TOP + _HEIGHT
_STYLES = (("leader", ""), ("candidate", "9 4"), ("client", "2.5 3"), ("lost", "12 3 3 3"))
_TICKS_COUNT = 4


def step_lines(
    lines: Mapping[str, Points],
    *,
    title: str,
    x: str,
    y: str,
    events: Mapping[float, str] | None = None,
    alt: str = "",
) -> Picture:
    """Draws each line as steps; `x` and `y` name the axes, `events` says what happened when."""
    assert 0 < len(lines) <= len(_STYLES)
    happened = dict(events or {})
    last = max(at for points in lines.values() for at, _ in points) or 1
    step = _tick(max(value for points in lines.values() for _, value in points))
    scale = _Scale(last, step * _TICKS_COUNT)
    canvas = Canvas()
    canvas.text(16, 22, title, "big")
    _draw_axes(canvas, scale, step, (x, y))
    for at, what in happened.items():
        canvas.line(scale.x(at), _TOP - 8, scale.x(at), _BOTTOM, "line-edge dotted")
        half = len(what) * SMALL_CHARACTER / 2
        middle = min(max(scale.x(at), 16 + half), WIDTH - 16 - half)
        canvas.text(middle, _TOP - 14, what, "small", text_anchor="middle")
    for points, (colour, dash) in zip(lines.values(), _STYLES, strict=False):
        _draw_line(canvas, scale, points, colour, dash)
    for name in lines:
        _draw_name(canvas, scale, lines, name)
    said = alt or _sentence(title, lines, y)
    picture = canvas.render(_BOTTOM + 44, title, said)
    return Picture(picture, said, _table(lines, happened, x))


class _Scale:
    """From a moment and an amount to the place in the picture."""

    def __init__(self, last: float, top: float) -> None:
        self.last, self.top = last, top

    def x(self, at: float) -> float:
        return round(_LEFT + at / self.last * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, amount: float) -> float:
        return round(_BOTTOM - amount / self.top * _HEIGHT, 1)


def _tick(highest: float) -> float:
    """The distance of the marks, so that four of them reach the top."""
    return round_step(highest / _TICKS_COUNT)


def _draw_axes(c: Canvas, scale: _Scale, step: float, names: tuple[str, str]) -> None:
    c.text(_LEFT - 48, _TOP - 34, names[1], "small")
    c.text(WIDTH - _RIGHT, _BOTTOM + 36, names[0], "small", text_anchor="end")
    for number in range(_TICKS_COUNT + 1):
        amount = number * step
        c.line(_LEFT, scale.y(amount), WIDTH - _RIGHT, scale.y(amount), "fill-edge")
        c.text(_LEFT - 8, scale.y(amount) + 4, f"{amount:g}", "small", text_anchor="end")
    c.line(_LEFT, _BOTTOM, WIDTH - _RIGHT, _BOTTOM, "line-edge")
    marks = _tick(scale.last)
    for number in range(int(scale.last // marks) + 1):
        at = scale.x(number * marks)
        c.line(at, _BOTTOM, at, _BOTTOM + 5, "line-edge")
        c.text(at, _BOTTOM + 19, f"{number * marks:g}", "small", text_anchor="middle")


def _draw_line(c: Canvas, scale: _Scale, points: Points, colour: str, dash: str) -> None:
    (at, amount), *rest = points
    d = [f"M{scale.x(at):g} {scale.y(amount):g}"]
    for at, amount in rest:
        d += [f"H{scale.x(at):g}", f"V{scale.y(amount):g}"]
    more = {"stroke_dasharray": dash} if dash else {}
    c.path(" ".join(d), f"{colour}-edge", stroke_width="2", **more)


def _draw_name(c: Canvas, scale: _Scale, lines: Mapping[str, Points], name: str) -> None:
    """The name, ending where the line is highest for the last time; where no line crosses it."""
    points, colour = lines[name], _STYLES[list(lines).index(name)][0]
    highest = max(amount for _, amount in points)
    at = max(at for at, amount in points if amount == highest)
    width = len(name) * SMALL_CHARACTER
    right = max(scale.x(at) - 4, _LEFT + width + 8)
    above, below = scale.y(highest) - 6, scale.y(highest) + 15
    free = [y for y in (above, below) if not _crossed(scale, lines, (right - width, right), y)]
    y = free[0] if free else above
    c.text(right, y, name, f"small bold {colour}", text_anchor="end")


def _crossed(
    scale: _Scale, lines: Mapping[str, Points], span: tuple[float, float], base: float
) -> bool:
    """Whether a line runs through the text that stands on `base` between two places."""
    left, right = span
    return any(
        left <= scale.x(at) <= right and base - 10 <= scale.y(amount) <= base + 3
        for points in lines.values()
        for at, amount in points
    )


def _table(lines: Mapping[str, Points], events: Mapping[float, str], x: str) -> Table:
    """A row for each moment at which a line changed its height or something was done."""
    moments = sorted({at for points in lines.values() for at, _ in points} | set(events))
    rows: list[tuple[str, ...]] = []
    for place, at in enumerate(moments):
        held = tuple(f"{_held(points, at):g}" for points in lines.values())
        known = rows[-1][1:-1] if rows else ()
        if held != known or at in events or place == len(moments) - 1:
            rows.append((f"{at:g}", *held, events.get(at, "")))
    return Table((x, *lines, "done"), tuple(rows))


def _held(points: Points, at: float) -> float:
    return next((amount for when, amount in reversed(points) if when <= at), 0)


def _sentence(title: str, lines: Mapping[str, Points], y: str) -> str:
    facts = []
    for name, points in lines.items():
        highest = max(amount for _, amount in points)
        facts.append(f"{name} at most {highest:g}, in the end {points[-1][1]:g}")
    return f"{title}. {y}: {'; '.join(facts)}."
