"""What a test clicks in each lesson, and what must follow: in Python, and in the picture.

A widget of a lesson has a row here, in the order in which they stand in it. Each row is
clicked twice: in the light theme, then, otherwise, in the dark one. `figure` begins the alt
text of the lesson's main figure, of which a screenshot is kept.
"""

from dataclasses import dataclass
from typing import TypeAlias

# The cluster that the newest panel acts on, whatever the lesson's variables have become since.
_BEHIND = """
import gc
from ipywidgets.widgets.widget import _instances
from kvcore.lab.panel import _Frame
panels = {each._picture.model_id: each for each in gc.get_objects() if isinstance(each, _Frame)}
panel = [panels[name] for name in _instances if name in panels][-1]
print(*(f"{each.name} is {each.status}" for each in panel._cluster.servers))
"""
_LIVE = "import ipywidgets.widgets.widget as live; live = live._instances.values()\n"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The row of choices of a `predict`: its first choice is taken, in the dark its last."""

    name: str


@dataclass(frozen=True, slots=True)
class Click:
    """What is pressed, by its words; what the widget's picture then says, and what Python."""

    press: tuple[str, ...]
    shown: str
    says: str  # a pattern for all that `code` prints
    code: str = _BEHIND
    hidden: str = ""  # what the picture says no more


@dataclass(frozen=True, slots=True)
class Controls:
    """Buttons, or a slider (`press` is then a key)."""

    light: Click
    dark: Click


Widget: TypeAlias = Prediction | Controls


@dataclass(frozen=True, slots=True)
class Lesson:
    """A row of the table."""

    figure: str
    widgets: tuple[Widget, ...]
    again: tuple[str, ...] = ()  # cells, by their beginning, to go back to: their world is over


def _predictions(lesson: str, *names: str) -> tuple[Widget, ...]:
    return tuple(Prediction(f"{lesson}.{name}") for name in names)


_TESTED = _LIVE + "print(next(w.description for w in live if type(w).__name__ == 'Button'))"
_SLID = _LIVE + "print(next(w.value for w in live if type(w).__name__ == 'IntSlider'))"
_PUTS = "for kv in (ann, bo, ann, bo):\n    print((await put(kv, b'pink')).split()[0])"
_UNTIL_ACKED = """
while not (await put(bo, b'rose')).startswith('acked'):
    await asyncio.sleep(0.1)
print((await ann.get('c')).value)
"""
_LEFT = """
kv = await (await cluster.connect()).jetstream().key_value("desk")
print(f"{cluster.servers[0]}, {60 - len(await kv.keys())} lost")
"""

LESSONS = {
    "00": Lesson(
        "n1 is down",
        (
            Controls(
                Click(("click to test",), "", "✓ PASS: heard\n", _TESTED),
                Click(("✓ PASS: heard",), "", "✓ PASS: heard, 2 times\n", _TESTED),
            ),
            *_predictions("00", "jetstream", "crash"),
            Controls(
                Click(("crash n1",), "n1 is down", "n1 is crashed\n"),
                Click(("restart n1",), "n1 is leader", "n1 is up\n", hidden="n1 is down"),
            ),
        ),
    ),
    "01": Lesson("4 commands and what came of each", _predictions("01", "bytes", "shown")),
    "02": Lesson(
        "after the lever",
        (
            *_predictions("02", "revisions"),
            Controls(
                Click(("ArrowLeft",), "bucket flags: 2 entries", "2\n", _SLID),
                Click(("ArrowRight",), "bucket flags: 3 entries", "3\n", _SLID),
            ),
            *_predictions("02", "raw", "delete", "lever"),
        ),
    ),
    "03": Lesson(
        "two increments of 5 make 6",
        _predictions("03", "put", "orders", "other", "wait", "pause"),
    ),
    "04": Lesson(
        "Deleted keys cost bytes",
        _predictions("04", "depth", "gone", "expiry", "plug", "compact"),
    ),
    "05": Lesson(
        "The same nine writes",
        (
            *_predictions("05", "first", "empty", "cut", "skip", "freeze"),
            Controls(
                Click(("pause n1",), "paused", "n1 is paused\n"),
                Click(("resume n1",), "n1 is leader", "n1 is up\n", hidden="paused"),
            ),
        ),
    ),
    "06": Lesson(
        "R2 takes fewer puts",
        (
            *_predictions("06", "default", "leader"),
            Controls(
                Click(("n5", "crash n5"), "n5 is down", r".* n5 is crashed\n"),
                Click(("restart n5",), "n5 is ", r".* n5 is up\n", hidden="n5 is down"),
            ),
            *_predictions("06", "two", "jitter"),
        ),
    ),
    "07": Lesson(
        "The entry that was acked too early",
        _predictions("07", "ack", "one", "two", "late", "fast", "eight"),
    ),
    "08": Lesson(
        "two leaders, one that can commit",
        (
            *_predictions("08", "cut", "heal", "late"),
            Controls(  # the cut that exercise 5 asks for: nobody is answered until the heal
                Click(
                    ("n3 is on the one side of a partition", "partition"),
                    "cut: n1 n3 ‖ n2 n4 n5",
                    r"((unknown|error)\n){3}error\n",
                    _PUTS,
                ),
                Click(("heal",), "n1 is ", "b'rose'\n", _UNTIL_ACKED, hidden="cut:"),
            ),
        ),
    ),
    "10": Lesson(
        "Only always survives",
        (
            *_predictions("10", "engines", "kill"),
            Controls(
                Click(("power cut n1",), "n1 is without power", "n1 is without power\n"),
                Click(("restart n1",), "n1 is leader", r"n1 up, [1-9]\d* lost\n", _LEFT),
            ),
            *_predictions("10", "single"),
        ),
        again=("# The same five minutes", "# Your turn: put something"),
    ),
    "11": Lesson(
        "a with 90 bytes", _predictions("11", "full", "old", "stale", "net", "interest", "lower")
    ),
    "14": Lesson("A kill is not a power cut", _predictions("14", "copies", "silence", "killed")),
}
