"""A question to a server in NATS's own words, without a client library or an event loop.

Whoever starts servers has to know when they are ready, and a table of who leads what wants
fresh figures each second. Both need one request and its answers, on a thread or none:

    INFO …  ──▶  CONNECT, SUB _INBOX 1, PUB subject _INBOX  ──▶  MSG _INBOX 1 …

Left out: passwords; a server that asks for one answers nothing here. Everything that a
client needs besides; nats-py has it.
"""

import json
import socket
import time
from typing import Any

_CONNECT = b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":0}\r\n'


def ask(
    port: int, subject: str, body: bytes = b"", *, within: float = 1.0, most: int = 1
) -> list[dict[str, Any]]:
    """The JSON answers that come in time, at most `most`; an answer without a body is not one."""
    deadline = time.monotonic() + within
    found: list[dict[str, Any]] = []
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=within) as connection:
            line = f"SUB _INBOX.ask 1\r\nPUB {subject} _INBOX.ask {len(body)}\r\n"
            connection.sendall(_CONNECT + line.encode() + body + b"\r\n")
            lines = connection.makefile("rb")
            while len(found) < most and (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                words = lines.readline().split()
                if not words or words[0] == b"-ERR":
                    break
                if words[0] == b"PING":
                    connection.sendall(b"PONG\r\n")
                elif words[0] in (b"MSG", b"HMSG"):
                    payload = lines.read(int(words[-1]) + 2)
                    start = int(words[-2]) if words[0] == b"HMSG" else 0
                    if payload[start:].strip():
                        found.append(json.loads(payload[start:]))
                    elif most == 1:
                        break  # a status: nobody answers
    except (OSError, ValueError):  # a time-out, a server that left, no JSON
        pass
    return found
