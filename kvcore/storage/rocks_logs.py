"""What a power cut can leave at a RocksDB log's end, and RocksDB reads for ever.

A log is a row of records in blocks of 32 KiB, each with a header: checksum, length, kind. RocksDB
stops at the first that isn't whole. But bytes of chance whose kind says that they belong to a log
that is used again (`recyclable`) it neither takes nor passes over: opening never ends (seems to be
github.com/facebook/rocksdb/issues/13333). We use no log again, so nobody wrote a record of that
kind here. It and what follows are put aside before RocksDB looks; recovery would have ended there.

The walk along the lengths sees every header that RocksDB can see. Where a length is wrong RocksDB
goes on with the next block, and each block's first header is on the walk.

Left out: checking the records themselves; RocksDB does.
"""

import re
from pathlib import Path

_BLOCK = 32 * 1024
_HEADER = 7  # checksum 4, length 2, kind 1
_RECYCLABLE = {5, 6, 7, 8, 11, 131}  # full, first, middle, last, time-stamp size, predecessor


def put_aside_unreadable(database: Path, aside: Path) -> list[str]:
    """Cut each log where RocksDB would read for ever; the rest goes to `aside`, as `torn-<log>`.

    Nothing is lost: recovery reads no further, and what was promised is checked after. Returns
    the names of the logs that were cut. Raises OSError.
    """
    cut = []
    for log in sorted(database.glob("*.log")):
        if not re.fullmatch(r"\d+\.log", log.name):
            continue
        found = log.read_bytes()
        end = _readable(found)
        if end == len(found):
            continue
        (aside / f"torn-{log.name}").write_bytes(found[end:])
        with log.open("r+b") as file:
            file.truncate(end)
        cut.append(log.name)
    return cut


def _readable(log: bytes) -> int:
    """Where the first record begins that can't be ours; the length if there is none."""
    at = 0
    while at + _HEADER <= len(log):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left  # a header doesn't fit: the next block
            continue
        if log[at + 6] in _RECYCLABLE:
            return at
        length = int.from_bytes(log[at + 4 : at + 6], "little")
        if _HEADER + length > left or log[at + 6] == 0:
            at += left  # RocksDB, too, leaves the rest of such a block
        else:
            at += _HEADER + length
    return len(log)
