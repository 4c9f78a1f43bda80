"""The tokens for matplotlib: dense plots look like the rest, on a ground of their own.

    from kvcore.viz.plots import styled
    with styled():
        figure, axes = plt.subplots()

A bitmap can't follow the reader's theme, so it is opaque; the style keeps the axes few, the
type large enough, and the first colours those of the roles. Direct labels rather than
legends, units on axes, and a title that states the finding are the author's part.

Left out: interactive back ends. What moves is SVG.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from kvcore.viz.tokens import TOKENS

Theme: TypeAlias = Literal["light", "dark"]
_ORDER = ("leader", "candidate", "client", "lost", "unknown", "key1")


def colours(theme: Theme = "light") -> dict[str, str]:
    """Each token's colour in this theme."""
    return {each.name: each.light if theme == "light" else each.dark for each in TOKENS}


def style(theme: Theme = "light") -> dict[str, object]:
    """The settings, by matplotlib's names."""
    from cycler import cycler

    colour = colours(theme)
    return {
        "axes.edgecolor": colour["line"],
        "axes.facecolor": colour["ground"],
        "axes.grid": True,
        "axes.labelcolor": colour["ink"],
        "axes.prop_cycle": cycler(
            color=[colour[name] for name in _ORDER],
            linestyle=["-", "--", "-.", ":", (0, (6, 2, 1, 2)), (0, (1, 1))],
        ),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "figure.facecolor": colour["ground"],
        "figure.figsize": (7.2, 3.6),
        "font.size": 11.0,
        "grid.color": colour["fill"],
        "savefig.facecolor": colour["ground"],
        "text.color": colour["ink"],
        "xtick.color": colour["ink"],
        "ytick.color": colour["ink"],
    }


@contextmanager
def styled(theme: Theme = "light") -> Iterator[None]:
    """Plots made inside the block use the tokens."""
    import matplotlib as mpl

    with mpl.rc_context(style(theme)):
        yield
