"""Exits with 0 when the server in this container says that it is well, else with 1.

    health.py [PORT PATH]

kvcore's `/healthz` is asked as an orchestrator would: it answers 200 once the server has
caught up with its streams' leaders. That is done every two seconds in each container, so
this imports as little as it can: a socket, and no library for HTTP.

Left out: what is wrong; the server's log says it.
"""

import socket
import sys

SECONDS = 4


def main() -> int:
    port, path = sys.argv[1:] or ("8222", "/healthz")
    try:
        with socket.create_connection(("127.0.0.1", int(port)), SECONDS) as connection:
            host = f"Host: 127.0.0.1:{port}"
            request = f"GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            said = connection.recv(64).split()
    except OSError:  # refused, or no answer in time
        return 1
    return 0 if said[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
