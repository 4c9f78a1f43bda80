"""One command's visit to a server: settings, connection, work, goodbye.

What the flags don't say, the environment says (`NATS_URL`, `NATS_USER`, `NATS_PASSWORD`,
`NATS_TOKEN`, `NATS_TIMEOUT`), as with the official CLI. A question is asked only of a
terminal; without one a command that wants a yes fails and names `--force`'s absence in the
official words.

Left out: contexts, the official CLI's named settings.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import nats.errors

from kvcore.cli.bucket import Buckets, Server, connect
from kvcore.cli.commands import CommandError, Values
from kvcore.cli.values import optional_text, read_duration, switch
from kvcore.limits import SECOND_NS


def on_server(work: Callable[[Buckets], Awaitable[None]], values: Values) -> int:
    """Connect as the flags or the environment say, work, and leave."""

    def setting(flag: str, variable: str) -> str | None:
        return optional_text(values, flag) or os.environ.get(variable)

    timeout = optional_text(values, "timeout") or os.environ.get("NATS_TIMEOUT") or "5s"
    user, password = setting("user", "NATS_USER"), setting("password", "NATS_PASSWORD")
    token = setting("token", "NATS_TOKEN")
    if user and not password and not token:
        user, token = None, user  # as the official CLI takes it: a user alone is a token
    server = Server(
        setting("server", "NATS_URL") or "nats://127.0.0.1:4222",
        user,
        password,
        token,
        read_duration(timeout) / SECOND_NS,
    )

    async def connected() -> None:
        client = await connect(server)
        try:
            await work(Buckets(client, server.timeout))
        except nats.errors.ConnectionClosedError as error:
            raise CommandError("nats: connection closed: the server is gone") from error
        except nats.errors.Error as error:
            raise CommandError(str(error)) from error
        finally:
            await client.close()

    asyncio.run(connected())
    return 0


def say(line: str) -> None:
    """Write text to standard output at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


def confirm(values: Values, question: str) -> None:
    """Go on only with --force or a yes; raises `CommandError`."""
    if switch(values, "force"):
        return
    if not sys.stdin.isatty():
        raise CommandError("cannot ask for confirmation without a terminal")
    sys.stdout.write(f"? {question} (y/N) ")
    sys.stdout.flush()
    if not sys.stdin.readline().strip().lower().startswith("y"):
        raise CommandError("not confirmed: nothing was changed")
