"""The space-time diagram: who sent what to whom, and when it arrived.

A race can't be seen in a list of calls: each call looks right. Drawn over time it is plain,
two bars that overlap. A lane for each client on top, then for each server; time runs to the
right. An operation is a pill on its client's lane: solid when it worked, with ✗ when it was
refused, dotted with ? when nobody answered. Its request is a solid arrow to the server, its
answer a dotted one back; a message that was lost ends in ×. A shaded band says what befell
the lanes it covers, and between the sides of a cut runs a double line.

    show(space_time(["A", "n1"], [Operation("A", "n1", 0, 0.2, 0.3, 0.5, "get → 5")]))

A group of servers has more to tell: messages among themselves, who led when and in which
term (a thick stretch of the lane), who was down (a dashed one). All of it is a `Story`;
`storyline.story` makes one of a trace.

Left out: a folded axis. A wait of seconds beside calls of a millisecond needs two pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvcore.viz.figure import Picture, Table
from kvcore.viz.spaceplot import Plot

Outcome: TypeAlias = Literal["ok", "failed", "unknown"]
_TOLD_COUNT = 8  # operations that the alt text names


@dataclass(frozen=True, slots=True)
class Operation:
    """A client's call and its two messages; times in ms, None for what did not happen.

    `note` stands under the server's lane where the request arrives.
    """

    client: str
    server: str
    start: float
    reached: float | None
    answered: float | None
    end: float | None
    label: str
    outcome: Outcome = "ok"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """What befell some neighbouring lanes for a while; a cut names its sides."""

    start: float
    end: float
    lanes: tuple[str, ...]
    label: str
    sides: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One server's word to another; `arrived` is None if it was lost."""

    sender: str
    receiver: str
    sent: float
    arrived: float | None
    label: str = ""
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Reign:
    """Who led from when to when, in which term; `end` is None if it leads still."""

    server: str
    start: float
    end: float | None
    term: int


@dataclass(frozen=True, slots=True)
class Outage:
    """When a server was down or stood still, and the word for it."""

    server: str
    start: float
    end: float | None
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened on a server at one moment; `is_loss` draws it as one."""

    server: str
    at: float
    label: str
    is_loss: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """All that a space-time diagram shows. Lanes: the clients', then the servers'."""

    lanes: tuple[str, ...]
    operations: tuple[Operation, ...] = ()
    messages: tuple[Message, ...] = ()
    bands: tuple[Band, ...] = ()
    reigns: tuple[Reign, ...] = ()
    outages: tuple[Outage, ...] = ()
    marks: tuple[Mark, ...] = ()
    left_out: str = ""  # what it doesn't draw; the alt text says so

    @property
    def is_of_a_group(self) -> bool:
        """Whether servers do more in it than answer clients."""
        return bool(self.messages or self.reigns or self.outages or self.marks)

    @property
    def span(self) -> float:
        """The last moment."""
        times: list[float | None] = [each.end for each in self.bands]
        for call in self.operations:
            times += [call.start, call.reached, call.answered, call.end]
        for message in self.messages:
            times += [message.sent, message.arrived]
        for reign in self.reigns:
            times += [reign.start, reign.end]
        for outage in self.outages:
            times += [outage.start, outage.end]
        times += [mark.at for mark in self.marks]
        return max((at for at in times if at is not None), default=0.0) or 1.0


def space_time(
    lanes: Sequence[str],
    operations: Sequence[Operation],
    *,
    bands: Sequence[Band] = (),
    title: str = "what happened",
    alt: str = "",
) -> Picture:
    """Draws the operations over time, clients' lanes on top as `lanes` orders them."""
    return story_picture(
        Story(tuple(lanes), tuple(operations), bands=tuple(bands)), title=title, alt=alt
    )


