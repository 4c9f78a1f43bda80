"""The stream metadata `kvcore.engine`: what keeps a stream that has file storage.

NATS has no word for it, so it rides where NATS leaves room for its users. `file` is the
append-only file under a dict, `rocksdb` is RocksDB. A stream that says nothing takes the
server's default. It is a choice for a stream's life, as its storage is.

Whether a server *has* an engine is known only there, so the server that takes the request
says no, before anything is proposed to a log that all servers read alike.

Left out: which engine a stream is on; that is each server's own (`node/engines.py`).
"""

from collections.abc import Collection, Mapping

from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.errors import ApiError, ConfigError, invalid_config

ENGINE = "kvcore.engine"
_DURABLE = ("file", "rocksdb")


def named_engine(config: StreamConfig) -> str:
    """The engine that the configuration names, "" if it leaves that to the server."""
    return config.metadata.get(ENGINE, "")


def engine_refusal(config: StreamConfig) -> ApiError | None:
    """What can't be anywhere."""
    engine = named_engine(config)
    if not engine or (engine in _DURABLE and config.storage == "file"):
        return None
    return invalid_config(f"{ENGINE} is file or rocksdb, and goes with file storage")


def require_engine(engines: Collection[str], document: Mapping[str, object]) -> None:
    """Refuse a configuration that names an engine which isn't among the server's."""
    metadata = document.get("metadata")
    engine = metadata.get(ENGINE, "") if isinstance(metadata, dict) else ""
    if engine in _DURABLE and engine not in engines:
        raise ConfigError(
            invalid_config(f"{ENGINE} is {engine}, and this server has none: kvcore[rocksdb]")
        )
