"""What may differ between a transcript of ours and one of nats-server, as data.

Each entry masks one field of some commands' lines. `test_cli_transcripts.py` fails when an
entry masks nothing, so that this list only shrinks.
"""

from tests.interop.check_families import CHECK_DIFFERENCES
from tests.interop.consumer_family import CONSUMER_DIFFERENCES
from tests.interop.server_family import SERVER_DIFFERENCES
from tests.interop.stream_families import STREAM_DIFFERENCES
from tests.interop.transcript import Difference

CLOCK = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
AGE = r"\d+(?:\.\d+)?(?:ms|µs|us|s)"
TABLE = r"^(kv (ls|list)$|stream (ls|list) (-a|--subject 'all\.a')$)"  # tables with an age in them

DIFFERENCES: tuple[Difference, ...] = (
    *CONSUMER_DIFFERENCES,
    *SERVER_DIFFERENCES,
    *STREAM_DIFFERENCES,
    *CHECK_DIFFERENCES,
    # the moment at which a command was typed
    Difference(
        r"^kv (add|new|info|status|view|edit)",
        rf"^Information for Key-Value Store Bucket \S+ created (?P<time>{CLOCK})$",
        "when the bucket was made",
    ),
    Difference(
        r"^kv get", rf"revision: \d+ created @ (?P<time>{CLOCK})$", "when the value was put"
    ),
    Difference(
        r"^kv (history|revert|ls|list)|^stream ls",
        rf"│ (?P<time>{CLOCK}) │",
        "when the value was put, when the bucket was made",
    ),
    Difference(r"^kv watch", rf"^\[(?P<time>{CLOCK})\] ", "when the value was put"),
    Difference(
        r"^stream (info|state)",
        rf"^(?:Information|State) for Stream \S+ created (?P<time>{CLOCK})$",
        "when the stream was made",
    ),
    Difference(
        r"^stream (info|state)",
        rf"(?:First|Last) Sequence: \d+ @ (?P<time>{CLOCK})$",
        "when the message was stored",
    ),
    Difference(
        r"^stream (info|state|get) .*--json",
        rf'"(?:created|first_ts|last_ts|ts|time)": "(?P<time>{ISO})"',
        "when it was made, stored, asked",
    ),
    Difference(
        r"^stream get",
        rf"received (?P<time>{CLOCK}\.\d+ \+0000 UTC \({AGE}\)) on Subject",
        "when the message was stored, and how long ago",
    ),
    Difference(TABLE, rf"│ (?P<age>{AGE}) +│$", "how long ago the last value was put"),
    Difference(TABLE, r"(?P<rule>─{2,})", "as wide as the age in its column"),
    Difference(TABLE, r"(?P<pad> +)(?=│)", "as wide as the age in its column"),
    Difference(TABLE, r"^│(?P<margin> {2,})", "the title stands in the middle of the table"),
    Difference(
        r"^(kv (add|info|edit)|stream (info|state))",
        rf"Last Seen: (?P<age>never|1ns|{AGE})$",
        "nats-server hears of an origin now and then, kvcore reads it where it stands",
    ),
    Difference(
        r"^stream get",
        r"Nats-Stream-Source: \S+ \d+ \S+ \S+ \S+ (?P<life>\w{8})$",
        "made by chance there, a digest here",
    ),
    # who the server is
    Difference(
        r"^(rtt|account info)",
        r"nats://127\.0\.0\.1:(?P<port>\d+)",
        "each server listens on a free port",
    ),
    Difference(
        r"^account info", r"Connected Address: 127\.0\.0\.1:(?P<port>\d+)$", "a free port too"
    ),
    Difference(
        r"^account info", r"Connected Server ID: (?P<id>[A-Z0-9]{56})$", "made by chance at start"
    ),
    Difference(
        r"^account info",
        r"Connected Server Version: (?P<version>\d+\.\d+\.\d+)$",
        "kvcore reports the version whose client features it has",
    ),
    Difference(
        r"^stream (info|state)",
        r"(?:Host Version: |_nats\.ver\": \")(?P<version>\d+\.\d+\.\d+)",
        "kvcore reports the version whose client features it has",
    ),
    Difference(
        r"^stream (info|state)",
        r"(?:hosted at level |_nats\.level\": \")(?P<level>\d)",
        "kvcore has the JetStream API of level 1: per-key TTL, no atomic batches or counters",
    ),
    Difference(
        r"^account info",
        r"Client ID: (?P<id>\d+)$",
        "nats-server takes ids for clients of its own, inside it",
    ),
    # what was measured
    Difference(r"^rtt", rf": (?P<rtt>{AGE})$", "measured"),
    Difference(r"^account info", rf"RTT: (?P<rtt>{AGE})$", "measured"),
)
