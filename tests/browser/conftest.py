"""JupyterLab on a free port, and Debian's chromium looking at it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.require import find, require

ROOT = Path(__file__).parents[2]
EXPOSE = "--expose-app-in-browser"  # window.jupyterapp, with which the tests look inside
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def chromium() -> str:
    require("browser")
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(path for path in map(find, names) if path)


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """A JupyterLab as `make lab` starts it, on a copy of its own: (base URL, token)."""
    home = tmp_path_factory.mktemp("browser")
    for folder in ("course", "jupyter", "scripts"):
        shutil.copytree(ROOT / folder, home / folder, ignore=shutil.ignore_patterns(".*"))
    port = free_port()
    env = dict(os.environ)
    for name in ("CONFIG_DIR", "RUNTIME_DIR"):
        env[f"JUPYTER_{name}"] = str(home / name)
    for name in ("SETTINGS_DIR", "WORKSPACES_DIR"):
        env[f"JUPYTERLAB_{name}"] = str(home / name)
    log = home / "lab.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "scripts/lab.py", "open", f"--port={port}", "--no-browser", EXPOSE],
            cwd=home,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    give_up = time.monotonic() + 90
    found = None
    while not found and time.monotonic() < give_up:
        assert server.poll() is None, log.read_text()
        found = re.search(rf"http://127\.0\.0\.1:{port}/\S*token=([0-9a-f]+)", log.read_text())
    assert found, log.read_text()
    yield f"http://127.0.0.1:{port}", found.group(1)
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield window
        window.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    yield tab
    context.close()


@pytest.fixture(scope="session")
def screenshots():
    """Where pictures of the lessons go: for a person to look at."""
    folder = Path(os.environ.get("KVCORE_SCREENSHOTS", ROOT / ".pytest_cache" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
