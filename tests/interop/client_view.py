"""The client's view of both kinds of servers: recorded, compared, written as a table.

    python -m tests.interop.client_view nats-server     asks the real one anew, some minutes
    python -m tests.interop.client_view kvcore          asks ours anew
    python -m tests.interop.client_view --check nats-server    no file is written; 1 if it differs
    python -m tests.interop.client_view                 writes the document from what is recorded

nats-server elects within 4 to 9 s and gives up within 10 to 20 s, so its rows are recorded;
ours are asked live by the tests. Where chance decides, the outcomes of all runs are recorded.
"""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.client_view import COLUMNS, FAULTS, PROBES, Rows, play, titles

HERE = Path(__file__).resolve().parent
RECORD = HERE / "client_view.json"
DOCUMENT = HERE.parents[1] / "docs" / "client-view.md"
ROUNDS = 2
SLOW = ("--timers", "nats")  # a moment before anybody notices must last until all have asked


@dataclass(frozen=True)
class Permitted:
    """Rows and questions whose outcome may differ, and why."""

    rows: tuple[str, ...]
    asked: tuple[str, ...]
    reason: str


PERMITTED: tuple[Permitted, ...] = (
    Permitted(
        ("A early", "A late", "B late", "C early", "C late", "E late"),
        ("DIRECT.GET", "kv get"),
        "there any replica answers; here the leader, once it has made sure that it leads",
    ),
    Permitted(("B early",), ("DIRECT.GET",), "the same"),
    Permitted(
        ("A early", "C early"),
        ("STREAM.MSG.GET",),
        "there the leader answers though it may lead no more; here it makes sure first",
    ),
    Permitted(
        ("A early", "A late", "B early", "B late"),
        ("DIRECT.GET, reads=any",),
        "the setting is ours: the replica on the client's server answers, not a stopped one",
    ),
    Permitted(
        ("E late",),
        ("kv put", "STREAM.INFO", "kv info", "server check kv"),
        "the stream's leader is known to be gone as soon as the meta group's is",
    ),
    Permitted(
        ("C mended", "D late", "E mended"),
        ("STREAM.CREATE",),
        "a killed server is offline at once, so three copies have no place; there it is counted on",
    ),
    Permitted(
        ("D mended",),
        ("STREAM.CREATE",),
        "there too, for a moment after its return",
    ),
    Permitted(
        ("I",),
        ("STREAM.LEADER.STEPDOWN to none",),
        "who is alone need not step down; there a bucket that had three replicas looks for `zz`",
    ),
)


def either(outcome: str) -> set[str]:
    return set(outcome.split(" or "))


def joined(runs: list[Rows]) -> Rows:
    """What came in any of the runs."""
    return {
        row: {
            asked: " or ".join(
                sorted({each for run in runs for each in either(run[row][asked])}, reverse=True)
            )
            for asked in runs[0][row]
        }
        for row in titles()
        if row in runs[0]
    }


def ours() -> Rows:
    """Our rows, asked now: early moments with nats-server's timers, the others with ours."""
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(play, "kvcore", FAULTS[:3], early=True, late=False, flags=SLOW)
        late = pool.submit(play, "kvcore", early=False, late=True, orders=True)
        return joined([{**late.result(), **early.result()}])


def theirs() -> Rows:
    """nats-server's rows: each scenario on a cluster of its own, some at a time."""
    found: list[Rows] = []
    for _ in range(ROUNDS):
        with ThreadPoolExecutor(3) as pool:
            asked = [
                pool.submit(play, "nats-server", [one], early=True, late=True) for one in FAULTS
            ]
            asked.append(pool.submit(play, "nats-server", (), early=False, late=False, orders=True))
            found.append({name: row for each in asked for name, row in each.result().items()})
    return joined(found)


def recorded(kind: str) -> Rows:
    return {} if not RECORD.exists() else json.loads(RECORD.read_text()).get(kind, {})


