"""The log strip: what a bucket's stream holds, one box an entry.

A bucket is a log, and most of what surprises people about it (revisions with gaps, deletes
that add something, values that vanish at a limit) is plain once the log can be seen. Each box
has its revision at the top left, its term at the top right when there is one, and `key=value`.
A committed entry is solid and filled, an uncommitted one dashed and empty, a truncated one
struck through; an entry that a limit, a roll-up or a purge removed stays as a ghost with the
reason. A bar by key on the left edge, and "last" under the entry that `get` finds. A vertical
rule marks the commit index.

`upto` draws the strip as it was when that revision was the newest.

Left out: several servers' logs in one picture; see `serverlogs.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import WIDTH, Canvas, fit

State: TypeAlias = Literal["committed", "uncommitted", "truncated", "removed"]
Operation: TypeAlias = Literal["put", "delete", "purge"]

_LEFT = 16
_TOP = 40
_BOX_WIDTH, _BOX_HEIGHT, _GAP = 88, 50, 12
_PER_ROW = 7
_ROW_HEIGHT = _BOX_HEIGHT + 40
_BARS = ("", "8 3", "2.5 3", "9 3 3 3")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log. `removed_at` is the revision whose arrival removed it (0: another
    cause), which matters only to a strip that is drawn `upto` an earlier moment.
    """

    revision: int
    key: str
    value: str = ""
    operation: Operation = "put"
    state: State = "committed"
    reason: str = ""
    term: int | None = None
    removed_at: int = 0

    @property
    def label(self) -> str:
        """`key=value`, or the operation for a marker without a value."""
        return f"{self.key}={self.value}" if self.operation == "put" else f"{self.key} ✕"


def log_strip(
    entries: Iterable[Entry],
    *,
    commit: int | None = None,
    title: str = "log",
    upto: int | None = None,
    boxes: int = 14,
    alt: str = "",
) -> Picture:
    """Draws the entries in the order of their revisions, folded in the middle beyond `boxes`."""
    log = _as_of(sorted(entries, key=lambda each: each.revision), upto)
    last = _last_by_key(log)
    keys = list(dict.fromkeys(each.key for each in log))
    shown = _folded(log, boxes)
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    for at, item in enumerate(shown):
        x, y = _place(at)
        if isinstance(item, int):
            _draw_fold(canvas, x, y, item)
        else:
            _draw_entry(canvas, (x, y), item, keys.index(item.key), is_last=item.revision in last)
    if commit is not None:
        _draw_commit(canvas, shown, commit)
    if not shown:
        canvas.text(_LEFT, _TOP + 28, "empty: no entry yet")
    table = _table(log, last)
    said = alt or _sentence(title, log, last, commit)
    return Picture(canvas.render(_height(shown, last), title, said), said, table)


def _as_of(log: list[Entry], upto: int | None) -> list[Entry]:
    """The log when `upto` was its newest revision: later removals have not happened yet."""
    if upto is None:
        return log
    seen = [each for each in log if each.revision <= upto]
    return [
        Entry(each.revision, each.key, each.value, each.operation, term=each.term)
        if each.state == "removed" and each.removed_at > upto
        else each
        for each in seen
    ]


def _last_by_key(log: Sequence[Entry]) -> dict[int, str]:
    """Revision → key, for each key's newest entry that is there."""
    newest = {each.key: each.revision for each in log if each.state == "committed"}
    return {revision: key for key, revision in newest.items()}


def _folded(log: list[Entry], boxes: int) -> list[Entry | int]:
    """The entries to draw, with the number of those left out in the middle."""
    if len(log) <= boxes:
        return list(log)
    head = (boxes - 1) // 2
    tail = boxes - 1 - head
    return [*log[:head], len(log) - head - tail, *log[-tail:]]


