"""What an image of this machine's own programs holds."""

import shutil
import sys
from pathlib import Path

import pytest

from kvcore.lab import images, programs
from tests.support.require import program, require

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="images are made on Linux")


def test_a_dynamic_program_brings_its_libraries_and_its_loader() -> None:
    brought = images._libraries(sys.executable)
    assert any("libc" in Path(path).name for path in brought)
    assert any(Path(path).name.startswith("ld-") for path in brought)
    assert all(Path(path).is_file() for path in brought)


def test_a_static_server_is_taken_before_a_dynamic_one_that_stands_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require("go")
    static = program("nats-server")
    dynamic = shutil.copy(Path(sys.executable).resolve(), tmp_path / "nats-server")
    monkeypatch.setattr(programs, "found", lambda _name: iter([str(dynamic), static]))
    if images._libraries(static):
        pytest.skip("the nats-server of this machine is dynamic itself")
    assert images._server() == static


def test_a_script_in_a_servers_place_is_no_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "nats-server"
    script.write_text("#!/bin/sh\n")
    monkeypatch.setattr(programs, "found", lambda _name: iter([str(script)]))
    assert images._server() is None
