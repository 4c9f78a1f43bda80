"""The images that clusters of containers run, and how one comes into being.

kvcore's own is built from the checkout by `docker/Dockerfile`, once for each state of its
sources: the tag holds a digest of them. Its base is `python:3.12-slim` where the engine can
get that; else, on Linux, one that is made of the Python that runs this (`docker/base.py`).
KVCORE_DOCKER_BASE names another.

nats-server's is the official image where the engine can get it; else, on Linux, an image of
the binary that is installed here, and of the shared libraries that it names, if any.

An image is built before the first cluster can be there, and that takes from some seconds to
minutes, so each step is told as it begins.

Left out: pushing images anywhere.
"""

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvcore.lab import programs

ROOT = Path(__file__).resolve().parents[2]
BASE = "python:3.12-slim"
LOCAL_BASE = "kvcore-base:local"
NATS = "nats:2.15.2"
LOCAL_NATS = "kvcore-nats:local"
_SOURCES = (
    *("docker/Dockerfile", "docker/install.py", "docker/health.py", "docker/secret.py"),
    "pyproject.toml",
)
_ELF = b"\x7fELF"
_LIBRARY = re.compile(r"(?:=> |^\s+)(/\S+) \(0x", re.MULTILINE)  # a line of ldd's
Tell = Callable[[str], None]


class ImageError(RuntimeError):
    """An image can't be had; the text says why, and what else would do."""


def tell(line: str) -> None:
    """A line of progress, seen at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def image(client: Any, wanted: str, say: Tell = tell) -> str:
    """The tag of an image that the engine has: "kvcore", "nats", or any name it knows.

    Raises `ImageError`.
    """
    if wanted == "kvcore":
        return _kvcore(client, say)
    if wanted == "nats":
        return _nats(client, say)
    if not _has(client, wanted) and not _pull(client, wanted, say):
        raise ImageError(
            f"the engine has no image {wanted!r} and can't get it; kvcore and nats are made here"
        )
    return wanted


def _has(client: Any, tag: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _pull(client: Any, tag: str, say: Tell) -> bool:
    """Whether the engine got it. It asks a registry, which may be out of reach."""
    from docker.errors import APIError

    say(f"getting {tag} …")
    try:
        client.images.pull(tag)
    except (APIError, OSError):  # a refusal, or a registry that doesn't answer at all
        say(f"{tag} can't be got from here")
        return False
    return True


def _kvcore(client: Any, say: Tell) -> str:
    if not (ROOT / "docker" / "Dockerfile").exists():
        raise ImageError(f"{ROOT} is no checkout of kvcore: there is no docker/Dockerfile in it")
    tag = f"kvcore:{_digest()}"
    if not _has(client, tag):
        base = _base(client, say)
        say(f"building {tag} on {base} …")
        _build(client, tag, base, say)
    return tag


def _digest() -> str:
    """Of all that goes into the image."""
    digest = hashlib.sha256()
    files = [ROOT / name for name in _SOURCES]
    files += sorted(path for path in (ROOT / "kvcore").rglob("*") if path.is_file())
    for path in files:
        if "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _base(client: Any, say: Tell) -> str:
    named = os.environ.get("KVCORE_DOCKER_BASE", "")
    if named:
        return named
    if _has(client, BASE) or (not _has(client, LOCAL_BASE) and _pull(client, BASE, say)):
        return BASE
    if not sys.platform.startswith("linux"):
        raise ImageError(
            f"{BASE} can't be got, and a base can be made of this Python on Linux alone. Once a "
            f"registry is reachable: docker pull {BASE}. KVCORE_DOCKER_BASE names another base."
        )
    say(f"making {LOCAL_BASE} of this Python …")
    command = [sys.executable, str(ROOT / "docker" / "base.py"), "--tag", LOCAL_BASE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ImageError(f"docker/base.py failed: {done.stderr.strip()[-500:]}")
    return LOCAL_BASE


def _build(client: Any, tag: str, base: str, say: Tell) -> None:
    from docker.errors import APIError, BuildError

    try:
        lines = client.api.build(
            path=str(ROOT),
            dockerfile="docker/Dockerfile",
            tag=tag,
            buildargs={"BASE": base},
            rm=True,
            decode=True,
        )
        for line in lines:
            if "error" in line:
                raise ImageError(f"building {tag} on {base} failed: {line['error'].strip()}")
            if (text := str(line.get("stream", ""))).startswith("Step "):
                say("  " + text.strip())
    except (APIError, BuildError) as error:
        raise ImageError(f"building {tag} on {base} failed: {error}") from error


def _nats(client: Any, say: Tell) -> str:
    for tag in (NATS, LOCAL_NATS):
        if _has(client, tag):
            return tag
    if _pull(client, NATS, say):
        return NATS
    binary = _server()
    if binary is None:
        raise ImageError(
            f"{NATS} can't be got, and there is no nats-server on this machine to make an image "
            "of. Install it (with Go: make tools), or go on with kvcore's own: Cluster.docker(3)."
        )
    say(f"making {LOCAL_NATS} of {binary} …")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        tar.add(binary, "nats-server")
        for library in _libraries(binary):
            tar.add(library, library.lstrip("/"))
        for name, mode in (("tmp", 0o1777), ("data", 0o700)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
    changes = ['ENTRYPOINT ["/nats-server"]', "EXPOSE 4222 6222 8222", "VOLUME /data"]
    changes.append("ENV GODEBUG=netdns=go")  # Go's own resolver asks for no library of C's
    repository, _, name = LOCAL_NATS.partition(":")
    client.api.import_image_from_data(
        buffer.getvalue(), repository=repository, tag=name, changes=changes
    )
    return LOCAL_NATS


def _server() -> str | None:
    """The nats-server of this machine, a static one first; None if there is none."""
    if not sys.platform.startswith("linux"):
        return None
    programs_here = sorted(programs.found("nats-server"), key=lambda path: len(_libraries(path)))
    return next((path for path in programs_here if _is_elf(path)), None)


def _is_elf(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def _libraries(path: str) -> list[str]:
    """The shared libraries that the loader would load for a program, the loader included."""
    command = ["ldd", str(Path(path).resolve())]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return []  # a system without shared libraries
    return sorted(set(_LIBRARY.findall(said.stdout)))
