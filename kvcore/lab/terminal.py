"""Runs a command line as a learner would type it, and prints what every run would print.

The command goes to a shell, pipes and all, with `NATS_URL` set to the cluster and `nats` on
its PATH: the official CLI if there is one (PATH, Go's bin directory, the checkout's
`.tools/bin`), else kvcore's own look-alike under the same name. Its configuration directory
is an empty one, so that a learner's own contexts stay out of it.

What differs from run to run is masked, keeping the width of tables: dates, ages and round
trips, server ids and made-up names, ports; and so are a URL's user and password. All else is
the true text, standard output and errors in the order in which they came, and the exit code if
it is not 0.

Left out: a terminal. Programs that ask for one say so.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kvcore.lab import programs

TIMEOUT_SECONDS = 60.0

_DURATION = r"(?:\d+(?:\.\d+)?(?:ns|µs|ms)|\d+\.\d+s)"
_MASKS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?"), lambda _m: "YYYY-MM-DD hh:mm:ss"),
    (
        re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
        lambda _m: "YYYY-MM-DDThh:mm:ssZ",
    ),
    # An age in a table's cell (never empty, so as wide as the cell) and anywhere else.
    (re.compile(rf"│ (?:{_DURATION}|\d+s) +│"), lambda m: "│ " + "…".ljust(len(m[0]) - 4) + " │"),
    (re.compile(rf"\b{_DURATION}(?!\w)"), lambda _m: "…"),
    (re.compile(r"\bN[A-Z2-7]{55}\b"), lambda _m: "<server id>"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])[0-9A-Za-z]{22}\b"), lambda _m: "<id>"),
    (re.compile(r"\b(127\.0\.0\.1|localhost|\[::1\]):\d+"), lambda m: f"{m[1]}:<port>"),
    (re.compile(r"(?<=://)[^\s/@]+@"), lambda _m: "…@"),  # a user and a password
)


def masked(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def run(command: str, url: str) -> str:
    """What the command said, unmasked; an exit code other than 0 is its last line."""
    done = _run(command, url, errors=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        text += f"(exit code {done.returncode})\n"
    return text


def output(command: str, url: str) -> bytes:
    """What the command wrote to standard output, byte for byte; RuntimeError if it failed."""
    done = _run(command, url, errors=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


def _run(command: str, url: str, errors: int) -> subprocess.CompletedProcess[bytes]:
    with _environment(url) as environment:
        return subprocess.run(  # noqa: S602 - the learner's own command line
            command,
            shell=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )


def official_cli() -> str | None:
    """The path of the official `nats` CLI, if it is installed."""
    return next((path for path in programs.found("nats") if not path.startswith(sys.prefix)), None)


@contextmanager
def _environment(url: str) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="kvcore-cli-") as home:
        alias = Path(home) / "nats"
        cli = official_cli()
        if cli is not None:
            alias.symlink_to(cli)
        else:
            program = f'"{sys.executable}" -m kvcore.cli.main nats'
            alias.write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="utf-8")
            alias.chmod(0o700)
        root = str(Path(__file__).resolve().parents[2])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
        yield kept | {
            "NATS_URL": url,
            "PATH": os.pathsep.join([home, os.environ.get("PATH", os.defpath)]),
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "TZ": "UTC",
        }
