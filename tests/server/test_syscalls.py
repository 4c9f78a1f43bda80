"""What the kernel saw: each ack left after a sync of its record was complete.

A power cut can't be ordered here, and kill -9 proves nothing, since the page cache outlives
the process. The trace of system calls does: for each acknowledgement written to a socket
there must be an append of its record to the log before it, and between the two a sync of
that file that began after the append and ended before the ack.
"""

import json
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.require import program, require
from tests.support.servers import running
from tests.support.wire import Delivery, Wire

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
CONNECT = '{"verbose":false,"headers":true,"no_responders":true}'
PUTS = 40
CALLS = "openat,write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync"

_LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")
_DONE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
_BEGUN = re.compile(r"^(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)\)\s+= (-?\d+)")


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: the lines of the trace on which it began and ended, and its text."""

    name: str
    begun: int
    ended: int
    text: str


def calls(trace: str) -> list[Call]:
    found: list[Call] = []
    open_calls: dict[str, tuple[str, int, str]] = {}
    for number, line in enumerate(trace.splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, rest = match[1], match[3]
        if done := _DONE.match(rest):
            found.append(Call(done[1], number, number, done[2]))
        elif begun := _BEGUN.match(rest):
            open_calls[thread] = (begun[1], number, begun[2])
        elif (resumed := _RESUMED.match(rest)) and thread in open_calls:
            name, start, text = open_calls.pop(thread)
            assert name == resumed[1]
            found.append(Call(name, start, number, text + resumed[2]))
    return sorted(found, key=lambda call: call.ended)


def problems(trace: str, values: list[str]) -> list[str]:
    """What is wrong with the order of the calls, for each value whose put was acked."""
    found = calls(trace)
    logs = [
        call
        for call in found
        if call.name in ("write", "writev", "pwrite64") and "/log." in call.text
    ]
    syncs = [c for c in found if c.name in ("fdatasync", "fsync") and "/log." in c.text]
    sends = [
        call
        for call in found
        if call.name in ("write", "writev", "sendto", "sendmsg") and "/log." not in call.text
    ]
    wrong = []
    for sequence, value in enumerate(values, start=1):
        ack = f'\\"seq\\":{sequence}'
        sent = next((c for c in sends if re.search(re.escape(ack) + r"[,}]", c.text)), None)
        written = next((c for c in logs if value in c.text), None)
        if sent is None or written is None:
            wrong.append(f"{value}: ack {sent is not None}, record {written is not None}")
        elif not any(written.ended <= s.begun and s.ended <= sent.begun for s in syncs):
            wrong.append(f"{value}: acked without a sync of its record")
    return wrong


def traced_run(tmp_path: Path, *flags: str) -> tuple[str, list[str]]:
    """A server under strace, which some puts go to; the trace and the values put."""
    require("strace")
    out, pid_file = tmp_path / "trace", tmp_path / "pid"
    flags = (*flags, "-P", str(pid_file))
    strace = [program("strace"), "-f", "-ttt", "-y", "-s", "1000000", "-e", f"trace={CALLS}"]
    values = [f"value-{number:04d}-of-this-run" for number in range(PUTS)]
    with (
        running("kvcore", *flags, argv=[*strace, "-o", str(out), *SERVE], within=60) as server,
        Wire(server.port, CONNECT) as wire,
    ):
        wire.api("STREAM.CREATE.KV_b", {"name": "KV_b", "subjects": ["$KV.b.>"]})
        for value in values[: PUTS // 2]:  # one after the other
            ack = json.loads(wire.request("$KV.b.k", value.encode()).payload)
            assert "error" not in ack
        wire.send(b"SUB acks 7\r\n")  # and all at once
        for value in values[PUTS // 2 :]:
            wire.send(b"PUB $KV.b.k acks %d\r\n%s\r\n" % (len(value), value.encode()))
        acks = 0
        while acks < PUTS // 2:
            frame = wire.frame()
            acks += isinstance(frame, Delivery) and frame.subject == "acks"
        os.kill(int(pid_file.read_text()), signal.SIGTERM)  # to the server, not to strace
        server.process.wait(20)
    return out.read_text(errors="replace"), values


def test_each_ack_follows_a_complete_sync_of_its_record(tmp_path):
    trace, values = traced_run(tmp_path)
    assert problems(trace, values) == []
    syncs = [c for c in calls(trace) if c.name in ("fdatasync", "fsync") and "/log." in c.text]
    assert len(syncs) < len(values), "puts that arrive together share a sync"


@pytest.mark.parametrize("policy", ["never", "interval"])
def test_the_check_fails_where_acks_do_not_wait(tmp_path, policy):
    trace, values = traced_run(tmp_path, "--sync", policy)
    assert problems(trace, values) == [f"{v}: acked without a sync of its record" for v in values]
