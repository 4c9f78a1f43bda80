"""`python -m tests.differential --seed 7`: one script, or many, on both servers."""

import argparse
import sys
import time
from collections import Counter

import uvloop

from tests.differential.generator import generate
from tests.differential.pair import servers
from tests.differential.printer import report
from tests.differential.shrinker import shrink


async def run(first: int, count: int, most: int, *, outcomes: bool) -> int:
    start = time.monotonic()
    failed: Counter[str] = Counter()
    async with servers() as pair:
        done = 0
        async for ran in pair.all(generate(seed) for seed in range(first, first + count)):
            done += 1
            if not ran.differences:
                continue
            difference = ran.differences[0]
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
        print(f"unsteady: seed {ran.script.seed}: {ran.differences[0].kind} {ran.differences[0]}")
    print(
        f"{done} scripts, {failed.total()} differ, {len(pair.unsteady)} unsteady, "
        f"{time.monotonic() - start:.1f} s"
    )
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first script's seed")
    parser.add_argument("--scripts", type=int, default=1, help="how many, from that seed on")
    parser.add_argument("--show", type=int, default=3, help="how many differences to shrink")
    parser.add_argument("--outcomes", action="store_true", help="print what was reached")
    given = parser.parse_args()
    return uvloop.run(run(given.seed, given.scripts, given.show, outcomes=given.outcomes))


if __name__ == "__main__":
    sys.exit(main())
