"""What every lesson owes its reader, checked on the notebook files."""

import itertools
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "course"
LESSONS = sorted(COURSE.glob("[0-9][0-9]_*.ipynb"))
GLOSSARY = yaml.safe_load((COURSE / "glossary.yml").read_text())
HEADINGS = ["Before you start", "Exercises", "What would change your mind", "Words", "Next"]
MAX_CODE_LINES = 15
MAX_WORDS = 120
MAX_NOTEBOOK_BYTES = 500_000
MAX_OUTPUT_BYTES = 50_000
TRACES = re.compile(r" object at 0x|/home/\w|/ro{2}t/|/tmp/\w|token=")

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def cells(path, kind):
    return [c for c in read(path).cells if c.cell_type == kind]


def tags(cell):
    return cell.metadata.get("tags", [])


def prose_words(cell):
    text = re.sub(r"`[^`]*`|\[([^\]]*)\]\([^)]*\)", r" \1 ", cell.source)
    return len(re.findall(r"[A-Za-z][A-Za-z'-]*", re.sub(r"```.*?```", " ", text, flags=re.DOTALL)))


def exercise_ids(path):
    found = re.findall(
        r"\bcheck\(\s*\"(\d\d[a-z])\"", "\n".join(c.source for c in cells(path, "code"))
    )
    return list(dict.fromkeys(found))


def test_there_are_the_lessons_that_the_readme_lists_as_here():
    rows = re.findall(r"^\| (\d\d) .*\| here \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [p.name[:2] for p in LESSONS] == rows


@each_lesson
def test_a_lesson_has_one_title_and_skips_no_heading_level(path):
    text = "\n".join(
        re.sub(r"```.*?```", "", c.source, flags=re.DOTALL) for c in cells(path, "markdown")
    )
    levels = [len(m) for m in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


@each_lesson
def test_a_lesson_has_the_fixed_headings_in_order(path):
    text = "\n".join(c.source for c in cells(path, "markdown"))
    found = re.findall(r"^## (.*)$", text, re.MULTILINE)
    places = [next((i for i, h in enumerate(found) if h.startswith(w)), None) for w in HEADINGS]
    assert None not in places, f"headings are {found}"
    assert places == sorted(places)
    assert any(h.startswith("Experiment") for h in found)


@each_lesson
def test_cells_are_small(path):
    for cell in cells(path, "code"):
        assert len(cell.source.splitlines()) <= MAX_CODE_LINES, cell.source
        assert not cell.source.rstrip().endswith(";"), cell.source
    for cell in cells(path, "markdown"):
        assert prose_words(cell) <= MAX_WORDS, f"{prose_words(cell)} words: {cell.source[:80]}…"
    assert 20 <= len(read(path).cells) <= 60


@each_lesson
def test_the_stated_minutes_are_honest(path):
    title = cells(path, "markdown")[0].source
    stated = int(re.search(r"(\d+) minutes", title).group(1))
    words = sum(prose_words(c) for c in cells(path, "markdown"))
    expected = words / 180 + len(cells(path, "code")) + 5 * len(exercise_ids(path))
    assert 0.75 * expected <= stated <= 1.25 * expected, (
        f"stated {stated}, by the rule {expected:.0f}"
    )


@each_lesson
def test_the_first_code_cell_opens_the_cluster_in_whichever_world(path):
    first = cells(path, "code")[0].source
    assert re.search(r"^cluster = Cluster\.open\(servers=[1-5], seed=\d+\)$", first, re.MULTILINE)


@each_lesson
def test_the_article_s_claims_are_named_in_words_not_by_our_ids(path):
    text = "\n".join(c.source for c in read(path).cells)
    assert not re.search(r"\bS\d{1,2}\b|\bM\d{1,2}\b", text)


@each_lesson
def test_stub_and_check_cells_carry_their_tags_and_no_stored_output(path):
    assert exercise_ids(path)
    for cell in cells(path, "code"):
        if "check(" in cell.source and "import" not in cell.source:
            assert "nbval-ignore-output" in tags(cell), cell.source
            assert cell.metadata.get("editable") is False, cell.source
            assert not cell.outputs
        if "exercise" in tags(cell):
            assert "..." in cell.source
            assert not cell.outputs


@each_lesson
def test_each_compared_cell_has_the_output_that_it_is_compared_with(path):
    for cell in cells(path, "code"):
        prints = re.search(r"^\s*(print|show|display|show_source)\(", cell.source, re.MULTILINE)
        if prints and "nbval-ignore-output" not in tags(cell) and "exercise" not in tags(cell):
            assert cell.outputs, f"run `make outputs`: {cell.source}"


@each_lesson
def test_outputs_are_small_and_free_of_errors_and_machine_traces(path):
    assert path.stat().st_size <= MAX_NOTEBOOK_BYTES
    for place, cell in enumerate(cells(path, "code"), start=1):
        assert cell.execution_count == (place if cell.outputs else None), "run `make outputs`"
        for output in cell.outputs:
            text = json.dumps(output)
            assert output.output_type != "error", cell.source
            assert len(text) <= MAX_OUTPUT_BYTES, cell.source
            assert "widget-view" not in text
            assert not TRACES.search(text), cell.source
    assert "widgets" not in read(path).metadata


@each_lesson
def test_each_picture_has_alt_text_and_a_table(path):
    for cell in cells(path, "code"):
        shown = [output.get("data", {}) for output in cell.outputs]
        pages = ["".join(data.get("text/html", "")) for data in shown]
        for page in pages:
            if "<svg" in page:
                assert "<title" in page
                assert "<details" in page
        tables = sum("<details" in page and "<svg" not in page for page in pages)
        plots = sum("image/png" in data for data in shown)
        assert plots <= tables, "show(fig, alt=…, table=…)"


@each_lesson
def test_bold_terms_are_in_the_glossary_and_first_used_here_or_earlier(path):
    number = int(path.name[:2])
    for cell in cells(path, "markdown"):
        for term in re.findall(r"\*\*([^*]+)\*\*", cell.source):
            entry = GLOSSARY.get(term.strip(" .:").lower())
            assert entry, f"**{term}** is not in course/glossary.yml"
            assert entry["lesson"] <= number, f"**{term}** belongs to lesson {entry['lesson']}"


@each_lesson
def test_a_lesson_ends_with_what_you_can_do_what_you_can_t_know_and_what_nats_does(path):
    text = "\n".join(c.source for c in cells(path, "markdown"))
    ending = text[text.index("## Next") :]
    for opening in ("You can now", "You still can't know", "Real NATS"):
        assert opening in ending, f"{path.name} lacks {opening!r} under Next"
    assert "?" in ending, "a transfer question"


def test_every_glossary_entry_says_what_the_term_is_and_what_it_is_confused_with():
    for term, entry in GLOSSARY.items():
        assert set(entry) == {"means", "lesson", "confused_with"}, term
        assert entry["means"].count(".") == 1, f"{term}: one sentence"
