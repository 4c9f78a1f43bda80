"""What one server is told about itself: `Settings`, and what only a start can know.

A `Node` is pure, so everything that the world decides comes to it as a value: the port that
the system chose, an id that no other server has, the functions that check passwords and
signatures. `kvcore serve` and `kvcore.testing` make that value here, so that a server in
somebody's tests is the same server.

Left out: the store, the sockets and the seed, which their owners bring.
"""

import base64
import dataclasses
import os

from kvcore.node.config import NodeConfig
from kvcore.server.secrets import Secrets, check_signature
from kvcore.server.settings import Settings

NATS_VERSION = "2.11.0"  # the nats-server whose wire this is, as INFO says it


def node_config(
    settings: Settings, port: int, http_port: int = 0, engines: tuple[str, ...] = ("file",)
) -> NodeConfig:
    """The node's own settings, with a new id; the ports are those that are listened on."""
    server_id = "N" + base64.b32encode(os.urandom(35)).decode()[:55]
    shared = {field.name for field in dataclasses.fields(NodeConfig)}
    values = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(Settings)
        if field.name in shared
    }
    values.update(
        server_name=settings.server_name or server_id,
        port=port,
        http_port=http_port,
        http_host=settings.http_host if http_port else "",
        cluster=settings.cluster.config() if settings.cluster is not None else None,
        store_dir=os.path.realpath(settings.store_dir) if settings.jetstream else "",
    )
    return NodeConfig(
        server_id=server_id,
        version=NATS_VERSION,
        check_secret=Secrets().check_secret,
        check_signature=check_signature,
        engines=engines,
        tls_required=settings.tls is not None,
        tls_verify=settings.tls is not None and settings.tls.verify,
        **values,
    )
