"""What the operating system has to do with a server: signals, pid files, a parent.

`--signal` is the other half of nats-server's signals: `kvcore serve --signal ldm=4711`
sends one and exits. It wants a process id or a pid file and never searches for a server by
name, since the one that it found might be someone else's.

A server that was started by a program ends with it, even if that program was killed: the
parent keeps the writing end of a pipe open, and `--parent-fd` names the reading end. When
the last writer is gone, the pipe reads as ended. On Linux the kernel is asked to send
SIGKILL as well, for a server that is stopped or too busy to read its pipe; acknowledged
writes are safe from that. (The kernel means the thread that started us; a parent that
starts servers from short-lived threads should not pass the flag.)

Left out: services of init systems, which need nothing from us.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_SIGNALS = {
    "ldm": signal.SIGUSR2,
    "term": signal.SIGTERM,
    "quit": signal.SIGINT,
    "stop": signal.SIGKILL,
    "reopen": signal.SIGUSR1,
}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ProcessError(Exception):
    """The operating system refuses; the text is one sentence."""


def send_signal(order: str) -> None:
    """Carry out `--signal NAME=PID`; raises `ProcessError`."""
    name, _, target = order.partition("=")
    if name not in _SIGNALS:
        raise ProcessError(f"--signal knows {', '.join(_SIGNALS)}, not {name!r}")
    if not target:
        raise ProcessError(f"--signal {name} needs a process: {name}=PID or {name}=PIDFILE")
    try:
        pid = int(target if target.isdigit() else Path(target).read_text(encoding="ascii"))
        if pid <= 1:
            raise ProcessError(f"--signal {name}: {pid} is no server's process id")
        os.kill(pid, _SIGNALS[name])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no process id"
        raise ProcessError(f"--signal {name}: {target}: {reason}") from error


def follow_parent(
    loop: asyncio.AbstractEventLoop, descriptor: int, gone: Callable[[], None]
) -> None:
    """Call `gone` on the loop when the pipe `descriptor` ends; raises `ProcessError`."""

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            gone()

    try:
        os.fstat(descriptor)
        loop.add_reader(descriptor, readable)
    except OSError as error:
        raise ProcessError(f"--parent-fd {descriptor}: {error.strerror}") from error
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
