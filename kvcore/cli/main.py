"""The entry point, which decides what to load before it loads it.

A server that must answer within half a second and idle on little memory can't afford to
import a command-line framework that it doesn't use. So the first words are looked at with
nothing imported: `kvcore serve` (or the name `nats-server`) goes straight to the server,
`kvcore kv` and `kvcore nats kv` (or the name `nats`) to the key-value commands, and only
the rest loads typer.

Left out: what the commands do.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit the process with its code."""
    words = list(sys.argv if argv is None else argv)
    name = words[0].rsplit("/", 1)[-1]
    sys.exit(run(name, words[1:]))


def run(name: str, words: Sequence[str]) -> int:
    """Run `words` as the program called `name`; the exit code."""
    if name == "nats-server" or words[:1] == ["serve"]:
        from kvcore.server.main import serve

        return serve(words if name == "nats-server" else words[1:], _served_as(name))
    if name == "nats" or words[:1] == ["nats"]:
        from kvcore.cli.kv import nats

        return nats(words if name == "nats" else words[1:])
    if words[:1] == ["kv"]:
        from kvcore.cli.kv import nats

        return nats(words)
    from kvcore.cli.app import app

    return app(words)


def _served_as(name: str) -> str:
    return "nats-server" if name == "nats-server" else "kvcore"


if __name__ == "__main__":
    main()
