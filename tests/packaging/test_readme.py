"""What README.md promises: its links lead somewhere, its snippet runs, its commands exist."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.kernel import Kernel

ROOT = Path(__file__).parents[2]
PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/terms.md", "docs/differences.md"),
    "docker/README.md",
]
PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
SNIPPET = next(text for text in PYTHON if "Cluster.sim" in text)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_make_target_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text()
    for path in re.findall(r"`((?:kvcore|tests|bench|docs|course)/(?!NN_)[\w./]*)`", text):
        assert (ROOT / path).exists(), path
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:`|^|&& )make ([a-z]+)", text, re.MULTILINE):
        assert target in targets


def test_the_snippet_runs_in_a_notebook():
    kernel = Kernel()
    try:
        said = kernel.run(SNIPPET)
    finally:
        kernel.stop()
    assert (said.error, said.stdout) == ("", "b'blue'\n")


def test_the_snippet_runs_in_a_script_as_the_text_below_it_says(tmp_path):
    body = textwrap.indent(SNIPPET, "    ")
    script = tmp_path / "script.py"
    script.write_text(f"import kvcore.lab\nasync def main():\n{body}\nkvcore.lab.run(main)\n")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("b'blue'\n", "")
