"""The few things that a log-structured store asks of a file system.

Names, not paths: a store is one flat directory. What a crash may take back is the whole
point, so the rules are written here once. Bytes are durable when the *file* was synced
after they were written. A name (created, renamed or removed) is durable when the
*directory* was synced after the change. Until then each may survive or not, on its own.

`OsFileSystem` is the real thing, with the platforms' differences in one place: on macOS
`fsync` doesn't reach the platter and `F_FULLFSYNC` does; Windows can't sync a directory.
`sim/disk.py` has the one that forgets.

Left out: reading a part of a file. Recovery reads each file once, from end to end.
"""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from kvcore.storage.base import StorageError

try:
    import fcntl

    HAS_FLOCK = True
except ImportError:  # Windows
    HAS_FLOCK = False

LOCK_NAME = "lock"


class File(Protocol):
    """A file that only grows. Its methods raise OSError."""

    def write(self, data: bytes) -> None:
        """Append all of it."""

    def sync(self) -> None:
        """Return once every byte written before is durable."""

    def close(self) -> None:
        """Give the handle back; promises nothing about the bytes."""


class FileSystem(Protocol):
    """One flat directory. Methods raise OSError, `lock` StorageError too."""

    def path(self, name: str) -> str:
        """How to name a file to a person."""

    def lock(self) -> None:
        """Keep every other process out of the directory until `close`."""

    def names(self) -> list[str]:
        """The files that exist, in order."""

    def read(self, name: str) -> bytes:
        """All of a file."""

    def create(self, name: str) -> File:
        """A new, empty file to append to, in place of any old one."""

    def append(self, name: str, length: int) -> File:
        """An existing file, cut to `length` bytes, to append to."""

    def rewrite(self, name: str, start: int, data: bytes) -> None:
        """Write bytes over the same bytes, so that the next sync covers them for certain."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, at once, in place of any file of that name."""

    def remove(self, name: str) -> None:
        """Forget a name."""

    def sync_directory(self) -> None:
        """Return once every change of names made before is durable."""

    def close(self) -> None:
        """Unlock."""


class OsFile:
    """A `File` of the operating system."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        """One system call, unless the system takes less than all of it."""
        done = os.write(self._fd, data)
        while done < len(data):
            done += os.write(self._fd, data[done:])

    def sync(self) -> None:
        """To the platter, as far as the platform can promise it."""
        if sys.platform == "darwin":
            fcntl.fcntl(self._fd, fcntl.F_FULLFSYNC)
        elif hasattr(os, "fdatasync"):  # the length is synced too, the times are not
            os.fdatasync(self._fd)
        else:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class OsFileSystem:
    """A directory of the operating system, made with mode 0700 if it isn't there.

    A directory that is a symbolic link is refused: whoever made the link could turn it
    elsewhere between two starts.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)
        self._lock_fd = -1
        self._prepare()

    def path(self, name: str) -> str:
        """The full path."""
        return str(self._directory / name)

    def lock(self) -> None:
        """Hold the lock file until `close`; the system lets go of it when we die."""
        flags = os.O_RDWR | os.O_CREAT
        if not HAS_FLOCK:
            flags |= os.O_EXCL
        try:
            self._lock_fd = os.open(self.path(LOCK_NAME), flags, 0o600)
            if HAS_FLOCK:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EEXIST}:
                raise StorageError(
                    f"{self._directory} is in use by another server "
                    f"(it holds {self.path(LOCK_NAME)}); "
                    "stop it, or choose another directory with -sd"
                ) from error
            raise StorageError(
                f"can't write to the store directory {self._directory}: {error.strerror}; "
                "choose another with -sd"
            ) from error

    def names(self) -> list[str]:
        """Sorted, so that no run depends on the file system's order."""
        return sorted(entry.name for entry in self._directory.iterdir())

    def read(self, name: str) -> bytes:
        """All of a file."""
        return (self._directory / name).read_bytes()

    def create(self, name: str) -> OsFile:
        """A new file, mode 0600."""
        return self._open(name, os.O_CREAT | os.O_TRUNC)

    def append(self, name: str, length: int) -> OsFile:
        """An existing file without what follows `length`."""
        os.truncate(self.path(name), length)
        return self._open(name, 0)

    def rewrite(self, name: str, start: int, data: bytes) -> None:
        """In place: a crash in between changes nothing, since the bytes are the same."""
        with (self._directory / name).open("r+b") as file:
            file.seek(start)
            file.write(data)

    def rename(self, old: str, new: str) -> None:
        """Atomic within a directory."""
        (self._directory / old).replace(self._directory / new)

    def remove(self, name: str) -> None:
        """Unlink."""
        (self._directory / name).unlink()

    def sync_directory(self) -> None:
        """The directory's own sync, apart from that of any file in it."""
        _sync_names(self._directory)

    def close(self) -> None:
        """Let go of the lock. Closing twice is allowed."""
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)
            if not HAS_FLOCK:
                with suppress(OSError):
                    self.remove(LOCK_NAME)

    def _prepare(self) -> None:
        directory = self._directory
        if directory.is_symlink():
            raise StorageError(
                f"the store directory {directory} is a symbolic link; name what it points to"
            )
        try:
            _make(directory)
        except OSError as error:
            raise StorageError(
                f"can't make the store directory {directory}: {error.strerror}; "
                "choose another with -sd"
            ) from error

    def _open(self, name: str, more: int) -> OsFile:
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | more
        return OsFile(os.open(self.path(name), flags, 0o600))


def _make(directory: Path) -> None:
    """Make a directory and what it stands in; each new name is durable."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        _sync_names(directory.parent)


def _sync_names(directory: Path) -> None:
    """Sync a directory where the platform can; Windows orders names by itself."""
    if os.name == "nt":
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
