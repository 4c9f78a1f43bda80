"""What the files in docker/ promise, read without an engine."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvcore.lab import images
from tests.support.engine import compose

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = ["Dockerfile", "lab.Dockerfile"]
COMPOSE = ["compose.yaml", "compose.nats.yaml"]
PLAIN = "python:3.12-slim"


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((DOCKER / name).read_text())


def services(name: str) -> list[Any]:
    return [pytest.param(service, id=each) for each, service in read(name)["services"].items()]


ALL = [each for name in COMPOSE for each in services(name)]


def instructions(name: str) -> list[tuple[str, str]]:
    text = (DOCKER / name).read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in pairs]


def last(name: str, word: str) -> str:
    return [rest for each, rest in instructions(name) if each == word][-1]


# The Dockerfiles.


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_has_a_base_of_ones_choice_and_python_slim_without_one(name: str) -> None:
    assert instructions(name)[:2] == [("ARG", f"BASE={PLAIN}"), ("FROM", "${BASE}")]
    assert images.BASE == PLAIN


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_a_user_who_is_not_root(name: str) -> None:
    user = runpy.run_path(str(DOCKER / "install.py"))["USER"]
    assert user >= 1000
    assert last(name, "USER") == f"{user}:{user}"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nothing_in_an_image_wants_a_shell(name: str) -> None:
    commands = [rest for word, rest in instructions(name) if word in ("RUN", "ENTRYPOINT")]
    commands.append(last(name, "HEALTHCHECK").partition("CMD ")[2])
    for command in commands:
        assert json.loads(command)[0] == "python3", command


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_says_how_it_is_stopped_and_where_its_data_is(name: str) -> None:
    assert last(name, "STOPSIGNAL") == "SIGTERM"
    owned = json.loads(last(name, "RUN"))[2:]
    assert last(name, "VOLUME") in owned


@pytest.mark.parametrize("name", DOCKERFILES)
def test_all_that_an_image_copies_is_in_the_context_that_the_builder_gets(name: str) -> None:
    allowed = (ROOT / ".dockerignore").read_text().split()
    for word, rest in instructions(name):
        for source in rest.split()[:-1] if word == "COPY" else []:
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in allowed, source


def test_the_image_that_the_lab_builds_changes_with_each_file_that_goes_into_it() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions("Dockerfile") if word == "COPY"]
    files = {source for sources in copied for source in sources} - {"kvcore"}
    counted = {*images._SOURCES, "README.md", "LICENSE"}
    assert files <= counted


def test_the_modules_that_an_image_is_asked_for_are_brought_by_its_extras() -> None:
    modules = runpy.run_path(str(DOCKER / "install.py"))["MODULES"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    for extra, names in modules.items():
        brought = {re.split(r"[^a-z]", line)[0] for line in lists[extra]}
        assert set(names) <= brought, extra
    for name in DOCKERFILES:
        extras = [rest for word, rest in instructions(name) if rest.startswith("EXTRAS=")]
        assert set(extras[0].removeprefix("EXTRAS=").split(",")) <= set(modules)


# The compose files.


@pytest.mark.parametrize("service", ALL)
def test_a_port_is_published_on_loopback_alone(service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), port
    assert service.get("network_mode") in (None, "none")


@pytest.mark.parametrize("service", ALL)
def test_a_service_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert not any("docker.sock" in volume for volume in service["volumes"])


@pytest.mark.parametrize("name", COMPOSE)
def test_what_a_server_stores_is_in_a_volume_of_its_own(name: str) -> None:
    read_in = read(name)
    homes = []
    for service in read_in["services"].values():
        for volume in service["volumes"]:
            source, inside, *mode = volume.split(":")
            if inside in ("/data", "/opt/kvcore/work"):
                homes.append(source)
            if source.startswith("."):
                assert (DOCKER / source).is_file()
                assert mode == ["ro"]
            else:
                assert source in read_in["volumes"]
    assert len(homes) == len(set(homes)) == (4 if name == "compose.yaml" else 3)


@pytest.mark.parametrize("service", ALL)
def test_an_image_is_built_here_or_has_a_version(service: dict[str, Any]) -> None:
    if "build" in service:
        assert re.fullmatch(r"kvcore(-lab)?:compose", service["image"])
        assert service["build"]["args"]["BASE"].endswith(f":-{PLAIN}}}")
    else:
        assert service["image"] == f"${{NATS_IMAGE:-{images.NATS}-scratch}}"


@pytest.mark.parametrize("name", COMPOSE)
def test_no_password_or_token_stands_in_a_file_and_none_may_be_missing(name: str) -> None:
    text = (DOCKER / name).read_text()
    assert not re.search(r"[0-9a-f]{16}", text)
    assert "token=" not in text
    for service in read(name)["services"].values():
        words = " ".join(service.get("command", []))
        if name == "compose.nats.yaml":
            assert "--pass ${NATS_PASSWORD}" in words
            assert ":?" in service["environment"]["NATS_PASSWORD"]
        elif "--cluster" in words:
            assert "-c /secret/servers/server.conf" in words
            assert "--cluster_secret_file /secret/servers/peers" in words


@pytest.mark.parametrize("name", COMPOSE)
def test_servers_name_each_other_on_the_network_of_peers_alone(name: str) -> None:
    read_in = read(name)
    [peers] = [each for each, net in read_in["networks"].items() if net.get("internal")]
    for each, service in read_in["services"].items():
        if "--routes" in service.get("command", []):
            assert service["networks"][peers] == {"aliases": [f"peer-{each}"]}
            routes = service["command"][service["command"].index("--routes") + 1]
            assert f"peer-{each}:6222" in routes
            assert len(routes.split(",")) == 3


def test_both_files_can_be_up_at_once() -> None:
    ours, theirs = (read(name) for name in COMPOSE)
    for kind in ("services", "volumes", "networks"):
        assert not set(ours[kind]) & set(theirs[kind])
    ports = [
        port
        for file in (ours, theirs)
        for service in file["services"].values()
        for port in service.get("ports", [])
    ]
    assert len(ports) == len(set(ports)) == 7


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_itself_takes_the_file(name: str, tmp_path: Path) -> None:
    command = [*compose(), "-f", str(DOCKER / name), "config", "-q"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with_it = env | {"NATS_PASSWORD": "some"}
    done = subprocess.run(command, env=with_it, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if name == "compose.nats.yaml":
        without = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert without.returncode != 0
        assert "choose one" in without.stderr


# The scripts.


def test_a_secret_is_made_once_and_is_its_users_alone(tmp_path: Path) -> None:
    servers, clients = tmp_path / "servers", tmp_path / "clients"
    servers.mkdir()
    clients.mkdir()
    command = [
        *(sys.executable, str(DOCKER / "secret.py"), str(servers), str(clients)),
        *("n1=4222", "n2=5"),
    ]
    said = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert said[0] == said[1]
    found = re.search(rb"nats://kvcore:([0-9a-f]{32})@127.0.0.1:4222,\S+:5\n", said[0])
    assert found is not None
    password = found[1].decode()
    assert password in (servers / "server.conf").read_text()
    inside = ",".join(f"nats://kvcore:{password}@{name}:4222" for name in ("n1", "n2"))
    assert (clients / "url").read_text().strip() == inside
    assert len((servers / "peers").read_text().strip()) == 64
    assert {path.stat().st_mode & 0o777 for path in servers.iterdir()} == {0o400}


def test_a_servers_settings_are_what_kvcore_reads(tmp_path: Path) -> None:
    make = runpy.run_path(str(DOCKER / "secret.py"))["make"]
    password = make(tmp_path, tmp_path, ["n1"])
    from kvcore.server.settings import read as settings

    found = settings({"config": str(tmp_path / "server.conf")}, "kvcore", {})
    assert [(user.name, user.password) for user in found.users] == [("kvcore", password)]


@pytest.mark.skipif(sys.platform != "linux", reason="a base is made on Linux")
def test_a_base_names_each_file_once_and_nothing_of_this_machines_environment() -> None:
    files = runpy.run_path(str(DOCKER / "base.py"))["files"](["secure", "course"])
    assert all(os.path.normpath(name) == name for name in files)
    packages = [name for name in files if "site-packages" in name]
    assert packages
    assert all(name.startswith("usr/local/lib/python3.") for name in packages)


def test_no_script_there_shadows_a_module_that_it_may_import() -> None:
    names = {path.stem for path in DOCKER.glob("*.py")}
    wanted = set(sys.stdlib_module_names) | {"nats", "docker", "packaging", "kvcore"}
    assert not names & wanted
    for path in DOCKER.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="a base is made on Linux")
@pytest.mark.parametrize("script", ["base.py", "nats_image.py"])
def test_a_script_that_finds_no_engine_says_so_and_what_to_do(script: str) -> None:
    pytest.importorskip("docker")
    done = subprocess.run(
        [sys.executable, str(DOCKER / script)],
        env=os.environ | {"DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "unset DOCKER_HOST" in done.stderr
    assert "Traceback" not in done.stderr
