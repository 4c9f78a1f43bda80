"""The node card: what one server is, at a glance.

Name, role with its sign, term, how far its log reaches and how much of it is committed, its
storage engine, and what a power cut would take. A server that is down keeps its card: the
edge is dashed, the name struck through, and the word says so.

A timer is an arc that shrinks as the time to the next election runs out.

Left out: load and memory; those are numbers for a plot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvcore.viz.figure import Picture, Table
from kvcore.viz.svg import WIDTH, Canvas, fit

Role: TypeAlias = Literal["leader", "follower", "candidate"]

_LEFT, _TOP, _GAP = 16, 14, 14
_CARD_WIDTH, _CARD_HEIGHT = 220, 146
_PER_ROW = 3
_SIGNS = {"leader": "▲ leader", "follower": "follower", "candidate": "candidate"}


@dataclass(frozen=True, slots=True)
class Node:
    """What a card shows. `timer` is the part of the election time that is left, 0 to 1."""

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

    @property
    def state(self) -> str:
        """The role's sign and word, or that it is down."""
        dots = " " + "●" * self.votes if self.role == "candidate" and self.votes else ""
        return "down" if self.down else _SIGNS[self.role] + dots


def node_card(node: Node, *, alt: str = "") -> Picture:
    """One server."""
    return node_cards([node], alt=alt)


def node_cards(nodes: Sequence[Node], *, alt: str = "") -> Picture:
    """Several servers, three in a row."""
    columns = min(_PER_ROW, max(1, len(nodes)))
    canvas = Canvas(2 * _LEFT + columns * (_CARD_WIDTH + _GAP) - _GAP)
    for at, node in enumerate(nodes):
        row, column = divmod(at, _PER_ROW)
        x = _LEFT + column * (_CARD_WIDTH + _GAP)
        _draw(canvas, x, _TOP + row * (_CARD_HEIGHT + _GAP), node)
    rows = max(1, -(-len(nodes) // _PER_ROW))
    height = 2 * _TOP + rows * (_CARD_HEIGHT + _GAP) - _GAP
    said = alt or " ".join(_sentence(node) for node in nodes)
    return Picture(canvas.render(height, "servers", said), said, _table(nodes))


def _draw(c: Canvas, x: float, y: float, node: Node) -> None:
    role = "follower" if node.down else node.role
    if node.down:
        c.rect(x, y, _CARD_WIDTH, _CARD_HEIGHT, "line-edge dashed", stroke_width="1.5")
    else:
        c.rect(x, y, _CARD_WIDTH, _CARD_HEIGHT, "boxed")
        c.rect(x, y, _CARD_WIDTH, _CARD_HEIGHT, f"{role}-edge", stroke_width="2")
    name = "big follower struck" if node.down else "big"
    c.text(x + 14, y + 26, fit(node.name, 120, 9), name)
    c.text(x + 14, y + 46, f"{node.state} · term {node.term}", f"bold {role}")
    facts = (
        ("log end", str(node.log_end)),
        ("commit index", str(node.commit)),
        ("engine", node.engine),
        ("not yet synced", _entries(node.unsynced)),
    )
    for at, (label, value) in enumerate(facts):
        base = y + 70 + at * 20
        c.text(x + 14, base, label, "follower")
        lost = " lost" if label == "not yet synced" and node.unsynced else ""
        c.text(x + _CARD_WIDTH - 14, base, value, f"mono bold{lost}", text_anchor="end")
    c.line(x + 14, y + 54, x + _CARD_WIDTH - 14, y + 54, "line-edge")
    if node.timer is not None and not node.down:
        _draw_timer(c, x + _CARD_WIDTH - 28, y + 26, node.timer, role)


def _draw_timer(c: Canvas, x: float, y: float, left: float, role: str) -> None:
    """A ring, and on it the arc of what is left, clockwise from the top."""
    radius = 12.0
    c.circle(x, y, radius, "line-edge", stroke_width="1.2")
    part = min(max(left, 0.0), 0.999)
    angle = 2 * math.pi * part
    end = f"{x + radius * math.sin(angle):.2f} {y - radius * math.cos(angle):.2f}"
    large = int(part > 0.5)
    arc = f"M{x:g} {y - radius:g}A{radius:g} {radius:g} 0 {large} 1 {end}"
    c.path(arc, f"{role}-edge", stroke_width="4")


def _entries(count: int) -> str:
    return "nothing" if not count else f"{count} entr{'y' if count == 1 else 'ies'}"


def _sentence(node: Node) -> str:
    if node.down:
        return f"{node.name} is down; its log ends at {node.log_end}."
    waits = f", {_entries(node.unsynced)} not yet synced" if node.unsynced else ""
    where = f"log end {node.log_end}, commit index {node.commit}, engine {node.engine}"
    return f"{node.name} is {node.role} in term {node.term}: {where}{waits}."


def _table(nodes: Sequence[Node]) -> Table:
    columns = ("server", "role", "term", "log end", "commit index", "engine", "not yet synced")
    rows = tuple(
        (
            node.name,
            "down" if node.down else node.role,
            str(node.term),
            str(node.log_end),
            str(node.commit),
            node.engine,
            _entries(node.unsynced),
        )
        for node in nodes
    )
    return Table(columns, rows)


assert 2 * _LEFT + _PER_ROW * (_CARD_WIDTH + _GAP) - _GAP <= WIDTH