def story_picture(story: Story, *, title: str = "what happened", alt: str = "") -> Picture:
    """Draws a story."""
    clients = tuple(dict.fromkeys(each.client for each in story.operations))
    plot = Plot.of(story.lanes, clients, story.span, is_of_a_group=story.is_of_a_group)
    plot.canvas.text(16, 22, title, "big")
    for band in story.bands:
        plot.band(band.start, band.end, band.lanes, band.label, band.sides)
    plot.frame()
    for reign in story.reigns:
        plot.reign(reign.server, reign.start, reign.end, reign.term)
    for outage in story.outages:
        plot.outage(outage.server, outage.start, outage.end, outage.label)
    for lane in story.lanes:
        mine = [each for each in story.operations if each.client == lane]
        for call in sorted(mine, key=lambda each: each.start):
            plot.pill(call.client, call.start, call.end, call.label, call.outcome)
    named: dict[tuple[str, str, float], None] = {}  # one word for what goes to many
    for message in story.messages:
        what = message.sender, message.label, message.sent
        label = "" if what in named else message.label
        named[what] = None
        inks = {each.server: "leader" for each in story.reigns if _rules(each, message)}
        ink = inks.get(message.sender, "follower")
        ends = (message.sender, message.sent), (message.receiver, message.arrived)
        plot.message(*ends, label, ink, is_answer=message.is_answer)
    for call in _by_arrival(story.operations):
        plot.call((call.client, call.start, call.end), (call.server, call.reached, call.answered))
        plot.note(call.server, call.reached, call.note)
    for mark in story.marks:
        plot.mark(mark.server, mark.at, mark.label, is_loss=mark.is_loss)
    plot.finish()
    said = alt or _sentence(title, story)
    table = _told(story) if story.is_of_a_group else _calls(story.operations, story.bands)
    return Picture(plot.canvas.render(plot.bottom + 34, title, said), said, table)


def _rules(reign: Reign, message: Message) -> bool:
    end = message.sent if reign.end is None else reign.end
    return reign.server == message.sender and reign.start <= message.sent <= end


def _sentence(title: str, story: Story) -> str:
    calls = _by_arrival(story.operations)
    told = "; ".join(f"{each.client} {each.label}" for each in calls[:_TOLD_COUNT])
    more = len(calls) - _TOLD_COUNT
    tail = f" and {more} more" if more > 0 else ""
    text = f"{title}: lanes {', '.join(story.lanes)}."
    if calls or not story.is_of_a_group:
        text += f" In the order of arrival: {told}{tail}."
    for reign in story.reigns:
        text += f" {reign.server} leads in term {reign.term} from {reign.start:.0f} ms."
    for stay in story.outages:
        text += f" {stay.server} {stay.label} at {stay.start:.0f} ms."
    text += "".join(f" {band.label}." for band in story.bands)
    if story.messages:
        lost = sum(each.arrived is None for each in story.messages)
        text += f" {len(story.messages)} messages between servers, {lost} of them lost."
    return text + (f" {story.left_out}" if story.left_out else "")


def _by_arrival(operations: Sequence[Operation]) -> list[Operation]:
    def arrival(each: Operation) -> float:
        return each.start if each.reached is None else each.reached

    return sorted(operations, key=arrival)


def _calls(operations: Sequence[Operation], bands: Sequence[Band]) -> Table:
    columns = ("client", "operation", "sent", "at the server", "answered", "heard", "outcome")
    rows: list[tuple[str, ...]] = [
        (
            each.client,
            each.label,
            _ms(each.start),
            _ms(each.reached),
            _ms(each.answered),
            _ms(each.end),
            each.outcome,
        )
        for each in _by_arrival(operations)
    ]
    rows += [
        (", ".join(band.lanes), band.label, _ms(band.start), "", "", _ms(band.end), "")
        for band in bands
    ]
    return Table(columns, tuple(rows))


def _told(story: Story) -> Table:
    """Everything in the order in which it began."""
    rows: list[tuple[float, tuple[str, ...]]] = []
    for call in story.operations:
        facts = (call.client, call.label, call.server, _ms(call.end), call.outcome)
        rows.append((call.start, facts))
    for sent in story.messages:
        what = sent.label or ("an answer" if sent.is_answer else "a message")
        outcome = "lost" if sent.arrived is None else "arrived"
        rows.append((sent.sent, (sent.sender, what, sent.receiver, _ms(sent.arrived), outcome)))
    rows += [
        (band.start, (", ".join(band.lanes), band.label, "", _ms(band.end), ""))
        for band in story.bands
    ]
    for reign in story.reigns:
        until = "still" if reign.end is None else _ms(reign.end)
        rows.append((reign.start, (reign.server, f"leads in term {reign.term}", "", until, "")))
    for stay in story.outages:
        until = "still" if stay.end is None else _ms(stay.end)
        rows.append((stay.start, (stay.server, stay.label, "", until, "")))
    rows += [(mark.at, (mark.server, mark.label, "", "", "")) for mark in story.marks]
    rows.sort(key=lambda each: each[0])
    columns = ("when", "who", "what", "to", "until", "outcome")
    return Table(columns, tuple((_ms(at), *facts) for at, facts in rows))


def _ms(moment: float | None) -> str:
    return "never" if moment is None else f"{moment:.2f} ms"
