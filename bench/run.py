"""Compares kvcore with nats-server: one run, one machine, the same nats-py load on both.

    make bench                    or        python -m bench.run [--rounds 3] [--quick]

The two servers take turns, so that a slow minute of the machine falls on both. Printed are
medians over the rounds and their ratio; raw numbers, medians and a plot are kept under
`bench/results/`. The disk's own sync time comes first, since it decides the file rows.

Left out: absolute promises. Only ratios from one run mean anything.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nats

from bench import listing, measure
from tests.support.require import ROOT, program
from tests.support.servers import Server

RESULTS = ROOT / "bench" / "results"
OURS, THEIRS = "kvcore", "nats-server"
SETTINGS = (
    ("always", "file", "file, ack after sync"),
    ("default", "file", "file, sync later"),
    ("default", "memory", "memory"),
)


@dataclass
class Row:
    """One line of the table: the numbers of both servers, round by round."""

    name: str
    unit: str  # "/s": more is better; "s", "B" and "MB": less is better; "": neither
    numbers: dict[str, list[float]] = field(default_factory=dict)
    syncs: dict[str, float] = field(default_factory=dict)  # per ack, for puts

    def median(self, kind: str) -> float | None:
        values = self.numbers.get(kind)
        return statistics.median(values) if values else None

    def ratio(self) -> float | None:
        """Ours against theirs, turned so that more is better."""
        ours, theirs = self.median(OURS), self.median(THEIRS)
        if not ours or not theirs or self.unit == "":
            return None
        return ours / theirs if self.unit == "/s" else theirs / ours


class Table:
    """Rows in the order in which they were first measured."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def add(self, name: str, unit: str, kind: str, value: float | None) -> None:
        if value is None:
            return
        row = self.rows.setdefault(name, Row(name, unit))
        row.numbers.setdefault(kind, []).append(value)

    def lines(self) -> Iterator[str]:
        width = max(len(row.name) for row in self.rows.values())
        yield f"{'':{width}}  unit  {OURS:>10}  {THEIRS:>11}   ratio  syncs per ack (of each)"
        for row in self.rows.values():
            cells = (_shown(row.median(OURS)), _shown(row.median(THEIRS)))
            ratio = row.ratio()
            shown = f"{ratio:.2f}x" if ratio else ""
            counted = [f"{row.syncs[kind]:.2g}" for kind in (OURS, THEIRS) if kind in row.syncs]
            line = f"{row.name:{width}}  {row.unit:>4}  {cells[0]:>10}  {cells[1]:>11}  {shown:>6}"
            yield f"{line}  {'|'.join(counted)}".rstrip()


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Sizes:
    """How much is done in a round."""

    sequential: int
    in_flight: int
    gets: int


async def load(server: Server, storage: str, label: str, table: Table, sizes: Sizes) -> None:
    """The loads of one round on one server."""
    nc = await nats.connect(server.url)
    kv = await measure.bucket(nc, "bench", storage)
    add = table.add
    add(f"{label}: idle memory", "MB", server.kind, server.rss() / 1e6)
    await measure.puts(kv, 200, 8)
    rate = await measure.puts(kv, sizes.sequential, 1)
    add(f"{label}: sequential puts", "/s", server.kind, rate)
    rate = await measure.puts(kv, sizes.in_flight, measure.IN_FLIGHT)
    add(f"{label}: puts, 64 in flight", "/s", server.kind, rate)
    add(f"{label}: gets", "/s", server.kind, await measure.gets(kv, sizes.gets, 1))
    rate = await measure.gets(kv, sizes.gets * 2, measure.IN_FLIGHT)
    add(f"{label}: gets, 64 in flight", "/s", server.kind, rate)
    taken = await measure.initial_watch(nc, kv)
    add(f"{label}: watch of 10,000 keys", "s", server.kind, taken)
    add(f"{label}: loaded memory", "MB", server.kind, server.rss() / 1e6)
    await nc.close()


