"""What the learner has done so far, in one small file of their own.

Attempts, hints taken, the time of the first pass and the predictions made are kept in
`work/.progress.json`: local, readable, never sent anywhere. It is found from the folder of
the notebook: that folder if it is called `work`, else `work` in the root of the course.
`KVCOURSE_PROGRESS` names another file; the value `off` keeps everything in memory.

The file is read again before each change and replaced in one step, so that two lessons can
be open at once. A damaged file is put aside as `.progress.json.broken`, and a folder that
can't be written to costs the memory of this session only, never the lesson.

Format: {"version": 1, "exercises": {"02a": {"attempts": 2, "hint": 1, "passed": "2026-…Z"}},
"predictions": {"02b": "4"}}

Left out: scores. Nothing here is a mark.
"""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

VERSION = 1
TRIES_COUNT = 3

_memory: dict[str, object] = {}


@dataclass(slots=True)
class Record:
    """One exercise: tries that were real attempts, the highest hint seen, when it passed."""

    attempts: int = 0
    hint: int = 0
    passed: str = ""


def path() -> Path | None:
    """Where progress is kept; None when it is kept in memory only."""
    told = os.environ.get("KVCOURSE_PROGRESS", "")
    if told == "off":
        return None
    if told:
        return Path(told)
    here = Path.cwd()
    folders = (here, *here.parents)
    for folder in folders:
        if folder.name == "work" and (folder == here or (folder.parent / "course").is_dir()):
            return folder / ".progress.json"
        if (folder / "course").is_dir() and (folder / "pyproject.toml").is_file():
            return folder / "work" / ".progress.json"
    return here / "work" / ".progress.json"


def record(exercise_id: str) -> Record:
    """What is known of an exercise; an empty record if nothing is."""
    return _record(_part(_load(), "exercises").get(exercise_id))


def records() -> dict[str, Record]:
    """All exercises that were touched, by id."""
    return {key: _record(value) for key, value in sorted(_part(_load(), "exercises").items())}


def attempted(exercise_id: str, *, passed: bool) -> Record:
    """Counts an attempt; the time of the first pass stays."""
    data = _load()
    now = _record(_part(data, "exercises").get(exercise_id))
    now.attempts += 1
    if passed and not now.passed:
        now.passed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    _part(data, "exercises")[exercise_id] = asdict(now)
    _save(data)
    return now


def hinted(exercise_id: str, level: int) -> None:
    """Remembers the highest hint that was shown."""
    data = _load()
    now = _record(_part(data, "exercises").get(exercise_id))
    if level > now.hint:
        now.hint = level
        _part(data, "exercises")[exercise_id] = asdict(now)
        _save(data)


def predicted(prediction_id: str, answer: str | None = None) -> str:
    """Remembers `answer` if there is one; returns the prediction on record, or ""."""
    data = _load()
    part = _part(data, "predictions")
    if answer is not None and part.get(prediction_id) != answer:
        part[prediction_id] = answer
        _save(data)
    found = part.get(prediction_id, "")
    return found if isinstance(found, str) else ""


def _record(value: object) -> Record:
    if not isinstance(value, dict):
        return Record()
    attempts, hint, passed = value.get("attempts"), value.get("hint"), value.get("passed")
    return Record(
        attempts if isinstance(attempts, int) else 0,
        hint if isinstance(hint, int) else 0,
        passed if isinstance(passed, str) else "",
    )


def _part(data: dict[str, object], name: str) -> dict[str, object]:
    part = data.setdefault(name, {})
    if not isinstance(part, dict):
        part = data[name] = {}
    return part


def _load() -> dict[str, object]:
    file = path()
    if file is None:
        return _memory
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _memory or {"version": VERSION}
    except OSError:
        return _memory
    except ValueError:
        data = None
    if isinstance(data, dict) and data.get("version") == VERSION:
        return data
    with contextlib.suppress(OSError):
        file.replace(file.with_name(file.name + ".broken"))
    return {"version": VERSION}


def _save(data: dict[str, object]) -> None:
    file = path()
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".progress-")
    except OSError:
        _memory.update(data)
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(data, out, indent=1, sort_keys=True)
            out.write("\n")
        Path(name).replace(file)
    except OSError:
        _memory.update(data)
        with contextlib.suppress(OSError):
            Path(name).unlink()
