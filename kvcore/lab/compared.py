"""What to expect on a real nats-server: one table, kept as data.

The lessons run on kvcore and on nats-server from the same notebook. Most cells print the same;
where a result may differ, a row says what each does and why. Some rows say that both do the
same, since that surprises more than a difference would.

    expectations()                      # a pandas frame, a row for each topic
    expectations(cell="06")             # those that lesson 06 shows
    expected("discard").nats            # "new"; the rows themselves are EXPECTATIONS

Each row names what proves it: a test that asks running servers of both kinds, or the lessons
run on both; a cell of 01 to 06, 08 and 11 that no row names prints the same in both worlds.

Left out: what no lesson shows. `docs/differences.md` has every difference that we know of.
"""

from dataclasses import asdict, dataclass
from typing import Any

NATS_VERSION = "2.15.2"  # what the rows were compared with


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row. `kvcore` and `nats` are short enough to compare, and tests compare them."""

    id: str
    topic: str
    kvcore: str
    nats: str
    why: str
    cells: tuple[str, ...]  # where a lesson shows it: "06 cell-10"
    proof: str  # the test that asks both, or the row of docs/differences.md

    @property
    def differs(self) -> bool:
        """Whether the two do not do the same."""
        return self.kvcore != self.nats


_LIVE = "tests/lessons/test_expectations.py"
_WORLDS = "tests/lessons/test_worlds.py"  # both print what the lesson's cell prints

EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation(
        "copies",
        "copies of a bucket when nothing is said",
        "1",
        "1",
        "a copy costs a write on another machine; who wants one says --replicas 3",
        ("01 cell-06", "06 cell-05"),
        _LIVE,
    ),
    Expectation(
        "discard",
        "the discard policy of a bucket when nothing is said",
        "new",
        "new",
        "a full bucket refuses a new value sooner than it loses another key's",
        ("11 cell-05",),
        _LIVE,
    ),
    Expectation(
        "history",
        "values kept of a key when nothing is said",
        "1",
        "1",
        "most readers want the present; history up to 64 is a setting",
        ("04 cell-05",),
        _LIVE,
    ),
    Expectation(
        "sync",
        "when an acknowledged put is synced to disk",
        "before it is acknowledged",
        "every 2 minutes",
        "nats-server's sync_interval, for speed; sync_interval: always does as kvcore does",
        ("10 cell-11",),
        _LIVE,
    ),
    Expectation(
        "kill",
        "acknowledged puts lost when every server is killed (SIGKILL)",
        "none",
        "none",
        "the page cache is the operating system's, and survives the process",
        ("10 cell-10",),
        _LIVE,
    ),
    Expectation(
        "power",
        "acknowledged puts lost when every server loses its power",
        "none",
        "those since the last sync",
        "an unsynced page dies with the machine; a kill can't show it, a simulated disk can",
        ("10 cell-12",),
        "tests/durability/test_power_cuts.py",
    ),
    Expectation(
        "memory",
        "a bucket in memory, after a restart of its only server",
        "there, empty",
        "gone",
        "kvcore keeps each configuration in the log of its meta group",
        ("10 cell-07",),
        _LIVE,
    ),
    Expectation(
        "engine",
        "a bucket with the metadata kvcore.engine=floppy",
        "refused: 10052",
        "made",
        "rocksdb is kvcore's extension; NATS stores in files and memory, and metadata is a note",
        ("10 cell-05",),
        _LIVE,
    ),
    Expectation(
        "election",
        "silence after which a follower stands for election",
        "0.3 to 0.6 s",
        "4 to 9 s",
        "kvcore's timers are for a lesson; --timers nats has the others",
        ("06 cell-10", "06 cell-19"),
        _LIVE,
    ),
    Expectation(
        "heartbeat",
        "time between two heartbeats of an idle leader",
        "50 ms",
        "1 s",
        "as above, about 20 times faster",
        ("06 cell-19",),
        _LIVE,
    ),
    Expectation(
        "quorum",
        "a leader that no majority answers leads on for",
        "0.3 to 0.6 s",
        "10 to 20 s",
        "until then puts time out; afterwards they are refused at once, by both",
        ("08 cell-06", "08 cell-08"),
        _LIVE,
    ),
    Expectation(
        "minority",
        "a direct get by a client that sees one of three servers",
        "no answer",
        "a value, perhaps an old one",
        "kvcore's leader makes sure that it leads; nats-server lets any replica answer",
        ("08 cell-14",),
        _LIVE,
    ),
    Expectation(
        "placing",
        "a new bucket with 3 copies while one of three servers is down",
        "refused: 10005",
        "made",
        "kvcore counts on no server whose link is gone",
        ("06 cell-15",),
        _LIVE,
    ),
    Expectation(
        "offline",
        "a killed server, a second later, in the replicas of a bucket",
        "offline",
        "online",
        "nats-server gives a server up after more than 40 s of silence",
        ("06 cell-10",),
        _LIVE,
    ),
    Expectation(
        "leader",
        "which server leads a bucket of several copies",
        "the same in each run of a seed",
        "chance",
        "whose timer runs out first; the simulator draws timers from its seed",
        ("06 cell-05", "08 cell-02"),
        _LIVE,
    ),
    Expectation(
        "watcher",
        "a watcher, after a restart of its server",
        "hears the next put at once",
        "is silent for 10 to 20 s",
        "kvcore's first heartbeat tells its client to begin again; else the client has to miss two",
        ("05 cell-30",),
        _LIVE,
    ),
    Expectation(
        "race",
        "increments lost or refused when clients get and put at once",
        "the same number in each run of a seed",
        "any number",
        "who is faster; pictures of real requests put the server halfway, since nobody measured it",
        ("03 cell-06", "03 cell-09", "03 cell-24", "03 cell-26", "03 cell-28"),
        _WORLDS,
    ),
    Expectation(
        "late",
        "what is on its way when a connection breaks, or a paused server goes on",
        "lost, or not yet read, by the seed",
        "mostly there already",
        "a simulated link takes some tenths of a millisecond, loopback a few hundredths",
        ("03 cell-32", "03 cell-34", "05 cell-18", "05 cell-19", "05 cell-20"),
        _WORLDS,
    ),
    Expectation(
        "verbs",
        "power cuts and partitions on the control panel",
        "buttons",
        "a sentence",
        "a nats-server loses bytes for nobody, and only it knows what it has synced",
        ("06 cell-12",),
        _WORLDS,
    ),
)


def expected(topic: str) -> Expectation:
    """The row with this id; raises LookupError."""
    for row in EXPECTATIONS:
        if row.id == topic:
            return row
    raise LookupError(f"no row {topic!r}; there are {', '.join(row.id for row in EXPECTATIONS)}")


def expectations(cell: str = "", *, differing: bool = False) -> Any:
    """The table as a pandas frame, indexed by topic: kvcore, nats-server, why, cells.

    `cell` restricts it to a lesson ("06") or a cell ("06 cell-10"), `differing` to rows in
    which the two are not the same.
    """
    from pandas import DataFrame  # not where only the rows are wanted

    rows = [row for row in EXPECTATIONS if _shows(row, cell) and (row.differs or not differing)]
    frame = DataFrame([asdict(row) for row in rows], columns=["topic", "kvcore", "nats", "why"])
    frame["shown in"] = [", ".join(row.cells) for row in rows]
    return frame.rename(columns={"nats": f"nats-server {NATS_VERSION}"}).set_index("topic")


def _shows(row: Expectation, cell: str) -> bool:
    return not cell or any(each == cell or each.split()[0] == cell for each in row.cells)
