"""Starts JupyterLab in its container: the lessons are copied to work/, the servers are known.

NATS_URL is where the three composed servers are, so that a cell's `Cluster.nats(NATS_URL)`
reaches them; with KVCORE_WORLD=nats the lessons' own cells go there.

JupyterLab makes up a token with each start, and logs the address that has it.

Left out: everything about JupyterLab; scripts/lab.py knows that.
"""

import os
import sys
from pathlib import Path

URL = Path("/secret/clients/url")
LAB = "/opt/kvcore/scripts/lab.py"


def main() -> None:
    if URL.exists():
        os.environ["NATS_URL"] = URL.read_text().strip()
    command = [sys.executable, LAB, "open", "--ip=0.0.0.0", "--no-browser"]
    os.execv(command[0], [*command, *sys.argv[1:]])


if __name__ == "__main__":
    main()