def one_round(directory: Path, number: int, table: Table, sizes: Sizes) -> None:
    kinds = (OURS, THEIRS) if number % 2 == 0 else (THEIRS, OURS)
    for sync, storage, label in SETTINGS:
        for kind in kinds:
            server = measure.launch(kind, directory / f"{kind}-{sync}-{storage}-{number}", sync)
            try:
                asyncio.run(load(server, storage, label, table, sizes))
            finally:
                server.kill()
    for kind in kinds:
        server = measure.launch(kind, directory / f"{kind}-listing-{number}", "default")
        try:
            for name, unit, figure in listing.measure_all(server):
                table.add(name, unit, kind, figure)
        finally:
            server.kill()
    for kind in kinds:
        for _ in range(3):
            taken = measure.first_put(kind, directory, "always")
            table.add("start to first acked put", "s", kind, taken)


def plot(rows: list[tuple[str, float]], path: Path) -> None:
    """The ratios as bars on a logarithmic axis: right of 1 we are faster or smaller."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.34 * len(rows) + 1.2), layout="constrained")
    ratios = [ratio for _, ratio in rows]
    bars = axes.barh([name for name, _ in rows], [r - 1 for r in ratios], left=1, color="#2f6f9f")
    axes.bar_label(bars, [f" {ratio:.2f}x " for ratio in ratios])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(min([*ratios, 1]) / 3, max([*ratios, 1]) * 4)
    axes.invert_yaxis()
    axes.set_xlabel("kvcore against nats-server, one run; right of 1: kvcore faster or smaller")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def versions() -> dict[str, str]:
    answer = subprocess.run(
        [program("nats-server"), "--version"], capture_output=True, text=True, check=True
    )
    return {
        "nats-server": answer.stdout.strip(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="kvcore against nats-server, by nats-py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one small round")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds
    sizes = Sizes(200, 2_000, 500) if given.quick else Sizes(500, 6_000, 2_000)
    begin = time.perf_counter()
    table, say = Table(), sys.stdout.write
    about = versions()
    syncs = sorted(measure.fdatasync_seconds())
    disk = {"median (ms)": statistics.median(syncs) * 1e3, "p90 (ms)": syncs[-20] * 1e3}
    say(f"fdatasync of 4 KiB: {disk['median (ms)']:.3f} ms median, {disk['p90 (ms)']:.3f} ms p90\n")
    say("".join(f"{name}: {value}\n" for name, value in about.items()))
    with tempfile.TemporaryDirectory(prefix="kvcore-bench-") as temporary:
        directory = Path(temporary)
        for number in range(rounds):
            one_round(directory, number, table, sizes)
            say(f"round {number + 1} of {rounds}: {time.perf_counter() - begin:.0f} s\n")
        for sync, storage, label in SETTINGS:
            for at_once, what in (
                (1, "sequential puts"),
                (measure.IN_FLIGHT, "puts, 64 in flight"),
            ):
                for kind in (OURS, THEIRS):
                    counted = measure.syncs_per_ack(kind, directory, sync, storage, at_once)
                    if counted is not None:
                        table.rows[f"{label}: {what}"].syncs[kind] = counted
    simulated = json.loads(
        subprocess.run(
            [sys.executable, "-m", "bench.measure"], capture_output=True, check=True, cwd=ROOT
        ).stdout
    )
    inside = json.loads(
        subprocess.run(
            [sys.executable, "-m", "bench.turns"], capture_output=True, check=True, cwd=ROOT
        ).stdout
    )
    for name, seconds in inside["longest turn"].items():
        table.add(f"100,000 keys, longest turn: {name}", "s", OURS, seconds)
    table.add("100,000 keys: bytes per key (tracemalloc)", "B", OURS, inside["bytes per key"])
    for name, value in simulated.items():
        table.add(f"simulator: {name.removesuffix(' (s)')}", "s", OURS, value)
    say("\n" + "\n".join(table.lines()) + "\n")
    given.out.mkdir(parents=True, exist_ok=True)
    document = {
        "about": about,
        "fdatasync": disk,
        "rows": [
            {"name": row.name, "unit": row.unit, "rounds": row.numbers, "ratio": row.ratio()}
            | ({"syncs per ack": row.syncs} if row.syncs else {})
            | {kind: row.median(kind) for kind in (OURS, THEIRS)}
            for row in table.rows.values()
        ],
    }
    (given.out / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
    (given.out / "bench.txt").write_text("\n".join(table.lines()) + "\n")
    ratios = [(row.name, ratio) for row in table.rows.values() if (ratio := row.ratio())]
    plot(ratios, given.out / "bench.png")
    say(f"\nkept in {given.out}; {time.perf_counter() - begin:.0f} s\n")


if __name__ == "__main__":
    main()
