"""`make lab` from a clean clone opens lesson 00, wants its token, and leaves nothing behind."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def members(group: int) -> list[int]:
    """The processes of a process group, read from the system's table."""
    table = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in table.stdout.splitlines()]
    return [int(pid) for pid, pgid in rows if int(pgid) == group]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    target = tmp_path_factory.mktemp("clone") / "kvcore"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def lab(clone):
    """JupyterLab as `make lab` starts it: (base URL, token, process group)."""
    port = free_port()
    env = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    env["JUPYTER_RUNTIME_DIR"] = str(clone / "runtime")
    log = (clone / "lab.log").open("w+")
    server = subprocess.Popen(
        ["make", "lab", f"PYTHON={sys.executable}", f"LAB_ARGS=--port={port}"],
        cwd=clone,
        env=env,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    found = None
    give_up = time.monotonic() + DEADLINE_S
    with Path(log.name).open() as tail:
        text = ""
        while not found and time.monotonic() < give_up:
            assert server.poll() is None, f"make lab ended early:\n{text}"
            text += tail.read()
            found = re.search(rf"http://127\.0\.0\.1:{port}/\S*token=([0-9a-f]+)", text)
            try:
                server.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    assert found, f"no URL with a token within {DEADLINE_S} s:\n{text}"
    yield f"http://127.0.0.1:{port}", found.group(1), server
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    log.close()
    shutil.rmtree(clone, ignore_errors=True)


def status(url: str) -> tuple[int, str]:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args, **kwargs):
            return None

    try:
        with urllib.request.build_opener(Stay).open(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", "")


def test_lesson_00_opens_with_the_token(lab):
    base, token, _ = lab
    code, page = status(f"{base}/lab/tree/00_start_here.ipynb?token={token}")
    assert code == 200
    assert "JupyterLab" in page
    code, model = status(f"{base}/api/contents/00_start_here.ipynb?token={token}")
    assert code == 200
    assert '"type": "notebook"' in model.replace('":"', '": "')


def test_without_the_token_the_api_refuses_and_pages_lead_to_the_login(lab):
    base, _, _ = lab
    assert status(f"{base}/api/contents/00_start_here.ipynb")[0] == 403
    code, location = status(f"{base}/lab/tree/00_start_here.ipynb")
    assert code == 302
    assert "/login" in location


def test_the_news_pop_up_is_off_and_widgets_stay_on_the_main_shell(lab):
    base, token, _ = lab
    _, page = status(f"{base}/lab?token={token}")
    assert "apputils-extension:announcements" in page
    _, settings = status(
        f"{base}/lab/api/settings/@jupyterlab/apputils-extension:kernels-settings?token={token}"
    )
    assert '"default": "disabled"' in settings.replace('":"', '": "')


def test_stopping_it_leaves_no_process(lab):
    _, _, server = lab
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)
    give_up = time.monotonic() + 30
    while members(server.pid) and time.monotonic() < give_up:
        subprocess.run(["ps", "-p", str(server.pid)], capture_output=True, check=False)
    assert members(server.pid) == []
