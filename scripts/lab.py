"""Open the course: copy the lessons to work/, then start JupyterLab on lesson 00.

    python scripts/lab.py open [arguments for jupyter lab]
    python scripts/lab.py copy
    python scripts/lab.py fresh 01

Learners work on a copy, so that an update of the course never conflicts with an answer, and
without the stored outputs, so that no result stands below a prediction before it is made. A
lesson in work/ is never overwritten: where the course has moved on and the copy was edited,
the new text is put beside it as `01_….new.ipynb`, once. `work/.copied.json` remembers what
was copied, so that an untouched copy can simply be replaced. The glossary goes with the lessons,
which link to it.

Left out: choosing a port or a browser; JupyterLab's own flags do that (LAB_ARGS="--port 9999").
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COURSE = ROOT / "course"
WORK = ROOT / "work"
FIRST = "00_start_here.ipynb"
GLOSSARY = "glossary.yml"  # each lesson links to it


def digest(path: Path) -> str:
    """Of what a lesson's cells say: running them, or opening the file, changes nothing."""
    text = path.read_bytes()
    with contextlib.suppress(ValueError, KeyError, TypeError):  # no notebook: all of it counts
        cells = json.loads(text)["cells"]
        text = json.dumps([[c["cell_type"], "".join(c["source"])] for c in cells]).encode()
    return hashlib.sha256(text).hexdigest()


def hand_out(lesson: Path, target: Path) -> None:
    """Copy a lesson without its outputs: nobody predicts what stands below the question."""
    text = lesson.read_text(encoding="utf-8")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        notebook = json.loads(text)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    target.write_text(text, encoding="utf-8")


def lessons(course: Path = COURSE) -> list[Path]:
    return sorted(course.glob("[0-9][0-9]_*.ipynb"))


def copy(course: Path = COURSE, work: Path = WORK) -> list[str]:
    """Bring work/ up to date without touching an answer; returns what was done, a line each."""
    work.mkdir(exist_ok=True)
    memory = work / ".copied.json"
    copied: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    told: list[str] = []
    for lesson in [*lessons(course), *course.glob(GLOSSARY)]:
        mine, now = work / lesson.name, digest(lesson)
        if copied.get(lesson.name) == now and mine.exists():
            continue
        if not mine.exists() or digest(mine) == copied.get(lesson.name):
            if mine.exists():
                told.append(f"work/{lesson.name}: updated (you had not changed it)")
            hand_out(lesson, mine)
        elif digest(mine) != now:
            newer = mine.with_suffix(f".new{mine.suffix}")
            hand_out(lesson, newer)
            told.append(f"work/{lesson.name}: kept as you left it; the updated one is {newer.name}")
        copied[lesson.name] = now
    memory.write_text(json.dumps(copied, indent=1) + "\n")
    return told


def fresh(number: str, course: Path = COURSE, work: Path = WORK) -> str:
    """Start lesson `number` anew; the old copy is kept aside under a name of its own."""
    found = [p for p in lessons(course) if number and p.name.startswith(f"{number:0>2}_")]
    if len(found) != 1:
        known = ", ".join(p.name[:2] for p in lessons(course))
        raise SystemExit(f"no lesson {number!r}; try: make fresh LESSON=… with one of {known}")
    copy(course, work)
    mine = work / found[0].name
    kept = next(
        p
        for n in range(1, 1000)
        if not (p := mine.with_name(f"{mine.stem}.old-{n}.ipynb")).exists()
    )
    mine.rename(kept)
    mine.with_suffix(".new.ipynb").unlink(missing_ok=True)
    hand_out(found[0], mine)
    return f"work/{mine.name} is new; what you had is work/{kept.name}"


def environment(root: Path = ROOT) -> dict[str, str]:
    """JupyterLab's surroundings: the course's settings first, the learner's own after."""
    env = dict(os.environ)
    paths = [str(root / "jupyter"), env.get("JUPYTER_CONFIG_PATH", "")]
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(p for p in paths if p)
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    return env


def arguments(extra: list[str]) -> list[str]:
    """The command line of JupyterLab for this machine."""
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{FIRST}"]
    command.append(f"--ServerApp.root_dir={WORK}")
    no_display = sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if no_display:
        command.append("--no-browser")
        print("No display here: open the URL with its token, printed below, in your browser.")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
        print("Warning: you are root, so every notebook runs as root. A normal user is safer.")
    return command + extra


def open_lab(extra: list[str]) -> None:
    for line in copy():
        print(line)
    command = arguments(extra)
    sys.stdout.flush()
    os.chdir(WORK)
    os.execve(command[0], command, environment())


def main() -> None:
    verb, rest = (sys.argv[1] if len(sys.argv) > 1 else "open"), sys.argv[2:]
    if verb == "open":
        open_lab(rest)
    elif verb == "copy":
        print("\n".join(copy()) or "work/ is up to date")
    elif verb == "fresh" and len(rest) == 1:
        print(fresh(rest[0]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
