"""The programs on nats.go and @nats-io/kv get nats-server's answers from our server.

Each program makes every call of its library's key-value API, on a server of each kind, and
the lines are compared. `walk_differences.py` lists what may differ; each entry must be
needed. Differences planted in any line are found, and so are a server's lies.
"""

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from tests.interop.planted import LIES, Lie, mutants
from tests.interop.transcript import Entry, Masks, compare
from tests.interop.walks import GO, NODE, Program, case_of
from tests.support.certificates import Authority
from tests.support.liar import lying
from tests.support.servers import Server, running
from tests.support.wire import Wire

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
PROGRAMS = {program.name: program for program in (GO, NODE)}


def _run(program: Program, kind: str) -> list[Entry]:
    with running(kind) as server:
        return program.run(server.url)


@cache
def _sides(program: Program) -> tuple[list[Entry], list[Entry]]:
    """What the program says of our server and of nats-server, asked once."""
    program.build()
    with ThreadPoolExecutor(2) as pool:
        sides: list[Future[list[Entry]]] = [
            pool.submit(_run, program, kind) for kind in (OURS, "nats-server")
        ]
        return sides[0].result(), sides[1].result()


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Program:
    found = PROGRAMS[request.param]
    found.require()
    return found


def test_every_call_gives_the_same_line(program: Program) -> None:
    ours, theirs = _sides(program)
    assert len(theirs) > 400
    found = compare(ours, theirs, Masks(program.differences))
    assert not found, f"{len(found)} calls differ:\n" + "\n".join(found)


def test_every_case_comes_to_its_end(program: Program) -> None:
    for side in _sides(program):
        said = [entry.text() for entry in side]
        for trouble in ("ended early", "did not end", "nothing more came", "it did not end"):
            assert not [line for line in said if trouble in line]


def test_every_member_of_the_library_is_used(program: Program) -> None:
    sources = re.sub(r"//.*", "", program.sources())
    members = program.members()
    assert len(members) > 50
    unused = [one for one in members if not re.search(rf"\b{one.partition('.')[2]}\b", sources)]
    assert not unused


def test_the_lock_files_name_no_registry() -> None:
    lock = json.loads((NODE.home / "package-lock.json").read_text())
    packages = [one for name, one in lock["packages"].items() if name]
    assert packages
    assert all(one["integrity"].startswith("sha512-") for one in packages)
    assert not [one for one in packages if "resolved" in one]


def test_over_tls_the_same_lines(program: Program, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("server")
    stanza = f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}'
    with running(OURS, config=stanza) as server:
        told = program.run(server.url, "--case=values", f"--ca={authority.file}")
        refused = program.run(server.url, "--case=values")
    assert told == [entry for entry in _sides(program)[0] if case_of(entry) == "values"]
    assert [entry.command for entry in refused] == ["values: connect"]
    assert "error" in refused[0].out[0]


def test_a_planted_difference_in_any_line_is_found(program: Program) -> None:
    _, theirs = _sides(program)
    masks = Masks(program.differences)
    assert compare(theirs, theirs, masks) == []
    for entry in theirs:
        for mutant in mutants(entry, masks):
            assert compare([mutant], [entry], masks), f"not found: {mutant.text()}"
    assert compare(theirs[:-1], theirs, masks), "a missing call is not found"
    assert compare([*theirs[1:2], *theirs[:1], *theirs[2:]], theirs, masks), "nor an order"


def test_every_listed_difference_is_needed(program: Program) -> None:
    masks = Masks(program.differences)
    ours, theirs = _sides(program)
    for side in (ours, theirs):
        for entry in side:
            masks.entry(entry)
    unused = set(program.differences) - set(masks.used)
    assert not unused, f"remove: {[(entry.command, entry.field) for entry in unused]}"
    for one in program.differences:
        rest = Masks([other for other in program.differences if other != one])
        assert compare(ours, theirs, rest), f"nothing differs there: {one.field}"


@pytest.fixture(scope="module")
def spare() -> Iterator[Server]:
    """A server of ours for the lies, emptied before each."""
    with running("kvcore") as server:
        yield server


def _wipe(server: Server) -> None:
    with Wire(server.port, '{"verbose":false}') as wire:
        streams = wire.api("STREAM.NAMES")["streams"] or []
        assert isinstance(streams, list)
        for stream in streams:
            assert wire.api(f"STREAM.DELETE.{stream}")["success"]


@pytest.fixture(params=LIES, ids=[lie.name for lie in LIES])
def lie(request: pytest.FixtureRequest) -> Iterator[Lie]:
    return request.param


def test_a_lying_server_is_found_out(program: Program, lie: Lie, spare: Server) -> None:
    theirs = [entry for entry in _sides(program)[1] if case_of(entry) == lie.case]
    assert theirs, f"no case {lie.case}"
    _wipe(spare)
    with lying(spare.port, lie.changes) as liar:
        told = program.run(
            f"nats://127.0.0.1:{liar.port}", f"--case={lie.case}", f"--patience={lie.patience}"
        )
        assert liar.told, "the lie was never told"
    assert compare(told, theirs, Masks(program.differences))
