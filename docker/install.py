"""Completes an image, as its builder: what kvcore needs is there, and the data has an owner.

A base that docker/base.py made has kvcore's dependencies and no pip; python:slim has pip and
no dependencies. So pip is asked only if one is missing. The directory for data belongs to the
user that the server runs as, and so will each volume that is made from it.

Left out: kvcore itself, which is found by PYTHONPATH.
"""

import compileall
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path("/opt/kvcore")
DATA = Path("/data")
USER = 10001
MODULES = ("nats", "rich", "typer", "uvloop", "rocksdict", "bcrypt", "cryptography")


def main() -> None:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        what = f"{SOURCE}[{os.environ.get('EXTRAS', 'rocksdb,secure')}]"
        pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", what]
        subprocess.run(pip, check=True)
    compileall.compile_dir(SOURCE / "kvcore", quiet=1)
    DATA.mkdir(mode=0o700, exist_ok=True)
    os.chown(DATA, USER, USER)


if __name__ == "__main__":
    main()
