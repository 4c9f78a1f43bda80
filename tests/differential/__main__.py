"""`python -m tests.differential --seed 7`: one script, or many, on both servers."""

import argparse
import sys
import time
from collections import Counter

import uvloop

from tests.differential.generator import generate
from tests.differential.pair import servers
from tests.differential.permissions import KNOWN
from tests.differential.printer import report
from tests.differential.shrinker import shrink
from tests.support.require import find

ABOUT = """\
Runs random scripts through nats-py on kvcore and on nats-server, one server of each kind
started for it, and compares every result. A seed makes the same script each time. What
differs three times is cut down to the operations that it needs and printed as a program;
what differed once is named as unsteady. What kvcore lets a script wait for in vain counts at
once. What may differ is in tests/differential/permissions.py, with reasons; permissions that
no script of this run needed are named, which a short run may do with any of them.
"""
NEEDS = """\
It needs nats-server, which `make tools` builds where Go is. The exit code is 1 if anything
differs. `make test` runs seeds 0 to 499, `make soak` 1000 to 10999.
"""
PROGRESS = 500  # scripts between two lines that say how far a run is


async def run(first: int, count: int, most: int, *, outcomes: bool) -> int:
    start = time.monotonic()
    failed: Counter[str] = Counter()
    met: list[int] = []
    async with servers() as pair:
        done = 0
        async for ran in pair.all(generate(seed) for seed in range(first, first + count)):
            done += 1
            if done % PROGRESS == 0 and done < count:
                took = time.monotonic() - start
                so_far = f"{done} of {count} scripts, {failed.total()} differ, {took:.0f} s"
                print(so_far, file=sys.stderr, flush=True)
            if not ran.differences:
                continue
            difference = ran.differences[0]
            if is_known(ran.script.seed, difference.kind, difference.path):
                met.append(ran.script.seed)
                continue
            failed[f"{difference.kind} {difference.path}"] += 1
            if failed.total() <= most:
                print(report(await shrink(pair, ran)), flush=True)
        if outcomes:
            for (kind, outcome), times in sorted(pair.outcomes.items()):
                print(f"{kind:16}{outcome:40}{times:7}")
        for entry in pair.comparer.unused():
            print(f"a permission that nothing needed: {entry}")
    for what, times in failed.most_common():
        print(f"{times:5} x {what}")
    for ran in pair.unsteady[:most]:
        print(f"unsteady: seed {ran.script.seed}, step {ran.differences[0].at}")
        for each in ran.differences[:6]:
            print(f"  {each.kind} {each}")
    print(
        f"{done} scripts, {failed.total()} differ, {len(pair.unsteady)} unsteady, "
        f"{time.monotonic() - start:.1f} s"
    )
    gone = [each for each in KNOWN if first <= each < first + count and each not in met]
    print("".join(f"known: seed {each}: {KNOWN[each].reason}\n" for each in met), end="")
    print("".join(f"seed {each} differs no more: take it from the list\n" for each in gone), end="")
    return 1 if failed or gone else 0


def is_known(seed: int, kind: str, path: str) -> bool:
    """True if this script's difference is one of the listed mistakes of nats-server."""
    return seed in KNOWN and KNOWN[seed].covers(kind, path)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.differential",
        description=ABOUT,
        epilog=NEEDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seed", type=int, default=0, help="the first script's seed (default: 0)")
    add("--scripts", type=int, default=1, help="how many, from that seed on (default: 1)")
    add("--show", type=int, default=3, help="how many differences to shrink (default: 3)")
    add("--outcomes", action="store_true", help="print each operation's endings, counted")
    given = parser.parse_args()
    if find("nats-server") is None:
        parser.exit(2, "nats-server was not found: `make tools` builds it where Go is\n")
    return uvloop.run(run(given.seed, given.scripts, given.show, outcomes=given.outcomes))


if __name__ == "__main__":
    sys.exit(main())
