"""nats-server's command line, read with nothing but a table.

A test-suite made for nats-server starts ours with the flags it knows, so they must be taken
in every form that Go's flag package takes: `-p 4222`, `--port=4222`, `-js`, `-js=false`. A
flag that takes no value never eats the next word; the first word that is no flag ends them.

Every flag is one row of `FLAGS`: its names, the setting it fills, its kind, what it does.
`--help` prints the same table. Flags of things that kvcore doesn't have yet are known too,
so that they can be refused by name ("comes later") instead of looking like a typing mistake.

Left out: what the values mean together, which is `settings.py`'s business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvcore.limits import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, Nanos

Kind: TypeAlias = Literal["text", "number", "switch", "duration", "later"]
Value: TypeAlias = str | int | bool


class FlagError(Exception):
    """The command line can't be understood; the text is one sentence for whoever typed it."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One row: `names` without dashes, the first being the one that is shown."""

    names: tuple[str, ...]
    setting: str
    kind: Kind
    help: str


def _rows(kind: Kind, *rows: tuple[str, str, str]) -> tuple[Flag, ...]:
    return tuple(Flag(tuple(names.split()), setting, kind, text) for names, setting, text in rows)


FLAGS: tuple[Flag, ...] = (
    *_rows(
        "text",
        ("a addr net", "host", "address to listen on (default 127.0.0.1)"),
        ("http_host", "http_host", "address for HTTP monitoring (default: that of -a)"),
        ("n name server_name", "server_name", "server name (default: made up)"),
        ("client_advertise", "advertise", "HOST:PORT where the clients of a cluster reach it"),
        ("c config", "config", "configuration file, in nats-server's syntax"),
        ("sd store_dir", "store_dir", "where data is kept (default ./kvcore-data)"),
        ("user", "user", "user that clients must name"),
        ("pass", "password", "that user's password"),
        ("auth", "token", "token that clients must show"),
        ("tlscert", "tls_cert", "certificate of this server, a PEM file"),
        ("tlskey", "tls_key", "its private key"),
        ("tlscacert", "tls_ca", "who signs the certificates of clients"),
        ("l log", "log_file", "write the log to this file"),
        ("P pid", "pid_file", "write the process id to this file"),
        ("ports_file_dir", "ports_dir", "write <name>_<pid>.ports to this directory"),
        ("sl signal", "signal", "tell a running server: ldm|stop|quit|term|reopen=PID or PIDFILE"),
        ("engine", "engine", "what keeps file streams: file (default) or rocksdb"),
        ("sync", "sync", "when an ack is safe: always (default), interval or never"),
        ("cluster cluster_listen", "cluster_listen", "address for peers: nats://HOST:PORT"),
        ("cluster_name", "cluster_name", "name of the cluster, the same on all its servers"),
        ("routes", "routes", "peers to connect to: nats://HOST:PORT,… (this server may be one)"),
        ("cluster_advertise", "cluster_advertise", "HOST:PORT at which peers reach this server"),
        ("cluster_secret_file", "cluster_secret_file", "file with the secret that peers must know"),
        ("timers", "cluster_timers", "how soon a leader is missed: kvcore (default) or nats"),
        ("record", "record", "write every event to this file, for replay (holds passwords)"),
    ),
    *_rows(
        "number",
        ("p port", "port", "port for clients (default 4222; -1: any free one)"),
        (
            "m http_port",
            "http_port",
            "port for HTTP monitoring: /varz, /healthz (-1: any free one)",
        ),
        ("cluster_size", "cluster_size", "servers that found the cluster (default: all routes)"),
        ("parent-fd", "parent_fd", "end when this pipe's other end closes"),
        ("synced-fd", "synced_fd", "write to this file how much of each log is durable"),
    ),
    *_rows(
        "duration", ("sync-interval", "sync_interval", "pause between syncs of --sync interval")
    ),
    *_rows(
        "switch",
        ("js jetstream", "jetstream", "JetStream, which is on unless told otherwise"),
        ("no-jetstream", "no_jetstream", "serve core NATS alone"),
        ("tls", "tls", "speak TLS (needs --tlscert and --tlskey)"),
        ("tlsverify", "tls_verify", "clients must show a certificate"),
        ("admin", "admin", "let a program of this user cut the server off (see server/admin.py)"),
        ("D debug", "debug", "log what the server does"),
        ("V trace", "trace", "as -D, and each record of the trace"),
        ("DV", "debug_trace", "-D and -V"),
        ("T logtime", "log_time", "put the time before each line (default true)"),
        ("t", "check_only", "read flags and configuration, then exit"),
        ("v version", "version", "show the version"),
        ("h help", "help", "show this text"),
    ),
    *_rows("later", ("ms https_port", "HTTPS for monitoring", "value")),
)
_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_UNITS: dict[str, Nanos] = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "µs": MICROSECOND_NS,
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}


def parse_duration(text: str) -> Nanos:
    """Go's notation (`1m30s`, `250ms`); raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration such as 250ms, 10s or 2m")
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def parse(argv: Sequence[str]) -> dict[str, Value]:
    """The settings that `argv` names, by the names in the table; raises `FlagError`."""
    given: dict[str, Value] = {}
    words = list(argv)
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--" or not word.startswith("-") or word == "-":
            raise FlagError(f"don't know what to do with {word!r}: `kvcore serve` takes flags only")
        name, equals, value = word.lstrip("-").partition("=")
        flag = _BY_NAME.get(name)
        if flag is None:
            raise FlagError(f"unknown flag {word.split('=')[0]}: `kvcore serve --help` lists them")
        if flag.kind == "later":
            raise FlagError(f"{flag.setting} comes later: this kvcore can't honour {_dashed(name)}")
        if flag.kind == "switch":
            given[flag.setting] = _switch(name, value) if equals else True
            continue
        if not equals:
            if at == len(words):
                raise FlagError(f"flag {_dashed(name)} needs a value")
            value = words[at]
            at += 1
        _fill(given, flag, name, value)
    return given


def _dashed(name: str) -> str:
    """A flag as people write it; either number of dashes is taken."""
    return f"-{name}" if len(name) <= 2 else f"--{name}"


def _switch(name: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise FlagError(f"flag {_dashed(name)} is true or false, not {value!r}")


def _fill(given: dict[str, Value], flag: Flag, name: str, value: str) -> None:
    if flag.kind == "number":
        try:
            given[flag.setting] = int(value)
        except ValueError:
            raise FlagError(f"flag {_dashed(name)} is a number, not {value!r}") from None
    elif flag.kind == "duration":
        try:
            given[flag.setting] = parse_duration(value)
        except ValueError as error:
            raise FlagError(f"flag {_dashed(name)}: {error}") from None
    else:
        given[flag.setting] = value


def usage() -> str:
    """The table as `--help` prints it."""
    lines = ["usage: kvcore serve [flags]", "", "Serves NATS clients and Key-Value buckets.", ""]
    for flag in FLAGS:
        if flag.kind == "later" or flag.setting == "parent_fd":
            continue
        names = ", ".join(map(_dashed, flag.names))
        takes = "" if flag.kind == "switch" else f" <{flag.kind}>"
        lines.append(f"  {names + takes:<34} {flag.help}")
    return "\n".join(lines) + "\n"
