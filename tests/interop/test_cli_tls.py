"""The official CLI over TLS: the same lines from both servers, whichever side begins."""

from pathlib import Path

import pytest

from tests.interop.differences import DIFFERENCES
from tests.interop.transcript import Entry, Masks, Run, Typist, compare
from tests.support.certificates import Authority
from tests.support.require import require
from tests.support.servers import running

STEPS = (
    Run("kv add b --history 2"),
    Run("kv put b k one"),
    Run("kv get b k --raw"),
    Run("kv history b k"),
    Run("kv ls b"),
)


def _type(kind: str, home: Path, first: bool) -> list[Entry]:
    authority = Authority(home)
    pair = authority.pair("server")
    files = f'cert_file: "{pair.cert}", key_file: "{pair.key}"'
    stanza = f"tls {{ {files}, handshake_first: {str(first).lower()} }}"
    with running(kind, config=stanza) as server:
        typist = Typist(server, home)
        refused = typist.run("kv ls")
        assert refused.code == 1, "the certificate's authority is unknown"
        typist.environment["NATS_CA"] = authority.file
        if first:
            return typist.type([Run(f"{step.command} --tlsfirst") for step in STEPS])
        return typist.type(STEPS)


@pytest.mark.parametrize("first", [False, True], ids=["the server greets", "TLS first"])
def test_the_cli_speaks_tls(first: bool, tmp_path: Path) -> None:
    require("go")
    entries = {}
    for kind in ("kvcore", "nats-server"):
        home = tmp_path / kind
        home.mkdir()
        entries[kind] = _type(kind, home, first)
        assert [entry.code for entry in entries[kind]] == [0] * len(STEPS)
    found = compare(entries["kvcore"], entries["nats-server"], Masks(DIFFERENCES))
    assert not found, "\n".join(found)
