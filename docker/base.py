"""Makes a base image out of the Python that runs this: for where no image registry is reachable.

    python docker/base.py [--extra course] [--tag kvcore-base:local]
    docker build -f docker/Dockerfile --build-arg BASE=kvcore-base:local -t kvcore:local .

The image holds the interpreter, its standard library, the shared libraries that both name,
and the packages that kvcore depends on, all read from this very environment: nothing is
fetched. There is no shell in it, no pip and no package manager, so the Dockerfile is written
without them. It takes some seconds, and about 100 MB.

Works on Linux alone, for there alone is this interpreter one that a container can run.

Left out: compilers, headers, tests of the standard library, and anything that wants Tk.
"""

import argparse
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAG = "kvcore-base:local"
EXTRAS = ("rocksdb", "secure")
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARY = f"usr/local/lib/{_VERSION}"
_SKIPPED = {
    *("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip"),
    *("site-packages", "lib2to3", "pydoc_data"),
}
_SKIPPED_FILES = ("_tkinter", "_test")
Files = dict[str, Path]  # where in the image: from where on this machine


def requirements(extras: Sequence[str]) -> list[str]:
    """The distributions that kvcore with these extras needs, here, and all that those need."""
    from packaging.requirements import Requirement

    found: dict[str, None] = {}
    waiting = [("kvcore", tuple(extras))]
    while waiting:
        name, wanted = waiting.pop()
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # a marker that asks for another platform's package, or one never needed
        if name != "kvcore":
            found[name] = None
        for line in lines:
            requirement = Requirement(line)
            environments = [{"extra": extra} for extra in wanted or ("",)]
            marker = requirement.marker
            is_wanted = marker is None or any(marker.evaluate(each) for each in environments)
            if is_wanted and requirement.name not in found:
                waiting.append((requirement.name, tuple(requirement.extras)))
    return sorted(found)


def _packages(names: Sequence[str]) -> Files:
    """Their files, as they would lie below /usr/local."""
    found: Files = {}
    for name in names:
        for file in distribution(name).files or ():
            source = Path(str(file.locate())).resolve()
            inside = os.path.normpath(f"{_LIBRARY}/site-packages/{file}")
            if source.is_file() and "__pycache__" not in source.parts:
                found[inside] = source
    return found


def _standard_library() -> Files:
    root = Path(sysconfig.get_path("stdlib"))
    found: Files = {}
    for directory, directories, names in os.walk(root):
        directories[:] = [each for each in directories if each not in _SKIPPED]
        for name in names:
            if not name.startswith(_SKIPPED_FILES) and not name.endswith((".a", ".pyc")):
                source = Path(directory) / name
                found[f"{_LIBRARY}/{source.relative_to(root)}"] = source.resolve()
    return found


def _shared_libraries(programs: Sequence[Path]) -> Files:
    """What the loader would look for: each at the place where it is on this machine."""
    found: Files = {}
    said = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, check=False
    ).stdout
    brought = set(programs)  # a package that brings its own libraries finds them beside itself
    for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE):
        if (source := Path(path).resolve()) not in brought:
            found[os.path.normpath(path).lstrip("/")] = source
    return found


def files(extras: Sequence[str]) -> Files:
    """All that the image holds."""
    python = Path(sys.executable).resolve()
    found = _standard_library() | _packages(requirements(extras))
    found |= {f"usr/local/bin/{_VERSION}": python}
    programs = [python, *(path for path in found.values() if ".so" in path.name)]
    return found | _shared_libraries(programs)


def pack(extras: Sequence[str], out: io.BufferedIOBase) -> int:
    """Writes the image's file system as a tar; how many files. All belong to root, readable."""
    found = files(extras)
    with tarfile.open(fileobj=out, mode="w") as tar:
        made: set[str] = set()
        for directory, mode in (("tmp", 0o1777), ("root", 0o755), ("home", 0o755), ("etc", 0o755)):
            _directory(tar, made, directory, mode)
        for name in sorted(found):
            for parent in reversed(Path(name).parents[:-1]):
                _directory(tar, made, str(parent), 0o755)
            _file(tar, name, found[name])
        for name in ("usr/local/bin/python3", "usr/local/bin/python"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, _VERSION
            tar.addfile(link)
        for name, text in _ACCOUNTS.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text))
    return len(found)


_ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/none\nkvcore:x:10001:10001:kvcore:/home:/none\n",
    "etc/group": b"root:x:0:\nkvcore:x:10001:\n",
}


def _directory(tar: tarfile.TarFile, made: set[str], name: str, mode: int) -> None:
    if name not in made:
        made.add(name)
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, source: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = source.stat().st_size
    entry.mode = 0o755 if os.access(source, os.X_OK) else 0o644
    with source.open("rb") as file:
        tar.addfile(entry, file)


def build(tag: str = TAG, extras: Sequence[str] = EXTRAS) -> str:
    """Has the engine import the image; its tag. Raises OSError off Linux, and `NoEngineError`."""
    sys.path.insert(0, str(ROOT))
    from kvcore.lab.engine import engine

    if not sys.platform.startswith("linux"):
        raise OSError("a base image can be made of this Python on Linux alone")
    repository, _, name = tag.partition(":")
    with engine() as client, tempfile.NamedTemporaryFile(suffix=".tar") as file:
        pack(extras, file)
        file.flush()
        client.api.import_image_from_file(file.name, repository=repository, tag=name)
    return tag


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--extra", action="append", default=[], help="an extra of kvcore's")
    parser.add_argument("--tag", default=TAG, help=f"the image's name ({TAG})")
    told = parser.parse_args()
    try:
        print(build(told.tag, (*EXTRAS, *told.extra)))
    except (OSError, RuntimeError) as error:  # NoEngineError is one of the latter
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
