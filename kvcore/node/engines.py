"""Which store a group lives in.

A stream says `memory` or `file`. What keeps a `file` stream is this server's own affair: the
append-only file, or RocksDB. The stream's metadata `kvcore.engine` may name one of the two,
else the server's default is taken (`--engine`). The choice is made once, when the group is
begun here; from then on the group is where its hard state is, whatever the server is told
at later starts. So the replicas of one stream may be on different engines, and a server
without RocksDB keeps its replica of a `rocksdb` stream in the file.

A durable group's term and vote, its log and its records share one store, so that they share
one batch. Only the hard state of a group in memory is elsewhere: in the file.

Left out: moving a group from one engine to another.
"""

from collections.abc import Mapping

from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.engines import named_engine
from kvcore.node.groups import FILE, MEMORY
from kvcore.storage import keys
from kvcore.storage.overlay import Overlay


def engine_of(gid: int, config: StreamConfig, overlays: Mapping[str, Overlay], default: str) -> str:
    """The engine of a stream's group: where it is already, or where it is to begin."""
    if config.storage == "memory":
        return MEMORY
    for engine, overlay in overlays.items():
        if engine != MEMORY and overlay.get(keys.hard_state(gid)) is not None:
            return engine
    wanted = named_engine(config) or default
    return wanted if wanted in overlays else FILE


def hard_of(engine: str, overlays: Mapping[str, Overlay]) -> Overlay:
    """Where the hard state of a group on this engine is."""
    return overlays[FILE if engine == MEMORY else engine]
