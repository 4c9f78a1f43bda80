"""Servers on a ring, each with its election timer as an arc that shrinks.

An election is a race of timers, and a race is seen best when the runners stand side by side.
Each server is a disc with its name and term, and around it what is left of its timer. A vote
is a dotted arrow to whoever got it. Lines join the servers that hear each other; a cut leaves
only those within a side, and names the sides.

    show(server_ring([Node("n1", "leader", term=2), Node("n2", term=2, timer=0.4)]))

The idea of the ring with arcs is RaftScope's. Left out: messages on their way; `spacetime`
has them.
"""

import math
from collections.abc import Sequence
from itertools import combinations

from kvcore.viz.figure import Picture
from kvcore.viz.nodecard import Node, node_sentence, node_table, timer_arc
from kvcore.viz.svg import WIDTH, Canvas

_MIDDLE_X, _MIDDLE_Y = WIDTH / 2, 206.0
_ACROSS, _DOWN = 150.0, 118.0
_DISC, _ARC = 30.0, 37.0


def server_ring(
    nodes: Sequence[Node],
    *,
    cut: Sequence[Sequence[str]] = (),
    title: str = "servers",
    alt: str = "",
) -> Picture:
    """Draws the servers; `cut` names the sides that don't hear each other."""
    canvas = Canvas()
    canvas.text(16, 22, title, "big")
    places = {node.name: _place(at, len(nodes)) for at, node in enumerate(nodes)}
    for one, other in combinations(nodes, 2):
        is_vote = other.name == one.voted_for or one.name == other.voted_for
        hears = _side(cut, one.name) == _side(cut, other.name)
        if hears and not (one.down or other.down or is_vote):
            canvas.line(*places[one.name], *places[other.name], "line-edge")
    for node in nodes:
        if node.voted_for and node.voted_for != node.name and node.voted_for in places:
            _vote(canvas, places[node.name], places[node.voted_for])
    for node in nodes:
        _disc(canvas, places[node.name], node)
        _words(canvas, places[node.name], node)
    height = max((y for _, y in places.values()), default=60.0) + _ARC + 18
    sides = " ‖ ".join(" ".join(side) for side in cut)
    if cut:
        canvas.text(16, height + 6, f"cut: {sides}", "bold lost")
        height += 20
    said = alt or " ".join(
        [f"{title}.", *map(node_sentence, nodes), *([f"The network is cut: {sides}."] * bool(cut))]
    )
    return Picture(canvas.render(height, title, said), said, node_table(nodes))


def _place(at: int, count: int) -> tuple[float, float]:
    """Clockwise from the top."""
    angle = 2 * math.pi * at / max(count, 1)
    return (
        round(_MIDDLE_X + _ACROSS * math.sin(angle), 1),
        round(_MIDDLE_Y - _DOWN * math.cos(angle), 1),
    )


def _side(cut: Sequence[Sequence[str]], name: str) -> int:
    return next((at for at, side in enumerate(cut) if name in side), -1)


def _vote(c: Canvas, voter: tuple[float, float], candidate: tuple[float, float]) -> None:
    """From the edge of one disc to the edge of the other."""
    (x1, y1), (x2, y2) = voter, candidate
    length = max(1.0, math.hypot(x2 - x1, y2 - y1))
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    gap = _ARC + 4
    start = round(x1 + gap * ux, 1), round(y1 + gap * uy, 1)
    tip = round(x2 - gap * ux, 1), round(y2 - gap * uy, 1)
    c.arrow(start, tip, "candidate", "dotted")


def _disc(c: Canvas, place: tuple[float, float], node: Node) -> None:
    x, y = place
    role = node.style
    c.circle(x, y, _ARC + 3, "ground")
    c.circle(x, y, _DISC, "ground" if node.down else "boxed")
    style = "line-edge dashed" if node.down else f"{role}-edge"
    c.circle(x, y, _DISC, style, stroke_width="2")
    struck = " struck" if node.down else ""
    c.text(x, y - 1, node.name, f"bold {role}{struck}", text_anchor="middle")
    c.text(x, y + 15, f"t{node.term}", "small", text_anchor="middle")
    if node.timer is not None and not node.down:
        timer_arc(c, place, _ARC, node.timer, role)


def _words(c: Canvas, place: tuple[float, float], node: Node) -> None:
    """Beside the disc, on the ring's outside."""
    x, y = place
    is_left = x < _MIDDLE_X - 1
    at = x - _ARC - 10 if is_left else x + _ARC + 10
    anchor = {"text_anchor": "end"} if is_left else {}
    role = node.style
    c.text(at, y - 12, node.state, f"bold {role}", **anchor)
    c.text(at, y + 3, f"log end {node.log_end}, commit {node.commit}", "small halo", **anchor)
    rest = []
    if node.voted_for:
        rest.append(f"voted for {node.voted_for}")
    if node.timer is not None and not node.down:
        rest.append(f"timer {round(100 * node.timer)} % left")
    for line, text in enumerate(rest):
        c.text(at, y + 17 + 14 * line, text, "small halo", **anchor)
