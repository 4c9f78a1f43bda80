"""The logs of a group's servers under each other: the same index, the same column.

What Raft promises is a promise about several logs at once, so they are drawn together. Each
entry has its index at the top left, its term at the top right, and what it says. Up to the
commit index that its server knows of, an entry is solid and filled; beyond, dashed and empty.
An entry that its server had to give up stands struck through under the place that it had. A
thick rule ends what is committed. Under a follower's row are the leader's two pointers into
it: ● match, the last entry known to be there, and ↑ next, the one to be sent next.

    show(server_logs([ServerLog("n1", (LogEntry(1, 1, "a=v"),), commit=1, role="leader")]))

A long log folds in the middle. Two looks at the same servers show what was given up between
them: `truncations(before, after)`.

Left out: which of a snapshot's entries are gone; a log may simply begin later than at 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvcore.viz.figure import Picture, Table
from kvcore.viz.measure import lines, shortened
from kvcore.viz.nodecard import Role
from kvcore.viz.svg import WIDTH, Canvas

_LEFT, _NAMES, _TOP = 16, 132, 44
_BOX_WIDTH, _BOX_HEIGHT, _PITCH = 62, 40, 66
_ROW, _TRUNCATED_ROW = 64, 56
COLUMNS_COUNT = int((WIDTH - _NAMES - 8) // _PITCH)  # that fit; one of them may be a fold
_HEAD_COUNT = 2  # that a fold leaves at the beginning


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a server's log; `text` is what it does, such as "a=v"."""

    index: int
    term: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class ServerLog:
    """One server's log, and how much of it the server knows to be committed."""

    name: str
    entries: tuple[LogEntry, ...] = ()
    commit: int = 0
    role: Role = "follower"
    term: int = 0
    truncated: tuple[LogEntry, ...] = ()
    down: bool = False


@dataclass(frozen=True, slots=True)
class Pointers:
    """What the leader knows of a follower's log."""

    server: str
    match: int
    next: int


def truncations(before: Sequence[ServerLog], after: Sequence[ServerLog]) -> tuple[ServerLog, ...]:
    """`after`, with the entries of `before` that the same server has no longer, as truncated.

    What a log no longer begins with was compacted, and isn't meant.
    """
    earlier = {each.name: each for each in before}
    told = []
    for log in after:
        old = earlier.get(log.name)
        if old is None:
            told.append(log)
            continue
        has = {(each.index, each.term) for each in log.entries}
        first = log.entries[0].index if log.entries else log.commit + 1
        gone = [
            each
            for each in (*old.truncated, *old.entries)
            if each.index >= first and (each.index, each.term) not in has
        ]
        told.append(replace(log, truncated=tuple(gone)))
    return tuple(told)


def server_logs(
    logs: Sequence[ServerLog],
    *,
    pointers: Sequence[Pointers] = (),
    title: str = "logs",
    columns: int = COLUMNS_COUNT,
    alt: str = "",
) -> Picture:
    """Draws the logs; `columns` (at most 8) is how many entries there may be before they fold."""
    shown = _columns(logs, pointers, min(columns, COLUMNS_COUNT))
    at = {index: place for place, index in enumerate(shown)}
    known = {each.server: each for each in pointers}
    canvas = Canvas()
    canvas.text(_LEFT, 22, title, "big")
    y = float(_TOP)
    for log in logs:
        y = _Row(canvas, y, at, log).draw(known.get(log.name), _hidden(logs, shown))
    y = _legend(canvas, y + 6, logs, pointers)
    said = alt or _sentence(title, logs)
    return Picture(canvas.render(y, title, said), said, _table(logs, known))


def _columns(logs: Sequence[ServerLog], pointers: Sequence[Pointers], room: int) -> list[int]:
    """The indices to draw, 0 where some are folded."""
    drawn = {each.index: None for log in logs for each in (*log.entries, *log.truncated)}
    drawn |= {each.next: None for each in pointers}
    indices = sorted(drawn)
    if len(indices) <= room:
        return indices
    return [*indices[:_HEAD_COUNT], 0, *indices[len(indices) - (room - _HEAD_COUNT - 1) :]]


def _hidden(logs: Sequence[ServerLog], shown: Sequence[int]) -> dict[str, int]:
    """How many entries of each server the fold hides."""
    return {log.name: sum(each.index not in shown for each in log.entries) for log in logs}


