"""The programs on nats.go and @nats-io/kv: built once, run at a server, their lines as entries.

Each program makes every call of its library's key-value API and prints a line a call,
`case: call -> result`. A build lies in `.tools/`, under the digest of what it was made from,
so that an unchanged program is not built again; a lock keeps two test processes apart.

Left out: the programs themselves (`go/`, `node/`) and what may differ (`walk_differences.py`).
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.transcript import Difference, Entry
from tests.interop.walk_differences import GO_DIFFERENCES, NODE_DIFFERENCES
from tests.support.require import ROOT, lacking, program, require

HERE = Path(__file__).parent
BUILT = ROOT / ".tools" / "interop"
BUILD_S = 300.0
RUN_S = 90.0


@dataclass(frozen=True)
class Program:
    """A program that walks one client library's key-value API."""

    name: str
    needs: tuple[str, ...]
    home: Path
    build: Callable[[], list[str]]
    members: Callable[[], list[str]]
    differences: tuple[Difference, ...]

    def require(self) -> None:
        """Skip or fail the test where the program can't be built."""
        for need in self.needs:
            require(need)

    def run(self, url: str, *flags: str, env: dict[str, str] | None = None) -> list[Entry]:
        """What the program says of the server at `url`, an entry a line."""
        done = subprocess.run(
            [*self.build(), *flags, f"--url={url}"],
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
            env={**os.environ, **(env or {})},
        )
        assert done.returncode == 0, f"{self.name} ended with {done.returncode}: {done.stderr}"
        assert not done.stderr, done.stderr
        return [entry(line) for line in done.stdout.splitlines()]

    def sources(self) -> str:
        """The program's own text."""
        found = [*self.home.glob("*.go"), *self.home.glob("*.mjs")]
        return "\n".join(path.read_text() for path in found)


def entry(line: str) -> Entry:
    """`case: call -> result` as a command and its only line."""
    call, arrow, result = line.partition(" -> ")
    assert arrow, f"no result in {line!r}"
    return Entry(call, 0, (result,), ())


def case_of(one: Entry) -> str:
    """The case that an entry belongs to."""
    return one.command.partition(":")[0]


def build_go() -> list[str]:
    """The words that start the Go program."""
    sources = sorted((HERE / "go").iterdir())
    with _locked("go"):
        target = _under("go", sources) / "walk"
        if not target.exists():
            words = [program("go"), "build", "-buildvcs=false", "-o", str(target), "."]
            _make("go", words, HERE / "go", {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})
    return [str(target)]


def build_node(script: str = "main.mjs") -> list[str]:
    """The words that start a Node program."""
    lock = [HERE / "node" / name for name in ("package.json", "package-lock.json")]
    scripts = sorted((HERE / "node").glob("*.mjs"))
    with _locked("node"):
        home = _under("node", lock)
        if not (home / "installed").exists():
            for path in lock:
                shutil.copy(path, home)
            words = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            _make("node", words, home, {"PATH": f"{_node_bin()}:{os.environ['PATH']}"})
            (home / "installed").touch()
        copies = _under(f"{home.name}/scripts", scripts)
        for path in scripts:
            if not (copies / path.name).exists():
                shutil.copy(path, copies)
    return [program("node"), str(copies / script)]


def _node_bin() -> str:
    return str(Path(program("node")).parent)


def _under(name: str, sources: list[Path]) -> Path:
    """The directory of a build from these files; those of earlier ones are removed."""
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    home = BUILT / f"{name}-{digest.hexdigest()[:16]}"
    for other in home.parent.glob(f"{home.name.rpartition('-')[0]}-*"):
        if other.is_dir() and other != home:
            shutil.rmtree(other, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    return home


def _make(need: str, words: list[str], where: Path, extra: dict[str, str]) -> None:
    environment = {**os.environ, **extra}
    done = subprocess.run(
        words,
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode != 0:
        lacking(need, f"{' '.join(words[:2])} failed: {done.stderr.strip()[-300:]}")


@contextmanager
def _locked(name: str) -> Iterator[None]:
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def go_members() -> list[str]:
    """What nats.go's `jetstream` offers for key-value: methods, fields, options."""
    found = []
    for kind in GO_KINDS:
        words = [program("go"), "doc", "-C", str(HERE / "go"), "-short", f"{GO_PACKAGE}.{kind}"]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        text = re.sub(r"//.*", "", text)
        inside = re.findall(r"^\t([A-Z]\w*)(?:\(|\s)", text, re.MULTILINE)
        options = re.findall(r"^func ([A-Z]\w*)\(", text, re.MULTILINE)
        assert inside or options, f"no members: {text}"
        found += [f"{kind}.{name}" for name in (*inside, *options)]
    return found


def node_members() -> list[str]:
    """What @nats-io/kv offers, from its declared types: methods and options."""
    build_node()
    (home,) = (path for path in BUILT.glob("node-*") if path.is_dir())
    found = []
    for file in ("types.d.ts", "kv.d.ts"):
        text = (home / "node_modules/@nats-io/kv/lib" / file).read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        for kind, body in re.findall(
            r"^export (?:declare )?(?:type|class) (\w+)\b.*?\{\n(.*?)^\}",
            text,
            re.MULTILINE | re.DOTALL,
        ):
            if kind in NODE_KINDS:
                names = re.findall(r"^    (\w+)\??[(:]", body, re.MULTILINE)
                assert names, kind
                found += [f"{kind}.{name}" for name in names if name not in NODE_INSIDE]
    return found


GO_PACKAGE = "github.com/nats-io/nats.go/jetstream"
GO_KINDS = (
    *("KeyValueManager", "KeyValue", "KeyValueConfig", "KeyValueStatus", "KeyValueEntry"),
    *("KeyWatcher", "KeyLister", "KeyValueLister", "KeyValueNamesLister"),
    *("WatchOpt", "KVCreateOpt", "KVDeleteOpt"),
)
NODE_KINDS = (
    *("Kvm", "RoKV", "KV", "KvEntry", "KvWatchEntry", "KvLimits", "KvStatus", "KvOptions"),
    *("KvWatchOptions", "KvPutOptions", "KvPurgeOptions", "KvDeleteOptions"),
)
NODE_INSIDE = ("js", "constructor")  # of Kvm: not for its users

GO = Program("nats.go", ("go", "compiler"), HERE / "go", build_go, go_members, GO_DIFFERENCES)
NODE = Program(
    "@nats-io/kv", ("go", "node"), HERE / "node", build_node, node_members, NODE_DIFFERENCES
)
