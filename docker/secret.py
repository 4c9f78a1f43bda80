"""Makes up, once, what the composed servers and their clients must know; then says it.

    secret.py SERVERS CLIENTS n1=4222 n2=4223 n3=4224

    SERVERS/peers          the secret by which servers know each other
    SERVERS/server.conf    the user and the password that they ask of clients
    CLIENTS/url            where a client on their own network reaches them, password and all

Both folders are volumes, so the next start finds the files and makes up nothing. The line
that it prints is for clients on this machine: `docker compose logs secret` shows it again.

Left out: another password later. `down -v` forgets this one, and with it the data.
"""

import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

USER = "kvcore"
_PASSWORD = re.compile(r'password: "([0-9a-f]+)"')


def make(servers: Path, clients: Path, names: Sequence[str]) -> str:
    """Writes what is missing; the clients' password."""
    if not (servers / "peers").exists():
        _write(servers / "peers", secrets.token_hex(32))
    conf = servers / "server.conf"
    if not conf.exists():
        _write(conf, f'authorization {{ user: {USER}, password: "{secrets.token_hex(16)}" }}')
    found = _PASSWORD.search(conf.read_text())
    assert found is not None, f"{conf} is not ours"
    _write(clients / "url", ",".join(f"nats://{USER}:{found[1]}@{name}:4222" for name in names))
    return found[1]


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for this user alone."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def main() -> None:
    servers, clients, *published = sys.argv[1:]
    ports = dict(each.split("=") for each in published)
    password = make(Path(servers), Path(clients), list(ports))
    urls = ",".join(f"nats://{USER}:{password}@127.0.0.1:{port}" for port in ports.values())
    sys.stdout.write(f"clients on this machine: export NATS_URL={urls}\n")


if __name__ == "__main__":
    main()