@dataclass(frozen=True, slots=True)
class _Row:
    """One server's row on the canvas."""

    canvas: Canvas
    y: float
    at: dict[int, int]
    log: ServerLog

    def x(self, index: int) -> float:
        return _NAMES + self.at[index] * _PITCH

    def draw(self, pointers: Pointers | None, hidden: dict[str, int]) -> float:
        """Draws the row and returns where the next one begins."""
        self._name()
        for each in self.log.entries:
            if each.index in self.at:
                self._box(each)
        if 0 in self.at and hidden[self.log.name]:
            middle = self.x(0) + _BOX_WIDTH / 2
            c = self.canvas
            c.text(middle, self.y + 18, "…", "big", text_anchor="middle")
            more = f"{hidden[self.log.name]} more"
            c.text(middle, self.y + 34, more, "small", text_anchor="middle")
        self._rule()
        if pointers is not None:
            self._pointers(pointers)
        gone = [each for each in self.log.truncated if each.index in self.at]
        for each in gone:
            self._struck(each)
        return self.y + _ROW + (_TRUNCATED_ROW if gone else 0)

    def _name(self) -> None:
        c, log = self.canvas, self.log
        role = "follower" if log.down else log.role
        sign = " ▲" if role == "leader" else ""
        style = f"bold {role} struck" if log.down else f"bold {role}"
        c.text(_LEFT, self.y + 12, shortened(log.name + sign, _NAMES - _LEFT - 6, style), style)
        state = "down" if log.down else log.role
        c.text(_LEFT, self.y + 26, f"{state} · term {log.term}" if log.term else state, "small")
        c.text(_LEFT, self.y + 40, f"commit index {log.commit}", "small")

    def _box(self, each: LogEntry) -> None:
        c, x, y = self.canvas, self.x(each.index), self.y
        ink = "leader-edge" if self.log.role == "leader" and not self.log.down else "ink-edge"
        if each.index <= self.log.commit:
            c.rect(x, y, _BOX_WIDTH, _BOX_HEIGHT, "boxed")
            c.rect(x, y, _BOX_WIDTH, _BOX_HEIGHT, ink, stroke_width="1.6")
        else:
            c.rect(x, y, _BOX_WIDTH, _BOX_HEIGHT, f"{ink} dashed", stroke_width="1.6")
        self._words(each, y, "")

    def _struck(self, each: LogEntry) -> None:
        c, x, y = self.canvas, self.x(each.index), self.y + _BOX_HEIGHT + 18
        c.rect(x, y, _BOX_WIDTH, 36, "lost-edge dashed", stroke_width="1.4")
        self._words(each, y - 3, " lost")
        c.line(x, y + 36, x + _BOX_WIDTH, y, "lost-edge", stroke_width="1.4")
        c.text(x, y + 49, "truncated", "small lost")

    def _words(self, each: LogEntry, y: float, ink: str) -> None:
        c, x = self.canvas, self.x(each.index)
        c.text(x + 5, y + 14, f"#{each.index}", f"small{ink}")
        right = {"text_anchor": "end"}
        c.text(x + _BOX_WIDTH - 5, y + 14, f"t{each.term}", f"small{ink}", **right)
        style = f"small mono bold{ink}"
        text = shortened(each.text, _BOX_WIDTH - 8, style)
        c.text(x + _BOX_WIDTH / 2, y + 32, text, style, text_anchor="middle")

    def _rule(self) -> None:
        """Right of the last entry that is drawn and committed."""
        own = [each.index for each in self.log.entries if each.index <= self.log.commit]
        drawn = [index for index in own if index in self.at]
        if not own:
            return
        x = self.x(drawn[-1] if drawn and drawn[-1] == own[-1] else 0) + _BOX_WIDTH + 2
        self.canvas.line(x, self.y - 5, x, self.y + _BOX_HEIGHT + 5, "ink-edge", stroke_width="4")

    def _pointers(self, pointers: Pointers) -> None:
        c, y = self.canvas, self.y + _BOX_HEIGHT + 14
        style = "small bold leader"
        if pointers.match in self.at:
            c.text(self.x(pointers.match) + 4, y, "● match", style)
        if pointers.next in self.at:
            c.text(self.x(pointers.next) + 4, y, "↑ next", style)


def _legend(c: Canvas, y: float, logs: Sequence[ServerLog], pointers: Sequence[Pointers]) -> float:
    parts = ["▌ commit index"]
    if any(each.index > log.commit for log in logs for each in log.entries):
        parts.append("dashed: not known to be committed")
    if any(log.truncated for log in logs):
        parts.append("struck through: given up")
    if pointers:
        parts.append("● match, ↑ next: what the leader knows of a follower")
    told = lines(" · ".join(parts), WIDTH - 2 * _LEFT, "small")
    for at, line in enumerate(told):
        c.text(_LEFT, y + 8 + 15 * at, line, "small follower")
    return y + 5 + 15 * len(told)


def _sentence(title: str, logs: Sequence[ServerLog]) -> str:
    told = []
    for log in logs:
        last = log.entries[-1].index if log.entries else 0
        role = "down" if log.down else log.role
        text = f"{log.name} ({role}) has entries up to {last} and knows {log.commit} committed"
        if log.truncated:
            gone = ", ".join(f"{each.index} of term {each.term}" for each in log.truncated)
            text += f", truncated {gone}"
        told.append(text)
    return f"{title}: {'; '.join(told)}."


def _table(logs: Sequence[ServerLog], pointers: dict[str, Pointers]) -> Table:
    rows = []
    for log in logs:
        entries = [(each, _state(each, log)) for each in log.entries]
        entries += [(each, "truncated") for each in log.truncated]
        for each, state in sorted(entries, key=lambda one: (one[0].index, one[1] != "truncated")):
            rows.append((log.name, f"{each.index}", f"{each.term}", each.text, state))
        if log.name in pointers:
            known = pointers[log.name]
            rows.append((log.name, "", "", f"match {known.match}, next {known.next}", "pointers"))
    return Table(("server", "index", "term", "entry", "state"), tuple(rows))


def _state(each: LogEntry, log: ServerLog) -> str:
    return "committed" if each.index <= log.commit else "not committed"