def beyond(found: Rows, record: Rows) -> list[str]:
    """What came that was not recorded."""
    return [
        f"{row}, {asked}: {outcome}, where {record.get(row, {}).get(asked)} is recorded"
        for row, outcomes in found.items()
        for asked, outcome in outcomes.items()
        if not either(outcome) <= either(record.get(row, {}).get(asked, ""))
    ]


def differing(ours: Rows, theirs: Rows) -> list[tuple[str, str]]:
    """Rows and questions to which the two have different answers."""
    return [
        (row, asked)
        for row, outcomes in ours.items()
        for asked, outcome in outcomes.items()
        if either(outcome) != either(theirs[row][asked])
    ]


# -- the document

_HEAD = """# What a client sees

Three servers, a bucket `b` with three replicas and a bucket `any` with the metadata
`kvcore.reads=any`, all led by one server. Then something happens, and a client of one
server asks everything at once. Beside ours stands nats-server 2.15.2, measured with nats-py and
the nats CLI 0.5.1. This page is written by `python -m tests.interop.client_view`; the tests ask
our servers anew each time, and nats-server's rows are recorded (its elections take seconds;
`make soak SOAKS=client-view` asks it anew).

A `timeout` says nothing about the write: the server may have stored it, or store it later when
the others are back. `503` means that nobody serves the stream, and that nothing was stored; `10008`
that JetStream has no leader to ask. An outcome with "or" depends on which replica was asked, or
on the moment. How soon the late rows come differs: nats-server's leader steps down after 10
to 20 s without a majority and elects within 4 to 9 s, ours within a second.
The rows "at once" of kvcore are measured with `--timers nats`; with our own timers they last a
fraction of a second. Where a killed server's links break, ours elect at once, so D and E have
no such row of ours.
"""
_WHY = """
## Where the two differ, and why

| rows | asked | why |
|---|---|---|
"""


def _cell(row: dict[str, str], column: str) -> str:
    """A column's questions, put together by outcome."""
    by_outcome: dict[str, list[str]] = {}
    for name, (where, _) in PROBES.items():
        if where == column:
            by_outcome.setdefault(row[name], []).append(name)
    if column.startswith("put"):
        return " / ".join(by_outcome)
    return "; ".join(f"**{word}**: {', '.join(names)}" for word, names in by_outcome.items())


def unlisted(differing: list[tuple[str, str]], permitted: Sequence[Permitted]) -> list[str]:
    """Differences without an entry, and parts of entries without a difference."""
    listed = {(row, asked) for each in permitted for row in each.rows for asked in each.asked}
    found = [f"not permitted: {row}, {asked}" for row, asked in differing]
    idle = [f"not needed: {row}, {asked}" for row, asked in sorted(listed)]
    return [
        *(text for text, pair in zip(found, differing, strict=True) if pair not in listed),
        *(text for text, pair in zip(idle, sorted(listed), strict=True) if pair not in differing),
    ]


def document(ours: Rows, theirs: Rows) -> str:
    lines = [_HEAD]
    lines += [f"| scenario | server | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for name, title in titles().items():
        for kind, rows in (("nats-server", theirs), ("kvcore", ours)):
            if name in rows:
                cells = " | ".join(_cell(rows[name], column) for column in COLUMNS)
                lines.append(
                    f"| {f'{name}. {title}' if kind == 'nats-server' else ''} | {kind} | {cells} |"
                )
    lines.append(_WHY.rstrip("\n"))
    lines += [
        f"| {', '.join(each.rows)} | {', '.join(each.asked)} | {each.reason} |"
        for each in PERMITTED
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    words = sys.argv[1:]
    ask = {"kvcore": ours, "nats-server": theirs}
    kinds = [word for word in words if word in ask]
    found = {kind: ask[kind]() for kind in kinds}
    if "--check" in words:
        new = [line for kind in kinds for line in beyond(found[kind], recorded(kind))]
        print(
            "\n".join([*new, f"{sum(map(len, found.values()))} rows, {len(new)} not as recorded"])
        )
        return bool(new)
    record = {kind: found.get(kind) or recorded(kind) for kind in ask}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    DOCUMENT.write_text(document(record["kvcore"], record["nats-server"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
