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

from tests.support.jupyterlab import Lab
from tests.support.require import find, require

ROOT = Path(__file__).parents[2]
SCREENSHOTS = Path(os.environ.get("KVCORE_SCREENSHOTS", ROOT / ".pytest_cache" / "screenshots"))
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
def tab(chromium, jupyter):
    """One tab for all tests, with JupyterLab in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        page.set_default_timeout(30_000)
        lab = Lab(page)
        lab.enter(*jupyter)
        yield lab
        browser.close()


@pytest.fixture
def lab(tab):
    """The tab, in the light theme; the lesson that a test opens is closed after it."""
    thrown: list[str] = []

    def note(error):
        thrown.append(str(error))

    tab.page.on("pageerror", note)
    tab.theme("light")
    yield tab
    tab.close()
    tab.page.remove_listener("pageerror", note)
    assert thrown == []


@pytest.fixture(scope="session")
def screenshots():
    """Where pictures of the lessons go: for a person to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS


def pytest_terminal_summary(terminalreporter):
    if any(SCREENSHOTS.glob("lesson-*.png")):
        terminalreporter.write_line(f"screenshots of the lessons, to look at: {SCREENSHOTS}")
