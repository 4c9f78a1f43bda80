"""The CLI's checks and benchmarks with every flag, and what may differ in the answers."""

from tests.interop.transcript import Difference, Run, Step

R = Run

ACKS = (("one", "explicit"), ("two", "none"), ("three", "explicit"), ("four", "all"))
WIDE = "--connect-warn 20s --connect-critical 30s --rtt-warn 20s --rtt-critical 30s"

CHECKS: tuple[Step, ...] = (
    R(f"server check connection {WIDE} --req-warn 20s --req-critical 30s"),
    R("server check conn --rtt-warn 1ns --rtt-critical 30s"),
    R("stream add S --subjects 's.>' --defaults"),
    R("pub s.1 hello --jetstream"),
    R("pub s.2 world --jetstream"),
    R("server check stream --stream S"),
    R("server check stream --stream NONE"),
    R("server check stream --stream S --msgs-warn 3 --msgs-critical 2"),
    R("server check stream --stream S --msgs-warn 1 --msgs-critical 0 --format json"),
    R("server check stream --stream S --subjects-warn 1 --subjects-critical 9 --format text"),
    R("server check stream --stream S --min-sources 1 --max-sources 2"),
    R("server check stream --stream S --lag-critical 5 --seen-critical 1m"),
    R(
        "server check stream --stream S --peer-expect 1 --peer-lag-critical 5 "
        "--peer-seen-critical 1m"
    ),
    R("stream add M --mirror S --defaults"),
    R("server check stream --stream M --lag-critical 5 --seen-critical 30s"),
    R("consumer add S c --pull --defaults"),
    R("server check consumer --stream S --consumer c"),
    R("server check consumer --stream S --consumer none"),
    R(
        "server check consumer --stream S --consumer c --outstanding-ack-critical 1 "
        "--waiting-critical 1 --unprocessed-critical 1 --redelivery-critical 1"
    ),
    R(
        "server check consumer --stream S --consumer c --last-delivery-critical 1h "
        "--last-ack-critical 1h --format prometheus --namespace kv"
    ),
    R("server check consumer --stream S --consumer c --pinned"),
    R("server check message --stream S --subject s.1 --age-warn 1h --age-critical 2h"),
    R("server check message --stream S --subject s.1 --content 'hell.'"),
    R("server check message --stream S --subject s.1 --content heaven"),
    R("server check message --stream S --subject s.1 --body-timestamp"),
    R("server check message --stream S --subject s.none"),
    R("server check request --subject nobody.listens --payload x --headers a:b"),
    R(
        "server check request --subject '$JS.API.STREAM.NAMES' --match-payload total "
        "--response-warn 20s --response-critical 30s"
    ),
    R("server check request --subject '$JS.API.STREAM.NAMES' --match-headers a:b"),
    R("server check jetstream"),
    R(
        "server check js --mem-warn 70 --mem-critical 80 --store-warn 70 --store-critical 80 "
        "--streams-warn 90 --streams-critical 95 --consumers-warn 90 --consumers-critical 95 "
        "--replicas --replica-seen-critical 1m --replica-lag-critical 5"
    ),
    R("server check kv --bucket none --format json"),
    R("server check kv --bucket none --outfile found.txt"),
)

BENCH_ALL: tuple[Step, ...] = (
    R("bench pub bb --msgs 20 --size 16 --no-progress --clients 2"),
    R("bench pub bb --msgs 20 --no-progress --multisubject --multisubjectmax 3 --csv out.csv"),
    R("bench pub bb --msgs 20 --no-progress --multisubject --multisubjectrandomize --sleep 1us"),
    R("bench pub bb --msgs 5 --no-progress --payload out.csv --header a:b"),
    R("bench service request svc --msgs 1 --no-progress"),
    R("bench js pub sync bb --msgs 5 --no-progress"),
    R("stream add benchstream --subjects bb --subjects 'bb.*' --storage memory --defaults"),
    R("bench js pub sync bb --msgs 20 --size 16 --no-progress --clients 2 --dedup --csv js.csv"),
    R("bench js pub async bb --purge --msgs 20 --no-progress --batch 5 --header a:b --sleep 1us"),
    R(
        "bench js pub sync bb --msgs 5 --no-progress --multisubject --multisubjectmax 2 "
        "--multisubjectrandomize --stream benchstream --purge"
    ),
    R(
        "bench js pub async bb --msgs 20 --no-progress --multisubject --multisubjectmax 2 "
        "--multisubjectrandomize --dedup"
    ),
    R("bench js pub sync bb --msgs 20 --no-progress --header a:b"),
    R("stream state benchstream"),  # before payloads whose size is that of measured times
    R("bench js pub sync bb --msgs 5 --no-progress --payload out.csv"),
    R("bench js pub async bb --msgs 5 --no-progress --payload out.csv"),
    R("bench js ordered --msgs 20 --no-progress"),
    *(R(f"consumer add benchstream {name} --pull --ack {ack} --defaults") for name, ack in ACKS),
    R("bench js ordered --msgs 5 --no-progress --batch 2 --filter bb"),
    R(
        "bench js consume --msgs 20 --no-progress --batch 5 --acks explicit --doubleack "
        "--consumer one"
    ),
    R("bench js consume --msgs 20 --no-progress --acks none --consumer two --filter bb"),
    R("bench js fetch --msgs 20 --no-progress --batch 5 --acks explicit --consumer three"),
    R(
        "bench js fetch --msgs 10 --no-progress --batch 5 --acks all --doubleack "
        "--consumer four --filter bb"
    ),
    R("bench js get sync --msgs 10 --no-progress"),
    R("bench js get batch --msgs 10 --no-progress --batch 5 --filter bb"),
    R(
        "bench kv put --msgs 20 --size 16 --no-progress --history 2 --storage memory --replicas 1 "
        "--maxbytes 1MB --clients 2"
    ),
    R("bench kv put --msgs 20 --size 16 --no-progress --randomize 5 --csv kv.csv --sleep 1us"),
    R("bench kv get --msgs 20 --no-progress --randomize 5"),
    R("kv info benchbucket"),
)

AGE = r"-?\d+(?:\.\d+)?(?:ms|µs|us|ns|s)"

CHECK_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        r"^server check conn",
        r"nats://127\.0\.0\.1:(?P<port>\d+)",
        "each server listens on a free port",
    ),
    Difference(
        r"^server check",
        rf"(?: in |rtt time |took |(?:rtt|time|active|age|last_ack|last_delivery)=)(?P<age>{AGE})",
        "measured",
    ),
    Difference(
        r"^server check j",
        r" consumers=(?P<consumers>\d+) ",
        "nats-server counts a consumer of its own, that feeds a mirror",
    ),
    Difference(r"^bench ", r"^(?P<time>\d\d:\d\d:\d\d) ", "when it began"),
    Difference(r"^bench ", r"stats: (?P<rate>[\d,]+ msgs/sec ~ [\d,.]+ \w+/sec)", "measured"),
    Difference(r"^bench ", r"^  \[\d\] (?P<rate>[\d,]+ msgs/sec ~ [\d,.]+ \w+/sec)", "measured"),
    Difference(r"^bench ", r"(?:min|avg|max|P[\d.]+):? (?P<latency>[\d,.]+[mµu]?s)", "measured"),
    Difference(r"^bench ", r"(?:min|avg|max|stddev) (?P<rate>[\d,.]+)(?: \||us| msgs)", "measured"),
)