def _height(shown: list[Entry | int], last: dict[int, str]) -> float:
    """Room for the rows, and under the last of them for its captions."""
    rows = max(1, -(-len(shown) // _PER_ROW))
    bottom = [each for each in shown[(rows - 1) * _PER_ROW :] if isinstance(each, Entry)]
    lines = [_caption_lines(each, is_last=each.revision in last) for each in bottom]
    return _TOP + (rows - 1) * _ROW_HEIGHT + _BOX_HEIGHT + 10 + 13 * max(lines, default=0)


def _caption_lines(each: Entry, *, is_last: bool) -> int:
    if each.state in {"truncated", "removed"}:
        return 2 if each.reason else 1
    return (each.operation != "put") + (is_last or each.state == "uncommitted")


def _place(at: int) -> tuple[float, float]:
    row, column = divmod(at, _PER_ROW)
    return _LEFT + column * (_BOX_WIDTH + _GAP), _TOP + row * _ROW_HEIGHT


def _draw_entry(
    c: Canvas, at: tuple[float, float], each: Entry, key: int, *, is_last: bool
) -> None:
    x, y = at
    colour = f"key{key % len(_BARS) + 1}"
    edge, boxed = {
        "committed": ("ink-edge", True),
        "uncommitted": ("ink-edge dashed", False),
        "truncated": ("lost-edge dashed", False),
        "removed": ("line-edge dotted", False),
    }[each.state]
    gone = each.state in ("truncated", "removed")
    if boxed:
        c.rect(x, y, _BOX_WIDTH, _BOX_HEIGHT, "boxed")
    width = "2" if is_last else "1.2"
    c.rect(x, y, _BOX_WIDTH, _BOX_HEIGHT, edge, stroke_width=width)
    if not gone:
        bar = {"stroke_dasharray": _BARS[key % len(_BARS)]} if key % len(_BARS) else {}
        c.line(x + 4, y + 5, x + 4, y + _BOX_HEIGHT - 5, f"{colour}-edge", stroke_width="4", **bar)
    quiet = "small follower" if gone else "small"
    c.text(x + 11, y + 16, f"#{each.revision}", quiet)
    if each.term is not None:
        c.text(x + _BOX_WIDTH - 6, y + 16, f"t{each.term}", quiet, text_anchor="end")
    ink = {"truncated": " lost", "removed": " follower"}.get(each.state, "")
    if each.state == "truncated":
        c.line(x, y + _BOX_HEIGHT, x + _BOX_WIDTH, y, "lost-edge", stroke_width="1.2")
    c.text(x + 11, y + 36, fit(each.label, _BOX_WIDTH - 16), f"mono bold{ink}")
    _draw_caption(c, (x, y + _BOX_HEIGHT + 15), each, colour if is_last else "")


def _draw_caption(c: Canvas, at: tuple[float, float], each: Entry, last_colour: str) -> None:
    """Under the box: the reason of what is gone, the marker's name, or "last"."""
    x, y = at
    room = _BOX_WIDTH + _GAP - 4
    if each.state in ("truncated", "removed"):
        style = "small lost" if each.state == "truncated" else "small follower"
        word = "truncated" if each.state == "truncated" else "removed"
        c.text(x, y, fit(f"× {word}", room, 6.2), style)
        if each.reason:
            c.text(x, y + 13, fit(each.reason, room, 6.2), style)
        return
    if each.operation != "put":
        c.text(x, y, fit(f"{each.operation} marker", room, 6.2), "small")
        y += 13
    if last_colour:
        c.text(x, y, fit(f"● last of {each.key}", room, 6.2), f"small bold {last_colour}")
    elif each.state == "uncommitted":
        c.text(x, y, "not committed", "small")


def _draw_fold(c: Canvas, x: float, y: float, left_out: int) -> None:
    c.text(x + _BOX_WIDTH / 2, y + 24, "…", "big", text_anchor="middle")
    c.text(x + _BOX_WIDTH / 2, y + 40, f"{left_out} more", "small", text_anchor="middle")


def _draw_commit(c: Canvas, shown: list[Entry | int], commit: int) -> None:
    """The rule right of the last box at or below the commit index."""
    below = [
        at for at, each in enumerate(shown) if isinstance(each, Entry) and each.revision <= commit
    ]
    x, y = _place(below[-1]) if below else (_LEFT - _BOX_WIDTH - _GAP, _TOP)
    rule = x + _BOX_WIDTH + _GAP / 2
    c.line(rule, y - 8, rule, y + _BOX_HEIGHT + 6, "ink-edge", stroke_width="2")
    right = rule > WIDTH - 120
    anchor = "end" if right else "start"
    c.text(
        rule + (4 if right else -2), y - 12, f"commit index {commit}", "small", text_anchor=anchor
    )


def _table(log: Sequence[Entry], last: dict[int, str]) -> Table:
    with_term = any(each.term is not None for each in log)
    rows = []
    for each in log:
        notes = [each.reason] if each.reason else []
        notes += [f"last of {each.key}"] if each.revision in last else []
        term = (str(each.term),) if with_term else ()
        value = each.value if each.operation == "put" else "(no value)"
        facts = (each.key, each.operation, value, each.state, ", ".join(notes))
        rows.append((str(each.revision), *term, *facts))
    columns = ("revision", *(("term",) if with_term else ()))
    return Table((*columns, "key", "operation", "value", "state", "note"), tuple(rows))


def _sentence(title: str, log: Sequence[Entry], last: dict[int, str], commit: int | None) -> str:
    if not log:
        return f"{title}: an empty log."
    count = f"{len(log)} entr{'y' if len(log) == 1 else 'ies'}"
    text = f"{title}: {count}, revisions {log[0].revision} to {log[-1].revision}"
    gone = sum(each.state == "removed" for each in log)
    cut = sum(each.state == "truncated" for each in log)
    text += f", {gone} of them removed" if gone else ""
    text += f", {cut} truncated" if cut else ""
    text += f", commit index {commit}" if commit is not None else ""
    lasts = ", ".join(f"{key} at {revision}" for revision, key in sorted(last.items())[:4])
    more = len(last) - 4
    tail = f" and {more} more" if more > 0 else ""
    return f"{text}. The last entry of each key: {lasts}{tail}." if last else f"{text}."


assert _LEFT + _PER_ROW * (_BOX_WIDTH + _GAP) <= WIDTH + _GAP
