"""What operators do on three real servers: look at routes, have leaders step down.

Waits end with the condition; their bounds only keep a broken run from hanging.
"""

from collections.abc import Iterator

import pytest

from tests.support.nats_cluster import Cluster, cluster
from tests.support.require import require
from tests.support.wait import eventually

HANG_S = 15.0


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    require("go")
    with cluster("kvcore") as found:
        yield found


def test_routez_of_each_process_has_a_row_for_each_other(servers):
    for name in servers.names:
        document = servers.report(name, "routez")
        others = sorted(row["remote_name"] for row in document["routes"])
        assert others == [each for each in servers.names if each != name]
        assert (document["server_name"], document["num_routes"]) == (name, 2)


def test_the_meta_leader_steps_down_when_the_cli_says_so(servers):
    before = servers.settled()
    said = servers.cli("server", "cluster", "step-down", user="sys")
    assert "New leader elected" in said.stdout + said.stderr
    eventually(lambda: servers.leader() not in {"", before}, HANG_S)
