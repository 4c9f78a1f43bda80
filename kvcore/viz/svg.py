"""A drawing surface that writes SVG: a few shapes, escaped text, and a name for those who listen.

Every picture is 720 units wide at most and set to be read at that width; no type is smaller
than 11. The ids that join the picture to its title and description come from the content, so
that the same picture has the same bytes on every run and two different ones never clash.

`Labels` keeps words from covering each other where their places come from the data.

Left out: gradients, markers, filters. A picture that needs them says too much.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from kvcore.viz.measure import width
from kvcore.viz.tokens import stylesheet

WIDTH = 720
SMALL_CHARACTER = 6.65  # width of a monospaced character at 11 units
CHARACTER = 7.25  # and at 12
_LINE = 13  # the least distance of two lines of small text


@dataclass(slots=True)
class Canvas:
    """Shapes in the order they are drawn; classes are the style sheet's."""

    width: float = WIDTH
    parts: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, w: float, h: float, style: str, **more: str) -> None:
        """A box with slightly rounded corners."""
        at = f'x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="4"'
        self.parts.append(f'<rect class="{style}" {at}{_attributes(more)}/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str, **more: str) -> None:
        """A straight line."""
        at = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
        self.parts.append(f'<line class="{style}" {at}{_attributes(more)}/>')

    def circle(self, x: float, y: float, radius: float, style: str, **more: str) -> None:
        """A circle around a point."""
        at = f'cx="{x:g}" cy="{y:g}" r="{radius:g}"'
        self.parts.append(f'<circle class="{style}" {at}{_attributes(more)}/>')

    def path(self, d: str, style: str, **more: str) -> None:
        """Any outline."""
        self.parts.append(f'<path class="{style}" d="{d}"{_attributes(more)}/>')

    def arrow(
        self, start: tuple[float, float], tip: tuple[float, float], colour: str, style: str = ""
    ) -> None:
        """A line with a filled head; `style` may say that the line is dotted or dashed."""
        (x1, y1), (x2, y2) = start, tip
        self.line(x1, y1, x2, y2, f"{colour}-edge {style}".rstrip(), stroke_width="1.4")
        length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        bx, by = x2 - 8 * ux, y2 - 8 * uy
        left, right = (bx - 3.5 * uy, by + 3.5 * ux), (bx + 3.5 * uy, by - 3.5 * ux)
        corners = " ".join(f"{x:.1f} {y:.1f}L" for x, y in (left, tip))
        self.path(f"M{corners}{right[0]:.1f} {right[1]:.1f}Z", colour)

    def text(self, x: float, y: float, text: str, style: str = "", **more: str) -> None:
        """One line of text; `y` is its base line."""
        kind = f' class="{style}"' if style else ""
        at = f'x="{x:g}" y="{y:g}"{_attributes(more)}'
        self.parts.append(f'<text{kind} {at} xml:space="preserve">{escape(text)}</text>')

    def render(self, height: float, title: str, description: str) -> str:
        """The whole picture. `title` is short, `description` is the alt text."""
        body = "".join(self.parts)
        mark = f"{zlib.crc32(f'{title}|{description}|{body}'.encode()):08x}"
        names = f'aria-labelledby="kv-t-{mark} kv-d-{mark}"'
        size = f'width="{self.width:g}" height="{height:g}" viewBox="0 0 {self.width:g} {height:g}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="kv" role="img" {names} {size}>'
            f'<title id="kv-t-{mark}">{escape(title)}</title>'
            f'<desc id="kv-d-{mark}">{escape(description)}</desc>'
            f"<style>{stylesheet()}</style>"
            f'<rect class="ground" width="{self.width:g}" height="{height:g}"/>{body}</svg>'
        )


@dataclass(slots=True)
class Labels:
    """Words on a canvas, each in the first free place of those that it is offered."""

    canvas: Canvas
    left: float
    right: float
    taken: list[tuple[float, float, float]] = field(default_factory=list)  # left, right, base

    def place(
        self,
        x: float,
        bases: Sequence[float],
        text: str,
        style: str = "small",
        *,
        must: bool = True,
    ) -> None:
        """Writes `text` from `x`, moved into the picture, on the first base line that is free;
        if none is, on the last, or nowhere unless it `must` be there.
        """
        wide = width(text, style)
        x = round(max(self.left, min(x, self.right - wide)), 1)
        base = next((y for y in bases if self._free(x, x + wide, y)), None)
        if base is None:
            if not must:
                return
            base = bases[-1]
        self.block(x, x + wide, base)
        self.canvas.text(x, base, text, style)

    def block(self, left: float, right: float, base: float) -> None:
        """Nothing may be written here."""
        self.taken.append((left, right, base))

    def _free(self, left: float, right: float, base: float) -> bool:
        return not any(
            left < other_right + 4 and right + 4 > other_left and abs(base - other) < _LINE
            for other_left, other_right, other in self.taken
        )


def _attributes(more: dict[str, str]) -> str:
    return "".join(f' {key.replace("_", "-")}="{escape(value)}"' for key, value in more.items())


def fit(text: str, width: float, character: float = CHARACTER) -> str:
    """`text` cut to fit `width`, with … where something is missing."""
    room = int(width / character)
    return text if len(text) <= room else text[: max(1, room - 1)] + "…"


def wrap(text: str, width: float, character: float = SMALL_CHARACTER) -> list[str]:
    """`text` in lines of at most `width`, broken at spaces where there are any."""
    room = max(4, int(width / character))
    lines: list[str] = []
    for paragraph in text.split("\n"):
        rest = paragraph
        while len(rest) > room:
            cut = rest.rfind(" ", 0, room + 1)
            cut = cut if cut > 0 else room
            lines.append(rest[:cut])
            rest = rest[cut:].lstrip(" ")
        lines.append(rest)
    return lines
