"""Exits with 0 when the server in this container says that it is well, else with 1.

    health.py [URL]

kvcore's `/healthz` is asked as an orchestrator would: it answers 200 once the server has
caught up with its streams' leaders.

Left out: what is wrong; the server's log says it.
"""

import sys
import urllib.request

URL = "http://127.0.0.1:8222/healthz"


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else URL
    try:
        with urllib.request.urlopen(url, timeout=1.5) as answer:
            return 0 if answer.status == 200 else 1
    except OSError:  # refused, timed out, or an answer that is no 2xx
        return 1


if __name__ == "__main__":
    sys.exit(main())
