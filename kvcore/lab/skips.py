"""Cells that a world can't run say so, in one line, and are not run.

Every lesson runs in every world from the same notebook. A cell of it may need a verb that the
world lacks, look into a server, or wait for an hour that costs nothing in virtual time. Such
cells are listed here and known by a line of their own: who edits that line, to wait for less,
has a cell that runs. At most five of a lesson are skipped on nats-servers that the notebook
starts; on a NATS by its URL, which is somebody's, nothing can be crashed or paused, either.

    Skipped in this world (nats-processes): this cell waits five minutes …

While a cluster of real servers is current, each cell passes through `instead` before it runs;
in a simulated world nothing is looked at.

Left out: cells of a learner's own. What they lack there, the verb itself says when it is called.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

INSIDE = "inside"  # needs the simulator's view into servers and messages
TIME = "time"  # waits for more than 5 s, which are nothing in virtual time
ORIGINAL = "original"  # waits for more than 5 s on a nats-server


@dataclass(frozen=True, slots=True)
class Skip:
    """One cell. `needs` is a verb of the cluster or one of the three words above."""

    lesson: str
    cell: str  # its id in the lesson's notebook
    line: str  # as it stands in this cell alone
    needs: str
    why: str  # the rest of the sentence


class World(Protocol):
    """A cluster, as far as skipping goes."""

    world: str

    def lacking(self, verb: str) -> str:
        """Why it has no such verb, or nothing."""


SKIPS: tuple[Skip, ...] = (
    Skip("01", "cell-29", 'await cluster.power_cut("n1")  # the put', "power_cut", ""),
    Skip("02", "cell-15", 'if "$KV.flags.c" in line)', INSIDE, "the server's sync"),
    Skip("02", "cell-29", "for tenths in range(2, 26, 3):", "power_cut", ""),
    Skip("03", "cell-13", "played = await play(work, gates, orders.pick)", INSIDE, "each order"),
    Skip("03", "cell-32", 'kv.update("mode", b"green", last=revision)', "pause", ""),
    Skip("03", "cell-34", 'late = asyncio.create_task(kv.update("mode", b"red"', "pause", ""),
    Skip("03", "cell-37", "await asyncio.sleep(11)", TIME, "11 s for a lock to expire"),
    Skip("04", "cell-17", "for seconds in (0, 3600 + 1):", TIME, "an hour for a login to expire"),
    Skip("04", "cell-19", 'js.get_last_msg("KV_marked"', TIME, "for the hour before it"),
    Skip("04", "cell-22", "await asyncio.sleep(61)", TIME, "a minute for a value to expire"),
    Skip("04", "cell-26", "await asyncio.sleep(2 * 3600)", TIME, "two hours without power"),
    Skip("04", "cell-31", 'await sessions(KeyValue.delete, "one")', TIME, "three hours"),
    Skip("05", "cell-28", "await asyncio.sleep(25)", TIME, "33 s while a server is silent"),
    Skip(
        "05",
        "cell-30",
        'r"Nats-Last-Consumer: \\d+"',
        ORIGINAL,
        "10 to 20 s: so late a watcher of nats-server notices a restart",
    ),
    Skip("05", "cell-34", "for second in range(60):", TIME, "two minutes"),
    Skip("05", "cell-36", "await asyncio.sleep(301)", TIME, "five minutes for a consumer to go"),
    Skip("06", "cell-10", 'print("all are up. Put:"', "crash", ""),
    Skip("06", "cell-12", 'control_panel(cluster, bucket="r3")', "crash", ""),
    Skip("06", "cell-15", "for failures in (1, 2, 3, 4):", TIME, "for 60 elections and more"),
    Skip("06", "cell-16", 'cells[f"R{r}", str(failures)]', TIME, "for the elections before it"),
    Skip("06", "cell-19", 'if each.kind == "election-timeout")', INSIDE, "timers and votes"),
    Skip("06", "cell-21", 'title=f"{leads.server} stands, and is elected"', INSIDE, "votes"),
    Skip("06", "cell-28", "swaps = [cluster.swap(name, can_grant_vote=never)", "swap", ""),
    Skip("08", "cell-06", 'await cluster.partition(["n1", "n2"]', INSIDE, "both sides of a cut"),
    Skip("08", "cell-08", 'title="two leaders, one that can commit"', INSIDE, "the cut before it"),
    Skip("08", "cell-10", 'title="both leaders appended, one committed"', INSIDE, "logs"),
    Skip("08", "cell-14", 'title="the minority\'s tail is cut off"', INSIDE, "the end of the cut"),
    Skip("11", "cell-37", '{"placement": {"tags": ["ssd"]}}', "crash", ""),
)


def told(skip: Skip, cluster: World) -> str:
    """What is printed in place of the cell; empty if the cluster's world can run it."""
    begin = f"Skipped in this world ({cluster.world}): this cell"
    if skip.needs == INSIDE:
        return f"{begin} looks at {skip.why}, which only Cluster.sim() shows."
    is_nats = cluster.world.startswith("nats")
    if skip.needs == TIME or (skip.needs == ORIGINAL and is_nats):
        return f"{begin} waits {skip.why}. In Cluster.sim() that takes no time."
    return f"Skipped. {cluster.lacking(skip.needs)}" if cluster.lacking(skip.needs) else ""


def instead(lines: Iterable[str], cluster: World) -> str:
    """What is printed in place of these lines of a cell; empty if the cell is to run."""
    text = "".join(lines)
    found = (told(each, cluster) for each in SKIPS if each.line in text)
    return next((sentence for sentence in found if sentence), "")


class Skipper:
    """What IPython passes each cell through while this cluster is current."""

    def __init__(self, cluster: World) -> None:
        self._cluster = cluster

    def __call__(self, lines: list[str]) -> list[str]:
        """The cell, or one line that says why it is not run."""
        sentence = instead(lines, self._cluster)
        return [f"print({sentence!r})\n"] if sentence else lines
