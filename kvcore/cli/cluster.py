"""`kvcore cluster`: several servers on this machine, and what may befall them.

    terminal 1   kvcore cluster up --servers 3        a table of who leads what, until Ctrl-C
    terminal 2   kvcore cluster kill n2
                 kvcore cluster partition n1          n1 alone, the others together
                 kvcore cluster heal

`up` starts the servers and owns them; the other commands ask it, by the file that it leaves
in its directory (`lab/supervisor.py`). On a terminal the table is drawn anew each second;
elsewhere a line is printed when something changes, so that a log stays readable.

Left out: clusters of several machines. Start `kvcore serve` on each; its flags say how.
"""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from kvcore.lab.engine import NoEngineError, clean, engine
from kvcore.lab.supervisor import Supervisor, SupervisorError, order, status

DIRECTORY = Path("kvcore-cluster")
_REFRESH_SECONDS = 1.0
_LEADS_COUNT = 6  # streams that a cell names

cluster = typer.Typer(
    name="cluster",
    help="Run a cluster on this machine, and hurt it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Dir = Annotated[Path, typer.Option("--dir", help="Where the cluster keeps its data.")]
_Servers = Annotated[list[str], typer.Argument(help="Servers, such as n2.")]


@cluster.command()
def up(
    servers: Annotated[int, typer.Option("--servers", min=1, max=9, help="How many.")] = 3,
    directory: _Dir = DIRECTORY,
    port: Annotated[
        int, typer.Option("--port", help="The first server's; the others follow. -1: any free.")
    ] = 4222,
    flags: Annotated[
        list[str] | None, typer.Option("--flag", help="A flag for each server: --flag=-D")
    ] = None,
) -> None:
    """Start a cluster and show who leads what, until Ctrl-C ends it."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        supervisor = Supervisor(servers, directory, flags or (), first_port=port)
    except SupervisorError as error:
        raise _failed(str(error)) from error
    began = time.monotonic()
    try:
        supervisor.start()
        took = time.monotonic() - began
        urls = ",".join(f"nats://127.0.0.1:{each.port}" for each in supervisor.fleet.members)
        console.print(f"{servers} servers are one cluster after {took:.1f} s: {urls}")
        console.print(f"another terminal: kvcore cluster kill n1 --dir {directory}")
        _show(supervisor, console)
    except KeyboardInterrupt:
        console.print("the cluster is ending")
    except (RuntimeError, TimeoutError) as error:
        raise _failed(str(error)) from error
    finally:
        supervisor.end()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(supervisor: Supervisor, console: Console) -> None:
    if not console.is_terminal:
        _print_changes(supervisor, console)
        return
    with Live(_table(status(supervisor.fleet)), console=console, auto_refresh=False) as live:
        while not supervisor.is_over:
            if said := supervisor.next(_REFRESH_SECONDS):
                console.print(said)
            live.update(_table(status(supervisor.fleet)), refresh=True)


def _print_changes(supervisor: Supervisor, console: Console) -> None:
    before: dict[str, str] = {}
    while not supervisor.is_over:
        for row in status(supervisor.fleet):
            line = _line(row)
            if before.get(row["server"]) != line:
                before[row["server"]] = line
                console.print(line, highlight=False, soft_wrap=True)
        sys.stdout.flush()
        if said := supervisor.next(_REFRESH_SECONDS):
            console.print(said, highlight=False, soft_wrap=True)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="kvcore cluster")
    for heading in ("server", "clients", "state", "leads", "streams", "messages"):
        table.add_column(heading, justify="right" if heading in ("streams", "messages") else "left")
    for row in rows:
        colour = {"up": "green", "paused": "yellow"}.get(row["state"], "red")
        table.add_row(
            *(row["server"], row["url"], f"[{colour}]{_state(row)}[/]", _leads(row)),
            *(str(row["streams"]), str(row["messages"])),
        )
    return table


def _line(row: dict[str, Any]) -> str:
    return f"{row['server']} {row['url']} {_state(row)}; leads {_leads(row) or 'nothing'}"


def _state(row: dict[str, Any]) -> str:
    return f"{row['state']}, cut off from {' '.join(row['cut'])}" if row["cut"] else row["state"]


def _leads(row: dict[str, Any]) -> str:
    leads = row["leads"]
    more = f" and {len(leads) - _LEADS_COUNT} more" if len(leads) > _LEADS_COUNT else ""
    return ", ".join(leads[:_LEADS_COUNT]) + more


def _failed(text: str) -> typer.Exit:
    sys.stderr.write(f"kvcore cluster: {text}\n")
    return typer.Exit(1)


def _ask(directory: Path, do: str, words: Sequence[str] = ()) -> dict[str, Any]:
    try:
        return order(directory, do, words)
    except SupervisorError as error:
        raise _failed(str(error)) from error


@cluster.command("clean")
def _clean(
    everything: Annotated[
        bool, typer.Option("--all", help="Those whose makers are still there, too.")
    ] = False,
) -> None:
    """Remove containers that an ended notebook left behind."""
    try:
        with engine() as client:
            gone = clean(client, all_owners=everything)
    except NoEngineError as error:
        raise _failed(str(error)) from error
    sys.stdout.write("".join(f"removed {name}\n" for name in gone) or "nothing was left behind\n")


@cluster.command("status")
def _status(directory: _Dir = DIRECTORY) -> None:
    """Show who leads what, once."""
    rows = _ask(directory, "status")["servers"]
    console = Console()
    if console.is_terminal:
        console.print(_table(rows))
    else:
        for row in rows:
            console.print(_line(row), highlight=False, soft_wrap=True)


@cluster.command()
def kill(servers: _Servers, directory: _Dir = DIRECTORY) -> None:
    """SIGKILL: what the page cache holds stays."""
    sys.stdout.write(f"{_ask(directory, 'kill', servers)['said']}\n")


@cluster.command("power-cut")
def power_cut(servers: _Servers, directory: _Dir = DIRECTORY) -> None:
    """SIGKILL, and what was not synced may be gone."""
    sys.stdout.write(f"{_ask(directory, 'power-cut', servers)['said']}\n")


@cluster.command()
def pause(servers: _Servers, directory: _Dir = DIRECTORY) -> None:
    """SIGSTOP: the connections stay open."""
    sys.stdout.write(f"{_ask(directory, 'pause', servers)['said']}\n")


@cluster.command()
def resume(servers: _Servers, directory: _Dir = DIRECTORY) -> None:
    """SIGCONT."""
    sys.stdout.write(f"{_ask(directory, 'resume', servers)['said']}\n")


@cluster.command()
def restart(servers: _Servers, directory: _Dir = DIRECTORY) -> None:
    """Start a server on its data; one that runs is ended first."""
    sys.stdout.write(f"{_ask(directory, 'restart', servers)['said']}\n")


@cluster.command()
def partition(
    groups: Annotated[list[str], typer.Argument(help="n1 alone, or groups: n1,n2 n3.")],
    directory: _Dir = DIRECTORY,
) -> None:
    """Silence between groups of servers; the ones that you don't name are one group more."""
    sys.stdout.write(f"{_ask(directory, 'partition', groups)['said']}\n")


@cluster.command()
def heal(directory: _Dir = DIRECTORY) -> None:
    """One network again."""
    sys.stdout.write(f"{_ask(directory, 'heal')['said']}\n")


@cluster.command()
def down(directory: _Dir = DIRECTORY) -> None:
    """End the cluster; its data stays."""
    sys.stdout.write(f"{_ask(directory, 'down')['said']}\n")
