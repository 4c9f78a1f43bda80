"""`show`: no picture without alt text, and its facts again as a table.

A figure that only the sighted can use is half a figure. So `show` refuses one without alt
text, and puts the table, closed, under it. The same call works without a front end: then the
alt text and the table are printed, which is also what tests compare.

`alt` is one or two sentences: what it shows, then what to see. `table` is a `Table`, a list
of dicts, or a pandas frame. Our own pictures bring both.

Left out: captions and numbering; a lesson's prose does that.
"""

import base64
import io
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from kvcore.viz.tokens import stylesheet

_DOTS_PER_INCH = 100  # 7.2 inches are the 720 pixels of every picture
ALT_CHARACTERS = 10  # anything shorter says nothing
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True, slots=True)
class Table:
    """The facts of a picture: column names and rows of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @staticmethod
    def of(value: "Table | Iterable[Mapping[str, object]] | Any") -> "Table":
        """From a list of dicts or a pandas frame."""
        if isinstance(value, Table):
            return value
        if hasattr(value, "to_dict") and hasattr(value, "columns"):
            value = value.to_dict("records")
        records = [dict(each) for each in value]
        columns = tuple(dict.fromkeys(str(key) for each in records for key in each))
        rows = tuple(tuple(str(each.get(key, "")) for key in columns) for each in records)
        return Table(columns, rows)

    def text(self) -> str:
        """As lines of text, columns aligned."""
        cells = [self.columns, *(tuple(_visible(cell) for cell in row) for row in self.rows)]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in cells]
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """As an HTML table with header cells that say what they head."""
        head = "".join(f'<th scope="col">{escape(each)}</th>' for each in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG with its text twin. As the last value of a cell it shows itself."""

    svg: str
    alt: str
    table: Table

    def html(self) -> str:
        """The picture, and under it the closed table."""
        twin = f"<details><summary>The same as a table</summary>{self.table.html()}</details>"
        style = "" if "--kv-ink" in self.svg else f"<style>{stylesheet()}</style>"
        return f'<div class="kv">{style}{self.svg}{twin}</div>'

    def text(self) -> str:
        """Alt text and table."""
        return f"{self.alt}\n{self.table.text()}"

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": self.text()}


@dataclass(frozen=True, slots=True)
class Plot:
    """A matplotlib figure with its text twin."""

    figure: Any
    alt: str
    table: Table

    def png(self) -> bytes:
        """The bitmap, on its own opaque ground."""
        buffer = io.BytesIO()
        face = self.figure.get_facecolor()
        self.figure.savefig(buffer, format="png", facecolor=face, dpi=_DOTS_PER_INCH)
        return buffer.getvalue()

    def html(self) -> str:
        """The bitmap, and under it the closed table."""
        image = base64.b64encode(self.png()).decode("ascii")
        picture = f'<img alt="{escape(self.alt)}" src="data:image/png;base64,{image}"/>'
        twin = f"<details><summary>The same as a table</summary>{self.table.html()}</details>"
        return f'<div class="kv"><style>{stylesheet()}</style>{picture}{twin}</div>'


def show(figure: object, *, alt: str = "", table: object = None) -> None:
    """Displays a `Picture`, a `Plot`, an SVG text or a matplotlib figure; ValueError without
    alt text.
    """
    if isinstance(figure, Plot):
        twin = figure.table if table is None else Table.of(table)
        _display_plot(Plot(figure.figure, alt or figure.alt, twin))
        return
    if isinstance(figure, Picture):
        twin = figure.table if table is None else Table.of(table)
        _display(Picture(figure.svg, alt or figure.alt, twin))
        return
    if len(alt.strip()) < ALT_CHARACTERS:
        raise ValueError("a picture needs alt text: one sentence on what it shows and what to see")
    if table is None:
        raise ValueError("a picture needs its facts as a table: table=[{'column': value}, …]")
    if isinstance(figure, str):
        _display(Picture(_described(figure, alt), alt, Table.of(table)))
        return
    if not hasattr(figure, "savefig"):
        raise TypeError(f"show takes a Picture, SVG text or a matplotlib figure, not {figure!r}")
    _display_plot(Plot(figure, alt, Table.of(table)))


def show_widget(widget: Any, instead: Picture | None = None) -> None:
    """Displays a widget; where no front end draws it, `instead` (or nothing) stands there.

    One output holds both, so a stored notebook keeps the picture and leaves the widget out.
    """
    from IPython.display import display

    view = widget._repr_mimebundle_()
    data = {WIDGET_VIEW: view[WIDGET_VIEW]}
    display(data | (instead._repr_mimebundle_() if instead else {}), raw=True)


def _described(svg: str, alt: str) -> str:
    """Names a bare SVG for those who listen; one that names itself stays as it is."""
    if "aria-label" in svg.split(">", 1)[0]:
        return svg
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


def _display(picture: Picture) -> None:
    if not _in_shell():
        print(picture.text())
        return
    from IPython.display import display

    display(picture)


def _display_plot(plot: Plot) -> None:
    """A bitmap on its own opaque ground: its bytes depend on fonts, so they go as image/png."""
    if not _in_shell():
        print(f"{plot.alt}\n{plot.table.text()}")
        return
    from IPython.display import display

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(plot.figure)  # or the inline back end shows it again
    image = base64.b64encode(plot.png()).decode("ascii")
    data = {"image/png": image, "text/plain": plot.alt}
    display(data, metadata={"image/png": {"alt": plot.alt}}, raw=True)
    twin = f"<details><summary>The same as a table</summary>{plot.table.html()}</details>"
    page = f'<div class="kv"><style>{stylesheet()}</style>{twin}</div>'
    display({"text/html": page, "text/plain": plot.table.text()}, raw=True)


def _in_shell() -> bool:
    """True inside IPython, where a display has somewhere to go."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None


def has_widgets() -> bool:
    """True in a kernel, unless `KVCOURSE_WIDGETS=0`. A kernel can't tell who reads it."""
    if os.environ.get("KVCOURSE_WIDGETS") == "0" or not _in_shell():
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def _visible(text: str) -> str:
    """A cell on one line: line ends are shown, not obeyed."""
    return text.replace("\r", "␍").replace("\n", "⏎")
