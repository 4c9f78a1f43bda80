"""The lessons on real nats-servers, from the same notebooks, with one parameter.

What a cell prints there is compared with what is stored, which the simulator printed. A cell
may be skipped if it is on the list of those, and may print something else if a row of the
table of expectations names it; all others print the same, but for names, times and numbers
that follow from what was skipped.
"""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from kvcore.lab.compared import EXPECTATIONS
from kvcore.lab.skips import INSIDE, ORIGINAL, SKIPS, TIME, Skip, Skipper, instead, told
from tests.support.require import require
from tests.support.servers import running

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ("01", "02", "03", "04", "05", "11")
CLIENT_CELLS = ("06", "08")
WORLD = "nats-processes"
LACKS = {
    WORLD: ("power_cut", "partition", "heal", "cut", "swap", "rewind"),
    "nats": ("crash", "restart", "pause", "resume", "power_cut", "partition", "cut", "swap"),
}

_MASKS = (
    (re.compile(r"HMSG me 1 \d+ \d+"), "HMSG me 1 <bytes>"),  # a time ends with no zeros
    (re.compile(r"_INBOX\.\S+"), "<inbox>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"(\$JS\.ACK\.\w+)\.\w+\.([\d.]+)\.\d{19}\."), r"\1.<consumer>.\2.<time>."),
)
_REVISIONS = re.compile(r"(?i)(sequence: |stored as )\d+")  # in 03: a skipped cell has put nothing


class World:
    """A world that lacks the verbs it is given."""

    def __init__(self, world, lacks=()):
        self.world = world
        self.lacks = lacks

    def lacking(self, verb):
        return f"This world has no {verb}." if verb in self.lacks else ""


def path(lesson):
    (found,) = (ROOT / "course").glob(f"{lesson}_*.ipynb")
    return found


def text(cell):
    """What a cell shows, pictures as their text; widgets are nowhere stored."""
    shown = []
    for each in cell.outputs:
        if each.output_type == "stream":
            shown.append(each.text)
        elif each.output_type == "error":
            shown.append(f"{each.ename}: {each.evalue}")
        elif each.get("data", {}).get("text/plain"):
            shown.append(each.data["text/plain"] + "\n")
    return "".join(shown)


def masked(lesson, shown):
    for pattern, mask in _MASKS:
        shown = pattern.sub(mask, shown)
    return _REVISIONS.sub(r"\1<revision>", shown) if lesson == "03" else shown


def played(lesson, directory, url=""):
    """The notebook as it is after a run on nats-servers: its own, or those at a URL."""
    notebook = nbformat.read(path(lesson), as_version=4)
    client = NotebookClient(
        notebook,
        timeout=60,
        allow_errors=True,
        resources={"metadata": {"path": str(ROOT / "course")}},
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KVCORE_WORLD", "nats")
        environment.setenv("KVCOURSE_PROGRESS", "off")
        environment.setenv("IPYTHONDIR", str(directory))
        environment.delenv("NATS_URL", raising=False)
        if url:
            environment.setenv("NATS_URL", url)
        client.execute()
    return notebook


@pytest.fixture(scope="module")
def ipython(tmp_path_factory):
    return tmp_path_factory.mktemp("ipython")


@pytest.mark.parametrize("lesson", [*WHOLE, *CLIENT_CELLS])
def test_a_lesson_runs_on_nats_servers_from_the_same_notebook(lesson, ipython):
    require("go")
    after = played(lesson, ipython)
    ran_but_for_what_is_listed(lesson, after, WORLD)
    prints_what_is_stored(lesson, after)
    if lesson in MORE:
        MORE[lesson]({cell.id: text(cell) for cell in code(after)})


@pytest.mark.parametrize("lesson", ["03", "11"])
def test_on_a_nats_by_its_url_what_would_hurt_others_is_skipped_too(lesson, ipython, tmp_path):
    require("go")
    with running("nats-server", store=tmp_path / "store") as server:
        after = played(lesson, ipython, server.url)
    ran_but_for_what_is_listed(lesson, after, "nats")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def ran_but_for_what_is_listed(lesson, notebook, world):
    """No cell failed, and exactly those that are listed for this world said why not."""
    errors = {
        cell.id: text(cell)
        for cell in code(notebook)
        if any(each.output_type == "error" for each in cell.outputs)
    }
    assert not errors

    lacks = World(world, LACKS[world])
    listed = {skip.cell: skip for skip in SKIPS if skip.lesson == lesson and told(skip, lacks)}
    skipped = {cell.id: text(cell) for cell in code(notebook) if "Skipped" in text(cell)}
    assert sorted(skipped) == sorted(listed)
    for cell, skip in listed.items():
        sentence = told(skip, lacks).partition(".")[0]
        assert skipped[cell].startswith(sentence), skipped[cell]
        assert skipped[cell].count("\n") == 1


def prints_what_is_stored(lesson, notebook):
    """But for what was skipped, what a row of the table names, and what is masked."""
    stored = {cell.id: cell for cell in nbformat.read(path(lesson), as_version=4).cells}
    may_differ = {cell for row in EXPECTATIONS if row.differs for cell in row.cells}
    for cell in code(notebook):
        tags = set(cell.metadata.get("tags", []))
        if text(cell).startswith("Skipped") or tags & {"exercise", "nbval-ignore-output"}:
            continue
        if f"{lesson} {cell.id}" not in may_differ:
            before = plain(text(stored[cell.id]))
            assert masked(lesson, plain(text(cell))) == masked(lesson, before), cell.id


def plain(shown):
    """Without the empty lines that widgets leave between others."""
    return re.sub(r"\n+", "\n", shown).strip()


def shown_in_03(shown):
    """What chance leaves: each put is answered, increments are lost, none by `update`."""
    assert "puts that were stored and answered: 400" in shown["cell-06"]
    assert 50 <= int(shown["cell-06"].rpartition(":")[2]) <= 400
    assert "with update 400" in shown["cell-26"]
    assert "paused: nats: timeout" in shown["cell-32"]
    assert "happened   yes" in shown["cell-32"]


def shown_in_06(shown):
    """Nobody acks right after a leader, and the panel says what it lacks."""
    assert shown["cell-05"].splitlines()[1].split() == ["happened", "1"]
    assert "the leader, has crashed. Put: not acked" in shown["cell-10"]
    assert re.search(r"n\d, a follower, has crashed. Put: acked as revision 2", shown["cell-10"])
    assert "has no power_cut" in shown["cell-12"]
    assert "has no partition" in shown["cell-12"]


MORE = {"03": shown_in_03, "06": shown_in_06}


# -- the list


def test_at_most_five_cells_of_a_lesson_are_skipped_and_each_is_known_by_a_line_of_its_own():
    for world, most in ((WORLD, {}), ("nats", {"06": 7})):
        skipped = [skip.lesson for skip in SKIPS if told(skip, World(world, LACKS[world]))]
        for lesson in set(skipped):
            assert skipped.count(lesson) <= most.get(lesson, 5), lesson
    sources = {}
    for each in sorted((ROOT / "course").glob("[0-9]*.ipynb")):
        for cell in json.loads(each.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                sources[each.name[:2], cell["id"]] = "".join(cell["source"])
    for skip in SKIPS:
        having = [where for where, source in sources.items() if skip.line in source]
        assert having == [(skip.lesson, skip.cell)], skip
        assert skip.why or skip.needs not in (INSIDE, TIME, ORIGINAL)


def test_a_cell_is_skipped_for_what_its_world_lacks_and_runs_elsewhere():
    cell = ['await cluster.power_cut("n1")  # the put of db.port never happens\n']
    assert instead(cell, World("nats", ("power_cut",))).startswith("Skipped. This world has no")
    assert instead(cell, World("processes")) == ""
    assert instead(['await cluster.power_cut("n1")\n'], World("nats", ("power_cut",))) == ""


def test_a_restart_that_only_nats_server_is_slow_about_runs_on_our_processes():
    skip = Skip("05", "cell-30", "x", ORIGINAL, "10 s")
    assert told(skip, World("nats"))
    assert told(skip, World(WORLD))
    assert not told(skip, World("processes"))


def test_who_edits_the_line_that_waits_runs_the_cell():
    skipper = Skipper(World("nats"))
    waits = ["x = 1\n", "await asyncio.sleep(301)\n"]
    (line,) = skipper(waits)
    assert line.startswith("print('Skipped in this world (nats): this cell waits five minutes")
    shorter = ["x = 1\n", "await asyncio.sleep(3)\n"]
    assert skipper(shorter) == shorter
