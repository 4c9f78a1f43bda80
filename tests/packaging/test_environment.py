"""environment.yml, pyproject.toml and the workflow say the same thing."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
# What conda-forge calls otherwise, and why.
CONDA_NAMES = {
    "docker": "docker-py",  # "docker" is the engine's client there
    "matplotlib": "matplotlib-base",  # without Qt
}
NOT_ON_CONDA_FORGE = {"nkeys", "playwright", "rocksdict"}


def split(requirement: str) -> tuple[str, str]:
    name, bounds = re.match(r"([A-Za-z0-9_-]+)\s*([^;]*)", requirement).groups()
    return name.lower(), bounds.strip().replace("==", "=")


def wanted() -> dict[str, str]:
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {CONDA_NAMES.get(n, n): bounds for items in lists for n, bounds in map(split, items)}


def offered() -> dict[str, str]:
    plain = [d for d in CONDA["dependencies"] if isinstance(d, str)]
    pip = next(d["pip"] for d in CONDA["dependencies"] if isinstance(d, dict))
    return dict(map(split, [*plain, *(p for p in pip if not p.startswith("-e"))]))


def test_environment_yml_names_what_pyproject_names():
    extra = {"python", "pip"}
    assert {k: v for k, v in offered().items() if k not in extra} == wanted()


def test_environment_yml_installs_the_package_itself_and_uses_conda_forge_alone():
    pip = next(d["pip"] for d in CONDA["dependencies"] if isinstance(d, dict))
    assert "-e ." in pip
    assert set(CONDA["channels"]) == {"conda-forge", "nodefaults"}
    assert {split(p)[0] for p in pip if not p.startswith("-e")} == NOT_ON_CONDA_FORGE


def test_each_dependency_in_pyproject_carries_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    lines = [line for line in text.splitlines() if re.match(r'    "[a-z].*[<>=]', line)]
    assert len(lines) >= len(wanted())
    for line in lines:
        assert "#" in line, f"no reason given: {line.strip()}"


def test_the_workflow_runs_make_test_on_a_current_python():
    flow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    assert any("make test" in step.get("run", "") for step in steps)


def test_no_file_names_a_machine_a_registry_or_a_secret():
    banned = re.compile(
        r"/work/(main|shared)|/root/|pypi\.org|registry\.npmjs|proxy\.golang|deb\.debian"
        r"|BEGIN [A-Z ]*PRIVATE KEY|password\s*=\s*\"[^\"$<{]{12,}\""
    )
    this = Path(__file__).resolve()
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        skip = {".git", ".venv", ".tools", "work", ".hypothesis", "node_modules", "__pycache__"}
        if skip & set(parts) or not path.is_file() or path.resolve() == this:
            continue
        if path.suffix in {".py", ".md", ".ipynb", ".toml", ".yml", ".sh", ".json", ""}:
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            hit = banned.search(text)
            assert not hit, f"{path.relative_to(ROOT)} says {hit.group()!r}"
