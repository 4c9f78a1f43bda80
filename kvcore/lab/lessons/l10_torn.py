"""The check of 10c: what of a log may be believed after a power cut?

Logs are made from a seed, and then treated as disks treat files that were not synced: cut at
every byte of the last records, the missing part replaced by zeros or garbage, a page in the
middle that never got there while later ones did. What must come back is known each time: the
records before the first that is not whole.

Left out: damage to synced bytes, which must be reported and not dropped (`storage/records.py`).
"""

from collections.abc import Iterable, Iterator
from random import Random
from struct import pack
from typing import Any, NamedTuple
from zlib import crc32

from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown

HEADER_BYTES = 8


class Torn(NamedTuple):
    """A log after a power cut; `whole` is how many of its records may be believed."""

    what: str
    data: bytes
    whole: int


def record(body: bytes) -> bytes:
    """Length, checksum, body."""
    return pack(">II", len(body), crc32(body)) + body


def logs(rng: Random) -> Iterator[tuple[list[bytes], Torn]]:
    """A log's bodies, and one after the other what may have become of it."""
    bodies = [rng.randbytes(rng.randint(1, 20)) for _ in range(rng.randint(5, 8))]
    rows = [record(body) for body in bodies]
    data = b"".join(rows)
    ends = [sum(map(len, rows[: n + 1])) for n in range(len(rows))]
    yield bodies, Torn("nothing is missing", data, len(rows))
    yield bodies, Torn("an empty file", b"", 0)
    for cut in range(ends[-3], len(data)):
        whole = sum(end <= cut for end in ends)
        missing = len(data) - cut
        yield bodies, Torn(f"cut at byte {cut}", data[:cut], whole)
        garbage = rng.randbytes(missing)
        if garbage[0] == data[cut]:
            garbage = bytes([garbage[0] ^ 1]) + garbage[1:]
        yield bodies, Torn(f"garbage from byte {cut} on", data[:cut] + garbage, whole)
    for zeros in (8, 16, 64):
        torn = data[: ends[-2]] + bytes(zeros)
        yield bodies, Torn(f"{zeros} zeros from byte {ends[-2]} on", torn, len(rows) - 1)
    for hole in (1, len(rows) - 2):
        at = ends[hole] - len(bodies[hole])
        torn = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        yield bodies, Torn(f"record {hole} has a wrong byte, those after it are whole", torn, hole)
        start = ends[hole - 1]
        torn = data[:start] + pack(">I", 0x7FFFFFFF) + data[start + 4 :]
        yield bodies, Torn(f"record {hole} has a wrong length", torn, hole)


@exercise(
    "10c",
    names=("recover",),
    seeds=4,
    hints=(
        (
            "You read from the front. What do you know of the bytes after the first record that is "
            "not as it was written?"
        ),
        (
            "Three questions for each record: is the header all there, is the body all there, "
            "and does its checksum agree? A no ends the log, whatever comes after."
        ),
        (
            "at = 0; while 8 bytes are left: length, checksum = struct.unpack_from('>II', data, "
            "at); body = data[at + 8 : at + 8 + length]; stop if length is 0, the body is "
            "shorter than that, or zlib.crc32(body) differs; keep it, and at += 8 + length."
        ),
    ),
    wrong={
        "length": "You kept a body because its length said so. The length is on the platter, and "
        "the body's pages may not be: what in the header knows?",
        "skip": "You went on after a bad record. Acks were given in the log's order: what would "
        "a store be that has the later write and not the earlier one?",
        "zeros": "A run of zeros reads as length 0 and checksum 0, and crc32 of nothing is 0. "
        "How many records did it become?",
        "cautious": "You dropped a record that was whole. What was bad came after it: can that "
        "make a checksum wrong that was right?",
        "all": "One torn record, and all is gone, or nothing comes back. Those before it were "
        "acked: who would be told that they are missing?",
        "error": "The last piece may be shorter than a header. What do you read it with, and how "
        "much does that want?",
        "kind": "The bodies alone, oldest first, each as bytes: no lengths, no checksums.",
    },
    compare="One walks with an offset, one hands pieces over from a stream. Both stop at the "
    "first record that is not whole: what they return is always a beginning of the log.",
)
def check_10c(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Every torn log of every seed."""
    count = 0
    for seed in seeds:
        for bodies, torn in logs(Random(seed)):
            said = learner(torn.data)
            if said is not None and not isinstance(said, list | tuple):
                return not_yet(
                    f"recover gave {shown(said)}", "a list of bodies", seed=seed, hint="kind"
                )
            found = None if said is None else list(said)
            if found != bodies[: torn.whole]:
                return _verdict(bodies, torn, found, seed)
            count += 1
    return passed(f"{count} logs, whole, cut, zeroed, with garbage and with holes")


def _verdict(bodies: list[bytes], torn: Torn, found: list[Any] | None, seed: int) -> Verdict:
    want = bodies[: torn.whole]
    got = "None" if found is None else f"{len(found)} records"
    return not_yet(
        f"{torn.what}: recover gave {got}",
        f"the first {torn.whole}" if want else "no record",
        seed=seed,
        hint=_why(bodies, want, found),
        trace=[
            f"a log of {len(bodies)} records, {torn.what}; {len(torn.data)} bytes",
            *(f"  wanted  {shown(body)}" for body in want),
            *(f"  given   {shown(body)}" for body in found or ()),
            (
                f"  the bytes after the last good record: "
                f"{shown(torn.data[sum(HEADER_BYTES + len(b) for b in want) :])}"
            ),
        ],
    )


def _why(bodies: list[bytes], want: list[bytes], found: list[Any] | None) -> str:
    if found is None or (want and not found):
        return "all"
    if any(not isinstance(each, bytes | bytearray | memoryview) for each in found):
        return "kind"
    if b"" in found and found[: len(want)] == want:
        return "zeros"
    if found == want[: len(found)]:
        return "cautious"
    extra = found[len(want) :]
    if found[: len(want)] != want:
        return "kind"
    return "skip" if all(each in bodies for each in extra) else "length"
