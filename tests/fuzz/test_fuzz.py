"""Strangers' bytes: whatever they send, the server answers the others, stays small, and lives.

100,000 strings from a seed go to the client port of a running server, cut at random places.
5,000 more, on core subjects, go to nats-server too: what is said, the -ERR text and the close
must be the same.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fuzz.blaster import blast
from tests.fuzz.generator import Generator
from tests.support.require import require
from tests.support.servers import Server, running
from tests.support.wire import Wire

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
SEED = int(os.environ.get("KVCORE_FUZZ_SEED", "1"))
ALONE = 70_000  # strings that get a connection each
CHAINED = 30_000  # well-framed strings with broken bodies, many on a connection
CHAIN = 25
WARM_UP = 4_000  # strings before memory is first measured
COMPARED = 5_000
RETRIED = 100  # at most so many differing strings are looked at again
GROWTH_BYTES = 50 * 1024 * 1024
PONG_WITHIN_S = 10.0
BUCKET = {
    "name": "KV_fuzz",
    "subjects": ["$KV.fuzz.>"],
    "storage": "memory",
    "max_msgs_per_subject": 2,
    "max_bytes": 1_000_000,
    "allow_direct": True,
    "allow_msg_ttl": True,
    "allow_rollup_hdrs": True,
}


class Pinger:
    """A second connection that pings without pause; `worst` is the longest wait for a PONG."""

    def __init__(self, port: int) -> None:
        self._wire = Wire(port, '{"verbose":false}')
        self._stop = threading.Event()
        self.count = 0
        self.worst = 0.0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.01):
                start = time.monotonic()
                self._wire.send(b"PING\r\n")
                self._wire.until("PONG", PONG_WITHIN_S)
                self.worst = max(self.worst, time.monotonic() - start)
                self.count += 1
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            self.failure = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._wire.socket.close()
        if self.failure is not None:
            raise AssertionError("the second connection's pings") from self.failure


def chains(seed: int, count: int) -> Iterator[list[bytes]]:
    """Well-framed strings with broken bodies, `CHAIN` on a connection, cut at random."""
    generator = Generator(seed)
    for _ in range(count // CHAIN):
        whole = b"".join(generator.framed() for _ in range(CHAIN))
        yield generator.cut(b'CONNECT {"verbose":false,"headers":true}\r\n' + whole)


def unharmed(server: Server) -> None:
    """The server lives, said nothing of an exception, and still serves a bucket."""
    assert server.process.poll() is None
    said = "\n".join(server.lines)
    assert "Traceback" not in said, said[-4000:]
    assert "Exception" not in said, said[-4000:]
    with Wire(server.port, '{"verbose":false,"headers":true}') as wire:
        answer = wire.request("$KV.fuzz.k", b"still here").payload
        assert b'"stream"' in answer, answer


def test_100000_broken_strings_neither_stop_nor_swell_the_server() -> None:
    if OURS != "kvcore":
        require("go")
    with running(OURS) as server:
        with Wire(server.port, '{"verbose":false}') as wire:
            assert "error" not in wire.api("STREAM.CREATE.KV_fuzz", BUCKET)
        generator = Generator(SEED)
        ended = 0

        def count(_number: int, _answer: bytes) -> None:
            nonlocal ended
            ended += 1

        pinger = Pinger(server.port)
        try:
            blast(server.port, (generator.cut(generator.string()) for _ in range(WARM_UP)), count)
            before = server.rss()
            left = ALONE - WARM_UP
            blast(server.port, (generator.cut(generator.string()) for _ in range(left)), count)
            blast(server.port, chains(SEED + 1, CHAINED), count)
            after = server.rss()
        finally:
            pinger.stop()
        assert ended == ALONE + CHAINED // CHAIN
        assert pinger.count > 20
        unharmed(server)
        assert after - before < GROWTH_BYTES, f"grew by {(after - before) >> 20} MiB"


def outcomes(kind: str, strings: list[list[bytes]]) -> list[bytes]:
    """What a server of this kind says to each string until it closes."""
    answers: list[bytes] = [b""] * len(strings)

    def keep(number: int, answer: bytes) -> None:
        answers[number] = re.sub(rb"INFO \{[^\r\n]*\} ?\r\n", b"INFO\r\n", answer)

    with running(kind) as server:
        blast(server.port, strings, keep)
        assert server.process.poll() is None
    return answers


REPEATS = re.compile(rb"(?P<said>-ERR 'Invalid Publish Subject'\r\n)(?:(?P=said))+")
LINE_END_INSIDE = re.compile(rb"H?PUB[ \t]+(?:\n|[^\n]*\r[^\n])", re.IGNORECASE)


def said_once(_string: bytes, ours: bytes, theirs: bytes) -> bool:
    """Whether the two are equal but for repetitions of one refusal."""
    return REPEATS.sub(rb"\g<said>", ours) == REPEATS.sub(rb"\g<said>", theirs)


def line_end_inside(string: bytes, ours: bytes, theirs: bytes) -> bool:
    """Whether ours closed, saying nothing, at a PUB that has a line end in its arguments."""
    return LINE_END_INSIDE.search(string) is not None and theirs.startswith(ours)


ALLOWED = {
    "nats-server refuses a subject again when the payload comes in a later read": said_once,
    "a line end inside a subject would end a line at whoever gets the message": line_end_inside,
}


def forgiven(string: bytes, ours: bytes, theirs: set[bytes], used: set[str]) -> bool:
    """Whether an entry of `ALLOWED` explains the difference; notes which one did."""
    for reason, explains in ALLOWED.items():
        if any(explains(string, ours, answer) for answer in theirs):
            used.add(reason)
            return True
    return False


def compare(
    strings: list[list[bytes]],
    ours: list[bytes],
    theirs: list[bytes],
    again: Callable[[list[list[bytes]]], list[bytes]] | None = None,
    used: set[str] | None = None,
) -> list[str]:
    """Strings whose outcome on our server is not nats-server's, for a reader.

    Where nats-server's own outcome depends on how the network cut the bytes, ours must be one
    of those that it gives to the string as cut, whole, or byte by byte. A queue group picks a
    member by chance and a close races with what is still to come, so `again` asks ours again.
    """
    differ = [at for at in range(len(strings)) if ours[at] != theirs[at]]
    seen = {at: {theirs[at]} for at in differ}
    if len(differ) > len(strings) // 20:
        differ = differ[:RETRIED]
    for times in range(3):
        if not differ:
            break
        whole = [b"".join(strings[at]) for at in differ]
        cuts = [strings[at] for at in differ]
        cuts += [[data] if data else [] for data in whole]
        cuts += [[data[i : i + 1] for i in range(len(data))] for data in whole]
        for number, answer in enumerate(outcomes("nats-server", cuts)):
            seen[differ[number % len(differ)]].add(answer)
        if again is not None and times:
            for at, answer in zip(differ, again(cuts[: len(differ)]), strict=True):
                ours[at] = answer
        differ = [at for at in differ if ours[at] not in seen[at]]
    used = set() if used is None else used
    differ = [at for at in differ if not forgiven(b"".join(strings[at]), ours[at], seen[at], used)]
    return [f"{at}: {strings[at]}\n  ours   {ours[at]!r}\n  theirs {theirs[at]!r}" for at in differ]


def test_5000_broken_strings_get_what_nats_server_gives() -> None:
    require("go")
    generator = Generator(SEED + 2, core=True)
    strings = [generator.cut(generator.string()) for _ in range(COMPARED)]
    ours, theirs = outcomes(OURS, strings), outcomes("nats-server", strings)
    used: set[str] = set()
    found = compare(strings, ours, theirs, lambda some: outcomes(OURS, some), used)
    shown = "\n".join(found[:40])
    assert not found, f"{len(found)} of {COMPARED} differ (seed {SEED + 2}):\n{shown}"
    assert OURS != "kvcore" or used == set(ALLOWED), "an entry of ALLOWED is not needed"


@pytest.mark.parametrize(
    ("text", "planted"),
    [
        (b"Unknown Protocol Operation", b"unknown protocol operation"),
        (b"-ERR 'Invalid Subject'\r\n", b""),
        (b"+OK", b"+ok"),
        (b"PONG\r\n", b"PONG\r\nPONG\r\n"),
        (b"MSG a", b"MSG b"),
    ],
)
def test_a_planted_difference_in_an_outcome_is_found(text: bytes, planted: bytes) -> None:
    require("go")
    generator = Generator(SEED + 2, core=True)
    strings = [generator.cut(generator.string()) for _ in range(COMPARED // 5)]
    theirs = outcomes("nats-server", strings)
    at = next(at for at, answer in enumerate(theirs) if text in answer)
    found = compare([strings[at]], [theirs[at].replace(text, planted)], [theirs[at]])
    assert found


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_makes_the_same_strings(seed: int) -> None:
    one, other = Generator(seed), Generator(seed)
    assert [one.cut(one.string()) for _ in range(200)] == [
        other.cut(other.string()) for _ in range(200)
    ]
