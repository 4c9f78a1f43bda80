"""What may differ between a program's lines about our server and about nats-server, as data.

Every entry must be needed; moments and ids are masked by the programs themselves.
"""

from tests.interop.transcript import Difference

_ALWAYS: tuple[Difference, ...] = (
    Difference(
        r"",
        r'"_nats\.ver":"(?P<version>\d+\.\d+\.\d+)"',
        "kvcore reports the version whose client features it has",
    ),
    Difference(
        r"",
        r'"_nats\.level":"(?P<level>\d)"',
        "kvcore has the JetStream API of level 1: per-key TTL, no atomic batches or counters",
    ),
    Difference(
        r"AccountInfo",
        r'"consumers":(?P<consumers>\d+)',
        "nats-server counts consumers of its own, that feed mirrors and sources",
    ),
)

GO_DIFFERENCES: tuple[Difference, ...] = _ALWAYS

NODE_DIFFERENCES: tuple[Difference, ...] = (
    *_ALWAYS,
    Difference(
        r"^consumers: consumers\.info$",
        r'"num_replicas":0,(?P<pause>(?:"pause_until":"1970-01-01T00:00:00.000Z",)?)"replay',
        "the client resumes with the time 0, which kvcore keeps as no time at all",
    ),
    Difference(
        r"^consumers: consumers\.info$",
        r'"_nats\.req\.level":"(?P<level>[01])"',
        "a pause needs level 1, and for nats-server one until 1970 is a pause",
    ),
)
