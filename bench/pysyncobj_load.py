"""One member of a PySyncObj cluster, which loads itself when it leads.

    python -m bench.pysyncobj_load DIRECTORY COUNT BATCH PORT PORT PORT     the first is its own

PySyncObj has no protocol for clients: its users call a method of the replicated object. So
the load runs where a call is cheapest, inside the leader: 64 calls are under way, and each
one that is applied starts another. The journal is on; PySyncObj never syncs it. `BATCH` is 1
for `appendEntriesUseBatch`, which sends what has gathered every 0.1 s, and 0 for at once.

The leader prints one JSON line: calls a second with 64 under way, and the median time of one
call with nothing else to do.
"""

import json
import statistics
import sys
import time
from pathlib import Path

from pysyncobj import SyncObj, SyncObjConf, replicated

IN_FLIGHT = 64
SEQUENTIAL = 200
VALUE = "v" * 64


class Store(SyncObj):
    def __init__(self, ports: list[str], directory: str, *, use_batch: bool) -> None:
        own, *others = [f"127.0.0.1:{port}" for port in ports]
        journal = str(Path(directory) / f"journal-{ports[0]}")
        conf = SyncObjConf(autoTick=False, journalFile=journal, appendEntriesUseBatch=use_batch)
        super().__init__(own, others, conf)
        self.values: dict[str, str] = {}

    @replicated
    def put(self, key: str, value: str) -> None:
        self.values[key] = value


def load(store: Store, count: int, at_once: int) -> float:
    """Seconds until `count` calls were applied."""
    begun = done = 0

    def applied(_result: object, error: object) -> None:
        nonlocal begun, done
        if error:  # discarded by a change of leader: once more
            begun -= 1
        else:
            done += 1

    begin = time.perf_counter()
    while done < count:
        while begun < count and begun - done < at_once:
            store.put(f"k{begun % 1000}", VALUE, callback=applied)
            begun += 1
        store.doTick(0.001 if begun - done >= at_once or begun == count else 0.0)
    return time.perf_counter() - begin


def main() -> None:
    directory, count, batch, *ports = sys.argv[1:]
    store = Store(ports, directory, use_batch=batch == "1")
    is_loaded = False
    while True:
        store.doTick(0.005)
        if not is_loaded and store._isLeader() and store.isReady():  # noqa: SLF001 - no other way
            is_loaded = True
            load(store, 200, 8)
            rate = int(count) / load(store, int(count), IN_FLIGHT)
            single = statistics.median(load(store, 1, 1) for _ in range(SEQUENTIAL))
            print(json.dumps({"rate": rate, "p50": single}), flush=True)


if __name__ == "__main__":
    main()
