"""The node card: what one server is, at a glance.

Name, role with its sign, term, how far its log reaches and how much of it is committed, its
storage engine, and what a power cut would take. A server that is down keeps its card: the
edge is dashed, the name struck through, and the word says so.

A timer is an arc that shrinks as the time to the next election runs out. Where servers vote,
a card says for whom; of a server that tells nothing of itself, it says what is unknown; of
one that isn't of the group, that it has no copy.

Left out: load and memory; those are numbers for a plot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvcore.viz.figure import Picture, Table
from kvcore.viz.measure import shortened
from kvcore.viz.svg import WIDTH, Canvas

Role: TypeAlias = Literal["leader", "follower", "candidate", "unknown", "no copy"]

_LEFT, _TOP, _GAP = 16, 14, 14
_CARD_WIDTH, _CARD_HEIGHT, _FACT = 220, 146, 20
_PER_ROW = 3
_SIGNS = {
    "leader": "▲ leader",
    "follower": "follower",
    "candidate": "candidate",
    "unknown": "? unknown",
    "no copy": "no copy",
}


@dataclass(frozen=True, slots=True)
class Node:
    """What a card shows. `timer` is the part of the election time that is left, 0 to 1;
    `voted_for` is None where nobody votes. `doing` is the word for a server that does nothing,
    such as "paused". `lag`, of a server that is seen from outside, is how many entries it has
    yet to get; then its log isn't known.
    """

    name: str
    role: Role = "follower"
    term: int = 1
    log_end: int = 0
    commit: int = 0
    engine: str = "file"
    unsynced: int = 0
    down: bool = False
    timer: float | None = None
    votes: int = 0
    voted_for: str | None = None
    doing: str = ""
    lag: int | None = None

    @property
    def state(self) -> str:
        """The role's sign and word, or that it is down."""
        dots = " " + "●" * self.votes if self.role == "candidate" and self.votes else ""
        if self.down:
            return self.doing or "down"
        return _SIGNS[self.role] + dots + (f", {self.doing}" if self.doing else "")

    @property
    def style(self) -> str:
        """In whose colour it is drawn; the word and the edge tell the rest."""
        return "follower" if self.down or self.role == "no copy" else self.role

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The rows of its card: what, and how much."""
        if self.role == "no copy":
            return ()
        vote = () if self.voted_for is None else (("vote", self.voted_for or "none"),)
        if self.lag is not None:
            return (("behind by", _entries(self.lag)), *vote, ("engine", self.engine))
        if self.role == "unknown":
            return (("log end", "?"), ("commit index", "?"), *vote, ("engine", self.engine))
        return (
            ("log end", str(self.log_end)),
            ("commit index", str(self.commit)),
            *vote,
            ("engine", self.engine),
            ("not yet synced", _entries(self.unsynced)),
        )


def node_card(node: Node, *, alt: str = "") -> Picture:
    """One server."""
    return node_cards([node], alt=alt)


def node_cards(
    nodes: Sequence[Node], *, cut: Sequence[Sequence[str]] = (), alt: str = ""
) -> Picture:
    """Several servers, three in a row; `cut` names the sides that don't hear each other."""
    columns = min(_PER_ROW, max(1, len(nodes)))
    canvas = Canvas(2 * _LEFT + columns * (_CARD_WIDTH + _GAP) - _GAP)
    votes = any(node.voted_for is not None for node in nodes)
    tall = _CARD_HEIGHT + (_FACT if votes else 0)
    for at, node in enumerate(nodes):
        row, column = divmod(at, _PER_ROW)
        x = _LEFT + column * (_CARD_WIDTH + _GAP)
        _draw(canvas, (x, _TOP + row * (tall + _GAP)), tall, node)
    rows = max(1, -(-len(nodes) // _PER_ROW))
    height = 2 * _TOP + rows * (tall + _GAP) - _GAP
    said = alt or " ".join(node_sentence(node) for node in nodes)
    if cut:
        sides = " ‖ ".join(" ".join(side) for side in cut)
        canvas.text(_LEFT, height + 8, f"cut: {sides}", "bold lost")
        height += 22
        said += "" if alt else f" The network is cut: {sides}."
    return Picture(canvas.render(height, "servers", said), said, node_table(nodes))


def _draw(c: Canvas, at: tuple[float, float], tall: float, node: Node) -> None:
    x, y = at
    role = node.style
    if node.down:
        c.rect(x, y, _CARD_WIDTH, tall, "line-edge dashed", stroke_width="1.5")
    else:
        c.rect(x, y, _CARD_WIDTH, tall, "boxed")
        dotted = " dotted" if node.role in ("unknown", "no copy") else ""
        c.rect(x, y, _CARD_WIDTH, tall, f"{role}-edge{dotted}", stroke_width="2")
    name = "big follower struck" if node.down else "big"
    c.text(x + 14, y + 26, shortened(node.name, 150, name), name)
    has_term = node.term and node.role not in ("unknown", "no copy")
    term = "" if not has_term else f" · term {node.term}"
    c.text(x + 14, y + 46, f"{node.state}{term}", f"bold {role}")
    for place, (label, value) in enumerate(node.facts):
        base = y + 70 + place * _FACT
        c.text(x + 14, base, label, "follower")
        lost = " lost" if label == "not yet synced" and node.unsynced else ""
        c.text(x + _CARD_WIDTH - 14, base, value, f"mono bold{lost}", text_anchor="end")
    c.line(x + 14, y + 54, x + _CARD_WIDTH - 14, y + 54, "line-edge")
    if node.timer is not None and not node.down:
        c.circle(x + _CARD_WIDTH - 28, y + 26, 12, "line-edge", stroke_width="1.2")
        timer_arc(c, (x + _CARD_WIDTH - 28, y + 26), 12, node.timer, role)


def timer_arc(
    c: Canvas, middle: tuple[float, float], radius: float, left: float, role: str
) -> None:
    """The part of a ring that is left, clockwise from the top."""
    x, y = middle
    part = min(max(left, 0.0), 0.999)
    angle = 2 * math.pi * part
    end = f"{x + radius * math.sin(angle):.2f} {y - radius * math.cos(angle):.2f}"
    arc = f"M{x:g} {y - radius:g}A{radius:g} {radius:g} 0 {int(part > 0.5)} 1 {end}"
    c.path(arc, f"{role}-edge", stroke_width="4")


def _entries(count: int) -> str:
    return "nothing" if not count else f"{count} entr{'y' if count == 1 else 'ies'}"


def node_sentence(node: Node) -> str:
    """One server in words."""
    if node.role == "no copy":
        return f"{node.name} {f'is {node.doing}; it ' if node.doing else ''}has no copy."
    if node.down:
        end = "" if node.role == "unknown" else f"; its log ends at {node.log_end}"
        return f"{node.name} is {node.state}{end}."
    if node.lag is not None:
        return f"{node.name} is {node.role}, behind by {_entries(node.lag)}."
    if node.role == "unknown":
        return f"{node.name} is {node.doing or 'up'}; its role is unknown."
    waits = f", {_entries(node.unsynced)} not yet synced" if node.unsynced else ""
    vote = f", voted for {node.voted_for}" if node.voted_for else ""
    timer = "" if node.timer is None else f", {_percent(node.timer)} of its timer left"
    doing = f" ({node.doing})" if node.doing else ""
    where = f"log end {node.log_end}, commit index {node.commit}, engine {node.engine}"
    return f"{node.name} is {node.role} in term {node.term}{doing}: {where}{waits}{vote}{timer}."


def node_table(nodes: Sequence[Node]) -> Table:
    """The servers as rows; votes and timers have columns where anyone has them."""
    columns = ["server", "role", "term", "log end", "commit index", "engine", "not yet synced"]
    votes = any(node.voted_for is not None for node in nodes)
    timers = any(node.timer is not None for node in nodes)
    rows = []
    for node in nodes:
        state = node.state if node.down else ", ".join(filter(None, (node.role, node.doing)))
        numbers = (str(node.term), str(node.log_end), str(node.commit))
        if node.role == "unknown" or node.lag is not None:
            numbers = ("?", "?", "?")
        row = [node.name, state, *numbers, node.engine, _entries(node.unsynced)]
        row = [node.name, state, *("",) * 5] if node.role == "no copy" else row
        row += [node.voted_for or ("" if node.role == "no copy" else "none")] if votes else []
        row += ["" if node.timer is None else f"{_percent(node.timer)} left"] if timers else []
        rows.append(tuple(row))
    more = (["vote"] if votes else []) + (["election timer"] if timers else [])
    return Table((*columns, *more), tuple(rows))


def _percent(part: float) -> str:
    return f"{round(100 * part)} %"


assert 2 * _LEFT + _PER_ROW * (_CARD_WIDTH + _GAP) - _GAP <= WIDTH
