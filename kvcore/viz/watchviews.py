"""Watch views: what each watcher heard of a log, a row a watcher, a column a revision.

Watchers of one bucket hear different things of the same writes: one began late, one follows a
single key, one was away. Under the log each has a row, and says of every revision how it came:
first (in the initial data), live, again (a second time), or not at all: skipped, though it
matches, or from before the watcher cared. A thick bar stands where the watcher said that the
initial data was complete.

    show(watch_views(log, [View("one", "web.timeout", [4, None, 6])], title="…"))

Left out: when each revision was heard; `steplines` draws how far behind a watcher is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kvcore.nats.subject import matches
from kvcore.viz.figure import Picture, Table
from kvcore.viz.logstrip import Entry
from kvcore.viz.svg import SMALL_CHARACTER, WIDTH, Canvas, fit

_LEFT, _NAMES, _TOP, _HEAD, _ROW = 16, 112, 38, 58, 40
_WIDEST, _GAP, _WORDS = 84, 10, 62  # narrower columns than _WORDS have signs alone
_SIGNS = {
    "first": ("●", "client"),
    "live": ("▶", "client"),
    "again": ("↻", "unknown"),
    "skipped": ("×", "lost"),
    "before": ("–", "follower"),
    "other key": ("·", "follower"),
}
_MEANS = {
    "first": "in the initial data",
    "live": "as it was written",
    "again": "a second time",
    "skipped": "matches, never heard",
    "before": "older than the watch",
    "other key": "does not match",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a watcher on `pattern` heard: revisions in its order, None for the end of the initial
    data. A watcher without that mark (updates only) has no initial data.
    """

    name: str
    pattern: str
    heard: Sequence[int | None]

    def state(self, entry: Entry) -> str:
        """How this entry came to the watcher."""
        if not matches(self.pattern, entry.key):
            return "other key"
        count = self.heard.count(entry.revision)
        if count > 1:
            return "again"
        if count == 0:
            began = min((each for each in self.heard if each is not None), default=0)
            return "before" if not began or entry.revision < began else "skipped"
        return "first" if self._place(entry.revision) < self._marked else "live"

    def _place(self, revision: int) -> int:
        return self.heard.index(revision)

    @property
    def _marked(self) -> int:
        return self.heard.index(None) if None in self.heard else -1

    @property
    def initial(self) -> int | None:
        """The last revision of the initial data: 0 if there was none, None without the mark."""
        if None not in self.heard:
            return None
        return max((each for each in self.heard[: self._marked] if each is not None), default=0)


def watch_views(
    log: Iterable[Entry], views: Sequence[View], *, title: str, alt: str = ""
) -> Picture:
    """Draws the log's revisions as columns and each view as a row."""
    entries = sorted(log, key=lambda each: each.revision)
    pitch = min(_WIDEST, (WIDTH - _LEFT - _NAMES - 8) / max(len(entries), 1))
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    canvas.text(_LEFT, _TOP + 31, "the log", "small bold")
    for at, entry in enumerate(entries):
        _draw_head(canvas, _x(at, pitch), pitch, entry)
    for row, view in enumerate(views):
        _draw_row(canvas, _TOP + _HEAD + 10 + row * _ROW, pitch, entries, view)
    bottom = _TOP + _HEAD + 10 + len(views) * _ROW
    used = list(dict.fromkeys(view.state(each) for view in views for each in entries))
    height = _draw_legend(canvas, bottom + 14, used, views)
    said = alt or _sentence(title, entries, views)
    return Picture(canvas.render(height, title, said), said, _table(entries, views))


def _x(at: int, pitch: float) -> float:
    return round(_LEFT + _NAMES + at * pitch, 1)


def _draw_head(c: Canvas, x: float, pitch: float, entry: Entry) -> None:
    width = round(pitch - (_GAP if pitch >= _WORDS else 4), 1)
    gone = entry.state == "removed"
    quiet = " follower" if gone else ""
    if not gone:
        c.rect(x, _TOP, width, _HEAD - 4, "boxed")
    c.rect(x, _TOP, width, _HEAD - 4, "line-edge dotted" if gone else "ink-edge")
    c.text(x + 5, _TOP + 15, f"#{entry.revision}", f"small{quiet}")
    what = entry.value if entry.operation == "put" else "✕"
    for line, (text, style) in enumerate(((entry.key.rpartition(".")[2], ""), (what, " bold"))):
        words = fit(text, width - 6, SMALL_CHARACTER)
        c.text(x + 5, _TOP + 30 + 15 * line, words, f"small mono{style}{quiet}")


def _draw_row(c: Canvas, y: float, pitch: float, log: Sequence[Entry], view: View) -> None:
    c.text(_LEFT, y + 18, fit(view.name, _NAMES - 6, 7.4), "small bold client")
    c.line(_LEFT + _NAMES, y + 30, WIDTH - 8, y + 30, "fill-edge")
    bar = None if view.initial is None else _x(0, pitch) - 5
    for at, entry in enumerate(log):
        x, state = _x(at, pitch), view.state(entry)
        sign, ink = _SIGNS[state]
        words = f"{sign} {state}" if pitch >= _WORDS and state != "other key" else sign
        c.text(x + 5, y + 18, words, f"small bold {ink}" if ink != "follower" else "small follower")
        if view.initial is not None and entry.revision <= view.initial:
            bar = _x(at + 1, pitch) - (5 if pitch >= _WORDS else 3)
    if bar is not None:
        c.line(bar, y + 2, bar, y + 27, "ink-edge", stroke_width="4")


def _draw_legend(c: Canvas, y: float, used: Sequence[str], views: Sequence[View]) -> float:
    """What the signs mean, in lines that fit; returns the picture's height."""
    parts = [f"{_SIGNS[each][0]} {_MEANS[each]}" for each in _SIGNS if each in used]
    if any(view.initial is not None for view in views):
        parts.append("▌ None: the initial data is complete")
    x = float(_LEFT)
    for part in parts:
        width = len(part) * 6.1 + 18
        if x + width > WIDTH and x > _LEFT:
            x, y = float(_LEFT), y + 16
        c.text(x, y, part, "small")
        x += width
    return y + 12


def _sentence(title: str, log: Sequence[Entry], views: Sequence[View]) -> str:
    told = []
    for view in views:
        heard = ", ".join("None" if each is None else f"{each}" for each in view.heard) or "nothing"
        skipped = sum(view.state(each) == "skipped" for each in log)
        told.append(f"{view.name} heard {heard}" + (f" and skipped {skipped}" if skipped else ""))
    return f"{title}. {len(log)} revisions; {'; '.join(told)}."


def _table(log: Sequence[Entry], views: Sequence[View]) -> Table:
    rows = []
    for each in log:
        what = each.value if each.operation == "put" else f"({each.operation})"
        gone = "removed" if each.state == "removed" else "there"
        rows.append(
            (f"{each.revision}", each.key, what, gone, *(view.state(each) for view in views))
        )
    return Table(("revision", "key", "value", "now", *(view.name for view in views)), tuple(rows))
