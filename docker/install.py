"""Completes an image, as its builder: what kvcore needs is there, and its folders have an owner.

    install.py /data …          EXTRAS=rocksdb,secure

A base that docker/base.py made has kvcore's dependencies and no pip; python:slim has pip and
no dependencies. So pip is asked only if one is missing. Neither base has bytecode for the
standard library, and a container that can't write would compile it anew with each start and
each check of its health; so what they import is imported here once, for Python to keep. The
folders that are named belong to the user that the server runs as, and so will each volume that
is made from them.

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
    "course": ("ipywidgets", "jupyterlab", "matplotlib", "pandas", "rocksdict"),
}


STARTED = {  # extra: what is imported with each start
    "": ("kvcore.cli.main", "kvcore.server.main", "socket"),
    "course": ("jupyterlab.labapp", "ipykernel.kernelapp", "matplotlib.pyplot", "kvcore.lab"),
}


def keep_bytecode(modules: list[str]) -> None:
    env = os.environ | {"HOME": "/tmp"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], env=env, check=True)


def main() -> None:
    extras = os.environ["EXTRAS"]
    wanted = [name for extra in ("", *extras.split(",")) for name in MODULES[extra]]
    if any(importlib.util.find_spec(name) is None for name in wanted):
        pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", f"{SOURCE}[{extras}]"]
        subprocess.run(pip, check=True)
    compileall.compile_dir(SOURCE / "kvcore", quiet=1)
    started = [name for extra in ("", *extras.split(",")) for name in STARTED.get(extra, ())]
    keep_bytecode([*wanted, *started])
    for name in sys.argv[1:]:
        Path(name).mkdir(mode=0o700, parents=True)
        os.chown(name, USER, USER)


if __name__ == "__main__":
    main()
