"""`kvcore kv …`, which is `nats kv …`: the same commands, flags and lines.

The table at the end is the documentation of what there is; each row's function turns the
values of a command line into calls of `bucket.py` and prints with `layout.py`. Standard
input is read as the official CLI reads it: a value on the command line wins, without one
all of standard input is stored, its last newline too.

Left out: mirrors' and sources' own options, and the commands beside `kv`.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from kvcore import __version__
from kvcore.cli import editing, keys, listing
from kvcore.cli.commands import Arg, Command, CommandError, Flag, Group, UsageError, run
from kvcore.cli.session import say
from kvcore.cli.values import (
    read_bytes,
    read_duration,
    read_history,
    read_label,
    read_number,
    read_storage,
)

INTERRUPTED = 130  # as a shell counts a program that SIGINT ended


def nats(words: Sequence[str]) -> int:
    """Run `kv …` as the program `nats` would; the exit code."""
    rest = list(words)
    try:
        if rest[:1] == ["--version"]:
            say(f"kvcore {__version__}\n")
            return 0
        leading = _leading_flags(rest)
        command, values, shown = run(KV, [*leading, *_after_kv(rest)])
        if command is None or shown:
            say(shown or f"kvcore {__version__}\n")
            return 0
        return command.run(values)
    except UsageError as error:
        say(error.usage)
        sys.stderr.write(f"error: {error}\n\n")
    except CommandError as error:
        sys.stderr.write(f"nats: error: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _after_kv(rest: list[str]) -> list[str]:
    if rest[:1] != ["kv"]:
        if not rest or rest[0] in ("--help", "-h"):
            return ["--help"]
        raise CommandError(f"only `kv` is here, not {rest[0]!r}: the rest needs the official CLI")
    return rest[1:]


def _leading_flags(rest: list[str]) -> list[str]:
    """Move the flags before `kv` (`nats -s URL kv …`) out of `rest`."""
    leading: list[str] = []
    while rest and rest[0].startswith("-"):
        leading.append(rest.pop(0))
        name, equals, _ = leading[-1].lstrip("-").partition("=")
        takes = any(flag.value and name in (flag.name, flag.short) for flag in GLOBALS)
        if takes and not equals and rest:
            leading.append(rest.pop(0))
    return leading


# The table.

_BUCKET = Arg("bucket", "The bucket to act on")
_KEY = Arg("key", "The key to act on")
_VALUE = Arg("value", "The value to store, when empty reads STDIN", required=False)
_FORCE = Flag("force", "Act without confirmation", short="f")
GLOBALS = (
    Flag("version", "Show application version."),
    Flag("server", "NATS server urls ($NATS_URL)", "URL", short="s"),
    Flag("user", "Username or Token ($NATS_USER)", "USER"),
    Flag("password", "Password ($NATS_PASSWORD)", "PASSWORD"),
    Flag("token", "Token ($NATS_TOKEN)", "TOKEN"),
    Flag("timeout", "Time to wait on responses from NATS ($NATS_TIMEOUT)", "5s"),
)
_ADD_FLAGS = (
    Flag("description", "A description for the bucket", "DESCRIPTION"),
    Flag("history", "How many historic values to keep per key", "N", "1", read=read_history),
    Flag("storage", "Storage backend to use (file, memory)", "STORAGE", read=read_storage),
    Flag("ttl", "How long to keep values for", "DURATION", read=read_duration),
    Flag("marker-ttl", "Enables Per-Key TTLs and Limit Markers", "DURATION", read=read_duration),
    Flag("replicas", "How many replicas of the data to store", "N", "1", read=read_number),
    Flag("max-value-size", "Maximum size for any single value", "BYTES", read=read_bytes),
    Flag("max-bucket-size", "Maximum size for the bucket", "BYTES", read=read_bytes),
    Flag("tags", "Place the bucket on servers that has specific tags", "TAGS", many=True),
    Flag("cluster", "Place the bucket on a specific cluster", "CLUSTER"),
    Flag("compress", "Compress the bucket data", negatable=True),
    Flag("metadata", "Adds metadata to the stream", "META", many=True, read=read_label),
    Flag("republish-source", "Republish messages to --republish-destination", "SRC"),
    Flag(
        "republish-destination",
        "Republish destination for messages in --republish-source",
        "DEST",
    ),
    Flag("republish-headers", "Republish only message headers, no bodies"),
)
_EDIT_FLAGS = tuple(replace(flag, keeps=True) for flag in _ADD_FLAGS if flag.name != "storage")
_KEY_TTL = Flag("ttl", "Sets a TTL for the key", "DURATION", read=read_duration)
_MARKER_TTL = Flag("ttl", "Sets a TTL for the purge marker", "DURATION", read=read_duration)
_COMMANDS = (
    Command("add", "Adds a new KV Store Bucket", (_BUCKET,), _ADD_FLAGS, listing.add, ("new",)),
    Command("edit", "Edits an existing KV Store Bucket", (_BUCKET,), _EDIT_FLAGS, editing.edit),
    Command("put", "Puts a value into a key", (_BUCKET, _KEY, _VALUE), (), keys.put),
    Command(
        "get",
        "Gets a value for a key",
        (_BUCKET, _KEY),
        (
            Flag("revision", "Gets a specific revision", "REVISION", read=read_number),
            Flag("raw", "Show only the value string"),
        ),
        keys.get,
    ),
    Command(
        "create",
        "Puts a value into a key only if the key is new or it's last operation was a delete",
        (_BUCKET, _KEY, _VALUE),
        (_KEY_TTL,),
        keys.create,
    ),
    Command(
        "update",
        "Updates a key with a new value if the previous value matches the given revision",
        (
            _BUCKET,
            _KEY,
            Arg("value", "The value to store"),
            Arg("revision", "The revision of the previous value in the bucket"),
        ),
        (),
        keys.update,
    ),
    Command(
        "del",
        "Deletes a key or the entire bucket",
        (_BUCKET, Arg("key", "The key to act on", required=False)),
        (_FORCE,),
        keys.delete,
        ("rm",),
    ),
    Command(
        "purge",
        "Deletes a key from the bucket, clearing history before creating a delete marker",
        (_BUCKET, _KEY),
        (_FORCE, _MARKER_TTL),
        keys.purge,
    ),
    Command("history", "Shows the full history for a key", (_BUCKET, _KEY), (), keys.history),
    Command(
        "revert",
        "Reverts a value to a previous revision using put",
        (_BUCKET, _KEY, Arg("revision", "The revision to revert to")),
        (Flag("force", "Force reverting without prompting", negatable=True),),
        keys.revert,
    ),
    Command(
        "info",
        "View the status of a KV store",
        (Arg("bucket", "The bucket to act on", required=False),),
        (),
        listing.info,
        ("view", "status"),
    ),
    Command(
        "watch",
        "Watch the bucket or a specific key for updated",
        (_BUCKET, Arg("key", "The key to act on", required=False)),
        (
            Flag("history", "Includes historic values"),
            Flag("deletes", "Includes deletes in watched values", default="on", negatable=True),
            Flag("updates", "Only show new values written"),
            Flag("revision", "Starts from a certain revision", "REVISION", read=read_number),
        ),
        keys.watch,
    ),
    Command(
        "ls",
        "List available buckets or the keys in a bucket",
        (
            Arg("bucket", "The bucket to list the keys", required=False),
            Arg("key", "The key to act on", required=False),
        ),
        (
            Flag("names", "Show just the bucket names", short="n"),
            Flag("verbose", "Show detailed info about the key", short="v"),
            Flag(
                "display-value",
                "Display value in verbose output (has no effect without 'verbose')",
            ),
        ),
        listing.ls,
        ("list",),
    ),
    Command(
        "compact", "Reclaim space used by deleted keys", (_BUCKET,), (_FORCE,), listing.compact
    ),
)
KV = Group(
    "kv",
    "Interacts with a JetStream based Key-Value store\n\n"
    "The JetStream Key-Value store uses streams to store key-value pairs for an indefinite "
    "period or a per-bucket configured TTL.",
    _COMMANDS,
    (),
    GLOBALS,
)
