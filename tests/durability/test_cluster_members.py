"""A bucket's replicas are changed on real servers while it is written to."""

import threading
from typing import Self

from tests.durability.test_cluster_stores import WITHIN_S, are_current, bucket, ok
from tests.support.nats_cluster import Cluster, cluster
from tests.support.wait import eventually

SERVERS = 5
CHANGES = (3, 5, 3, 1)
MORE_ACKED = 50


class Writer:
    """Puts one key after the other through one server, and notes which were acknowledged."""

    def __init__(self, servers: Cluster) -> None:
        self.acked: dict[str, int] = {}
        self._servers = servers
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    def goes_on(self) -> None:
        """Waits until more puts were acknowledged than there were."""
        enough = len(self.acked) + MORE_ACKED
        eventually(lambda: len(self.acked) >= enough, WITHIN_S, "puts go on")

    def _write(self) -> None:
        number = 0
        while not self._is_over.is_set():
            number += 1
            key = f"$KV.b.k{number}"
            answer = self._servers.ask("n5", key, b"%d" % number, prefix="", within=2.0) or {}
            if seq := int(answer.get("seq", 0)):
                self.acked[key] = seq


def test_replicas_change_from_one_to_five_and_back_under_writes_that_are_all_kept():
    with cluster("kvcore", SERVERS) as servers:
        servers.settled()
        ok(servers, "n1", "STREAM.CREATE.KV_b", bucket(1))
        with Writer(servers) as writer:
            for replicas in CHANGES:
                ok(servers, "n1", "STREAM.UPDATE.KV_b", bucket(replicas))
                are_current(servers, "n1", replicas - 1)
                writer.goes_on()
        revisions = list(writer.acked.values())
        assert revisions == sorted(set(revisions)), "each acked put has a later revision"
        for key, revision in writer.acked.items():
            found = ok(servers, "n1", "STREAM.MSG.GET.KV_b", {"last_by_subj": key})["message"]
            assert found["seq"] == revision, key
