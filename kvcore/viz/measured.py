"""Plots of what was measured: how long elections took, and what a lazy sync buys and costs.

Dense data is matplotlib's work, drawn with the tokens on a ground of its own (`plots.py`). A
`Plot` brings its alt text and its table, as every picture does; `show` takes it.

    show(election_histogram(times, timeout=(150, 300), title="Half are over in 190 ms"))
    show(loss_curve([SyncPoint("always", 0, 9_000), …], title="…"))

Left out: curves through the points. What lies between them was not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from kvcore.viz.figure import Plot, Table
from kvcore.viz.measure import width
from kvcore.viz.plots import Theme, colours, styled
from kvcore.viz.scale import round_step

_BINS_COUNT = 30
_PLOT_WIDTH = 600  # of the axes, roughly, in the units of `width`
_LABEL_ROOM = 60  # right of the last point, as a factor of its place
_SECONDS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"))


def election_histogram(
    milliseconds: Sequence[float],
    *,
    timeout: tuple[float, float] | None = None,
    title: str = "",
    alt: str = "",
    theme: Theme = "light",
) -> Plot:
    """How long it took from losing a leader to having the next, over many runs; `timeout` is
    the range that election timers are drawn from. Without `title` it states the median.
    """
    times = sorted(milliseconds)
    assert times, "a histogram needs a time"
    half, most = _part(times, 0.5), _part(times, 0.95)
    finding = title or f"Half of {len(times)} elections took {half:.0f} ms or less"
    step = round_step((times[-1] - times[0]) / _BINS_COUNT)
    counts: dict[int, int] = {}
    for each in times:
        counts[int(each // step)] = counts.get(int(each // step), 0) + 1
    first, last = min(counts), max(counts)
    bins = [(number * step, counts.get(number, 0)) for number in range(first, last + 1)]
    figure = _histogram(bins, step, (half, most), timeout=timeout, title=finding, theme=theme)
    said = alt or (
        f"{finding}. Histogram of {len(times)} elections: {times[0]:.0f} to {times[-1]:.0f} ms, "
        f"median {half:.0f} ms, 95 of 100 within {most:.0f} ms."
    )
    rows = tuple((f"{at:g} to {at + step:g}", f"{count}") for at, count in bins if count)
    return Plot(figure, said, Table(("ms", "elections"), rows))


def _histogram(
    bins: Sequence[tuple[float, int]],
    step: float,
    marks: tuple[float, float],
    *,
    timeout: tuple[float, float] | None,
    title: str,
    theme: Theme,
) -> Any:
    ink = colours(theme)
    with styled(theme):
        figure, axes = _figure(title)
        axes.bar(
            [at for at, _ in bins],
            [count for _, count in bins],
            width=step,
            align="edge",
            color=ink["leader"],
            edgecolor=ink["ground"],
        )
        high = max(count for _, count in bins)
        right = 1.04 * max(bins[-1][0] + step, timeout[1] if timeout else 0.0)
        axes.set_ylim(0, high * 1.5)
        axes.set_xlim(0, right)
        if timeout is not None:
            axes.axvspan(*timeout, color=ink["fill"], zorder=0)
            words = f"timers run out after {timeout[0]:g} to {timeout[1]:g} ms"
            _beside(axes, timeout[0], high * 1.38, words, ink["follower"])
        for line, (at, word) in enumerate(zip(marks, ("half", "95 of 100"), strict=True)):
            top = (1.29 - 0.15 * line) / 1.5  # no line through the words of the one before
            axes.axvline(at, color=ink["ink"], linestyle=("-", "--")[line], ymax=top)
            text = f"{word} within {at:.0f} ms"
            _beside(axes, at, high * (1.22 - 0.15 * line), text, ink["ink"])
        axes.set_xlabel("from losing the leader to the next one, ms")
        axes.set_ylabel("elections")
    return figure


def _beside(axes: Any, at: float, y: float, text: str, colour: str) -> None:
    """Words right of a place, or left of it where the right has no room."""
    right = axes.get_xlim()[1]
    has_room = (right - at) / right * _PLOT_WIDTH > width(text)
    shift = 0.01 * right * (1 if has_room else -1)
    axes.text(at + shift, y, text, color=colour, ha="left" if has_room else "right")


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """A way of syncing: the longest time that an acked write waits for it, and the rate."""

    name: str
    window_seconds: float
    writes_per_second: float


def loss_curve(
    points: Sequence[SyncPoint],
    *,
    title: str,
    unit: str = "a second",
    alt: str = "",
    theme: Theme = "light",
) -> Plot:
    """Throughput against the window in which acked writes may be lost (0: none are).

    `unit` follows each number: where a rate would only tell of one machine, "% of the fastest".
    """
    assert points, "a curve needs a point"
    ordered = sorted(points, key=lambda each: each.window_seconds)
    smallest = min((e.window_seconds for e in ordered if e.window_seconds), default=1.0)
    zero = smallest / 30  # where a logarithmic axis shows "nothing is lost"
    places = [each.window_seconds or zero for each in ordered]
    ink = colours(theme)
    with styled(theme):
        figure, axes = _figure(title)
        rates = [each.writes_per_second for each in ordered]
        axes.plot(places, rates, color=ink["leader"], marker="o", linestyle="--", linewidth=1.2)
        axes.set_xscale("log")
        axes.set_xlim(zero / 3, places[-1] * _LABEL_ROOM)
        axes.set_ylim(0, max(rates) * 1.15)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        for at, each in zip(places, ordered, strict=True):
            axes.annotate(
                f"{each.name}\n{each.writes_per_second:,.0f} {unit}",
                (at, each.writes_per_second),
                xytext=(7, -5),
                textcoords="offset points",
                ha="left",
                va="top",
            )
        axes.set_xticks(places, [_duration(each.window_seconds) for each in ordered])
        axes.minorticks_off()
        axes.set_xlabel("acked writes that a power cut may take: the last …")
        axes.set_ylabel(f"writes, {unit}")
    told = "; ".join(
        f"{e.name} {e.writes_per_second:,.0f} {unit}, {_duration(e.window_seconds)} at risk"
        for e in ordered
    )
    rows = tuple(
        (e.name, _duration(e.window_seconds), f"{e.writes_per_second:,.0f}") for e in ordered
    )
    table = Table(("sync", "acked writes at risk", f"writes, {unit}"), rows)
    return Plot(figure, alt or f"{title}. {told}.", table)


def _figure(title: str) -> tuple[Any, Any]:
    """A figure that pyplot doesn't know of, so that nobody has to close it."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_axisbelow(True)
    return figure, axes


def _part(times: Sequence[float], part: float) -> float:
    """The time within which this part of the runs was over."""
    return times[max(0, ceil(part * len(times)) - 1)]


def _duration(seconds: float) -> str:
    if not seconds:
        return "none"
    size, unit = next(
        ((size, unit) for size, unit in reversed(_SECONDS) if seconds >= size), _SECONDS[0]
    )
    return f"{seconds / size:g} {unit}"
