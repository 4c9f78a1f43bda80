"""`kvcore` itself: what there is, and the commands that are neither a server nor `kv`.

typer makes the list and the help texts. `serve`, `kv` and `nats` stand in the list only to
be found; `main.py` has branched to them long before this module is imported, because a
server must not load typer, and the key-value commands answer in the official CLI's way.

Left out: lessons; `make lab` opens them.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from kvcore import __version__
from kvcore.cli.cluster import cluster
from kvcore.cli.copy import copy
from kvcore.cli.doctor import doctor

_cli = typer.Typer(
    name="kvcore",
    help="A readable key-value cluster that speaks NATS, and its tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_cli.add_typer(cluster)
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def app(words: Sequence[str]) -> int:
    """Run `kvcore WORDS…`; the exit code."""
    try:
        _cli(args=list(words), prog_name="kvcore", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"kvcore {__version__}\n")
        raise typer.Exit


@_cli.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Read the options that stand before a command."""


@_cli.command("serve", context_settings=_PASSED_ON)
def _serve() -> None:
    """Serve NATS clients; takes nats-server's flags (`kvcore serve --help`)."""


@_cli.command("kv", context_settings=_PASSED_ON)
def _kv() -> None:
    """Work with buckets and keys, as `nats kv` does (`kvcore kv --help`)."""


@_cli.command("nats", context_settings=_PASSED_ON)
def _nats() -> None:
    """Stand in for the official CLI where it is missing: `kvcore nats kv …`."""


@_cli.command("doctor")
def _doctor() -> None:
    """Look at this machine and say what kvcore and the course still need."""
    raise typer.Exit(doctor(sys.stdout))


@_cli.command("copy")
def _copy(
    bucket: Annotated[str, typer.Argument(help="The bucket's name, the same on both sides.")],
    source: Annotated[str, typer.Option("--from", metavar="URL", help="Where the bucket is.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="Where it shall be.")],
    replicas: Annotated[
        int | None,
        typer.Option("--replicas", min=1, max=5, help="Copies on the target; else as before."),
    ] = None,
) -> None:
    """Copy a bucket to another cluster, kvcore's or nats-server's, and compare the two.

    Revisions keep their numbers, gaps included. Configuration, history, deletes and purges are
    the same; a value's own TTL goes on with what is left of it, rounded up to a second, while a
    bucket's --ttl begins anew. Placement and sources stay behind. The source may be written to
    meanwhile: the copy holds what the source held when it caught up. Let no client use the
    target before the end.

    After a break give the same command again: it goes on where it stopped. A bucket on the
    target that is not its own unfinished copy is left alone. Exit code 0 means compared and the
    same; 1 comes with a sentence that says what to do.
    """
    raise typer.Exit(copy(source, target, bucket, replicas))
