"""Completes an image, as its builder: what kvcore needs is there, and its folders have an owner.

    install.py /data …          EXTRAS=rocksdb,secure

A base that docker/base.py made has kvcore's dependencies and no pip; python:slim has pip and
no dependencies. So pip is asked only if one is missing. The folders that are named belong to
the user that the server runs as, and so will each volume that is made from them.

Left out: kvcore itself, which is found by PYTHONPATH.
"""

import compileall
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path("/opt/kvcore")
USER = 10001
MODULES = {  # extra: what it brings; "" is without any
    "": ("nats", "rich", "typer", "uvloop"),
    "rocksdb": ("rocksdict",),
    "secure": ("bcrypt", "cryptography"),
    "course": ("anywidget", "ipywidgets", "jupyterlab", "matplotlib", "pandas", "rocksdict"),
}


def main() -> None:
    extras = os.environ["EXTRAS"]
    wanted = [name for extra in ("", *extras.split(",")) for name in MODULES[extra]]
    if any(importlib.util.find_spec(name) is None for name in wanted):
        pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", f"{SOURCE}[{extras}]"]
        subprocess.run(pip, check=True)
    compileall.compile_dir(SOURCE / "kvcore", quiet=1)
    for name in sys.argv[1:]:
        Path(name).mkdir(mode=0o700, parents=True)
        os.chown(name, USER, USER)


if __name__ == "__main__":
    main()
