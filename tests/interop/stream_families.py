"""The CLI's stream and consumer commands with every flag, and what may differ in the answers."""

from tests.interop.transcript import Difference, Run, Step, Until

R = Run

CLOCK = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
AGE = r"-?\d+(?:\.\d+)?(?:ms|µs|us|ns|s)"
MAKES = (
    r"^(stream (add|create|new|edit|copy|cp|seal|purge)"
    r"|consumer (add|create|new|edit|copy|cp|info|state))"
)
TABLES = r"^stream report"

STREAM_ADD: tuple[Step, ...] = (
    R(
        "stream add ALL --subjects 'all.>' --description 'all that can be set' --storage file "
        "--compression s2 --replicas 1 --ack --retention limits --discard new "
        "--discard-per-subject --first-sequence 7 --max-age 1h --max-bytes 1MB --max-consumers 9 "
        "--max-msg-size 1KB --max-msgs 100 --max-msgs-per-subject 10 --dupe-window 1m "
        "--allow-rollup --deny-delete --no-deny-purge --allow-direct --allow-msg-ttl "
        "--subject-del-markers-ttl 5s --metadata owner=me --metadata for=test "
        "--republish-source 'all.>' --republish-destination 'copy.>' --republish-headers "
        "--limit-consumer-inactive 1h --limit-consumer-max-pending 50 --defaults"
    ),
    R("stream info ALL --json"),
    R("stream info ALL --state"),
    R("stream state ALL --no-select"),
    R("stream info ALL --no-select"),
    R("stream add MEM --subjects mem --storage memory --retention interest --no-ack --defaults"),
    R("stream create QUEUE --subjects queue --retention work --discard old --defaults --json"),
    R(
        "stream new TURNED --subjects 'turned.>' --transform-source 'turned.*' "
        "--transform-destination 'turned.x.{{wildcard(1)}}' --defaults"
    ),
    R("stream add MIRROR --mirror TURNED --allow-mirror-direct --defaults"),
    R("stream add PLACED --subjects placed --cluster east --tag ssd --tag eu --defaults"),
    R("stream add DRY --subjects dry --validate --defaults"),
    R("stream add KEPT --subjects kept --output kept.json --defaults"),
    R("stream info KEPT"),
    R("stream add KEPT --config kept.json"),
    R("stream add KEPT --config missing.json"),
    R("stream add SUM --subjects sum --source KEPT --source TURNED --defaults"),
    R("stream add ALL --subjects 'all.>' --defaults"),
    R("stream add OVERLAP --subjects 'all.x' --defaults"),
    R("stream add 'BAD.NAME' --subjects bad --defaults"),
    R("stream add THREE --subjects three --replicas 3 --defaults"),
    R("pub all.a one --jetstream"),
    R("pub all.b two --jetstream"),
    R("pub turned.a three --jetstream"),
    Until("stream get MIRROR 1", code=0),
    R("stream get TURNED 1 --translate 'tr a-z A-Z'"),
    R("stream get TURNED --last-for turned.x.a"),
    R("stream subjects ALL --names --sort name"),
    R("stream subjects ALL --sort name --reverse"),
    R("stream ls --subject 'all.a'"),
    R("stream ls --subject nobody.listens -n"),
    R("stream find --subject 'all.>' -n"),
    R("stream find --empty -n"),
    R("stream find --empty --invert --names"),
    R("stream find --idle 1h -n"),
    R("stream find --created 1h -n"),
    R("stream find --consumers 1 -n"),
    R("stream find --replicas 1 -n"),
    R("stream find --sourced -n"),
    R("stream find --mirrored -n"),
    R("stream find --api-level 1 -n"),
    R("stream find --server-name none -n"),
    R("stream find --cluster none -n"),
    R("stream find --leader none -n"),
    R("stream find --expression 'config.max_msgs == 100' -n"),
    # One source from here on: nats-server tells several in any order.
    R("stream rm SUM -f"),
    R("stream add SUM --subjects sum --source KEPT --defaults"),
    R("stream report --subject 'all.>' --raw --name"),
    R("stream report --consumers --raw"),
    R("stream report --messages --raw"),
    R("stream report --storage"),
    R("stream report --dot picture.dot"),
)

STREAM_EDIT: tuple[Step, ...] = (
    R("stream add A --subjects 'a.>' --max-msgs-per-subject 5 --allow-rollup --defaults"),
    R(
        "stream edit A --description changed --subjects 'a.*' --subjects 'b.>' --max-age 1h "
        "--max-bytes 1MB --max-consumers 4 --max-msg-size 100 --max-msgs 50 "
        "--max-msgs-per-subject 2 --dupe-window 30s --discard new --discard-per-subject "
        "--compression s2 --no-ack --replicas 1 --metadata owner=you --allow-direct "
        "--no-allow-rollup -f"
    ),
    R(
        "stream edit A --republish-source 'a.*' --republish-destination "
        "'c.{{wildcard(1)}}' --republish-headers -f"
    ),
    R("stream edit A --no-republish -f"),
    R("stream edit A --transform-source 'b.*' --transform-destination 'b.{{wildcard(1)}}.x' -f"),
    R("stream edit A --no-transform --force"),
    R("stream edit A --cluster east --tag ssd -f"),
    R("stream edit A --allow-msg-ttl --subject-del-markers-ttl 2s -f"),
    R("stream edit A --retention interest -f"),
    R("stream edit A --deny-delete -f"),
    R("stream edit A --no-deny-delete -f"),
    R("stream edit A --deny-purge -f"),
    R("stream edit A --replicas 3 -f"),
    R("stream edit A --dry-run --description 'never seen'"),
    R("stream edit A --json -f --description 'as json'"),
    R("stream edit NONE -f --description x"),
    R("stream add B --subjects 'bb.>' --output b.json --defaults"),
    R("stream add B --subjects 'bb.>' --max-age 1h --defaults"),
    R("stream edit B --config b.json -f"),
    R("stream add M --mirror B --defaults"),
    R("stream edit M --no-mirror -f"),
    R("stream edit M --mirror B -f"),
    R("stream edit M --source B -f"),
    R("stream add M2 --mirror B --defaults"),
    R("stream edit M2 --no-allow-mirror-direct -f"),
    R(
        "stream copy B C --subjects 'cc.>' --description copied --storage memory "
        "--compression none "
        "--replicas 1 --ack --retention limits --discard old --max-age 2h --max-bytes 1MB "
        "--max-consumers 3 --max-msg-size 99 --max-msgs 7 --max-msgs-per-subject 1 "
        "--dupe-window 1m --allow-rollup --deny-delete --no-deny-purge --allow-direct "
        "--allow-msg-ttl "
        "--subject-del-markers-ttl 1s --metadata a=b --republish-source 'cc.>' "
        "--republish-destination 'dd.>' --republish-headers --first-sequence 5 "
        "--limit-consumer-inactive 1h --limit-consumer-max-pending 5 --no-discard-per-subject"
    ),
    R(
        "stream cp B D --subjects 'd1.*' --transform-source 'd1.*' "
        "--transform-destination 'd2.{{wildcard(1)}}' --json"
    ),
    R("stream cp B E --mirror B --allow-mirror-direct --no-allow-direct"),
    R("stream cp B F --subjects f --source B --cluster east --tag ssd"),
    R("stream cp NONE G --subjects g"),
    R("pub bb.a 1 --jetstream"),
    R("pub bb.b 2 --jetstream"),
    R("pub bb.c 3 --jetstream"),
    R("pub bb.d 4 --jetstream"),
    R("stream rmm B 2 -f"),
    R("stream gaps B --no-progress -f"),
    R("stream gaps B --json --force --no-progress"),
    R("stream purge B --seq 4 -f --json"),
    R("stream info B"),
    R("stream seal B -f"),
    R("pub bb.e 5 --jetstream"),
    R("stream rmm B 4 -f"),
    R("stream purge B -f"),
    R("stream info B"),
    R("stream seal NONE -f"),
)

CONSUMER_ADD: tuple[Step, ...] = (
    R("stream add S --subjects 's.>' --defaults"),
    R("pub s.1 one --jetstream"),
    R("pub s.2 two --jetstream"),
    R(
        "consumer add S pull --pull --ack explicit --deliver all --description 'a pull consumer' "
        "--filter s.1 --filter s.2 --max-deliver 4 --max-pending 7 --max-waiting 3 "
        "--max-pull-batch 5 --max-pull-expire 1m --max-pull-bytes 1024 --replay instant "
        "--sample 50 --wait 20s --inactive-threshold 1h --memory --replicas 1 "
        "--metadata owner=me --headers-only --defaults"
    ),
    R("consumer info S pull --json"),
    R("consumer info S pull --no-select"),
    R("consumer state S pull"),
    R("consumer state S pull --json --no-select"),
    R(
        "consumer create S push --target out --deliver last --ack all --heartbeat 5s "
        "--flow-control --deliver-group workers --replay original --backoff none --defaults"
    ),
    R(
        "consumer new S by_seq --pull --deliver 2 --ack none --filter '' --replay "
        "instant --defaults"
    ),
    R("consumer add S by_subject --pull --deliver subject --filter 's.*' --defaults"),
    R("consumer add S by_new --pull --deliver new --defaults"),
    R(
        "consumer add S back --pull --backoff linear --backoff-steps 3 --backoff-min 1s "
        "--backoff-max 10s --max-deliver 5 --defaults"
    ),
    R(
        "consumer add S passing --ephemeral --target passing --deliver all --ack none "
        "--defaults --validate"
    ),
    R("consumer add S paused --pull --pause 2100-01-01T00:00:00Z --defaults"),
    R("consumer add S kept --pull --output kept.json --defaults"),
    R("consumer add S kept --config kept.json"),
    R("consumer add S pull --pull --ack none --defaults"),
    R("consumer add S 'bad.name' --pull --defaults"),
    R("consumer add NONE c --pull --defaults"),
    R("consumer ls S --json"),
    R("consumer ls S --names --no-select"),
    R("consumer ls S --all -n"),
    R("consumer find S --pull"),
    R("consumer find S --push"),
    R("consumer find S --bound"),
    R("consumer find S --waiting 1"),
    R("consumer find S --ack-pending 1"),
    R("consumer find S --pending 1"),
    R("consumer find S --idle 1h"),
    R("consumer find S --created 1h"),
    R("consumer find S --replicas 1"),
    R("consumer find S --leader none"),
    R("consumer find S --pinned"),
    R("consumer find S --pull --invert"),
    R("consumer find S --expression 'config.max_deliver == 4'"),
    R("consumer find S --api-level 1"),
    R("consumer next S by_seq --raw --wait 5s"),
    R("consumer next S by_subject --raw --no-ack"),
    R("consumer report S --raw"),
    R("consumer report S --leaders"),
    R(
        "consumer edit S pull --description changed --filter s.1 --max-deliver 6 --max-pending 9 "
        "--max-pull-batch 6 --max-pull-expire 2m --max-pull-bytes 2048 --sample 10 --wait 25s "
        "--inactive-threshold 2h --replicas 1 --metadata owner=you --no-headers-only -f"
    ),
    R("consumer edit S pull --dry-run --description 'never seen'"),
    R("consumer edit S push --target elsewhere --force"),
    R(
        "consumer edit S back --backoff linear --backoff-steps 2 --backoff-min 2s "
        "--backoff-max 20s -f"
    ),
    R("consumer edit S kept --config kept.json -f"),
    R("consumer edit S none --description x -f"),
    R(
        "consumer cp S pull copied --ack explicit --deliver all --description copied --filter s.2 "
        "--max-deliver 3 --max-pending 8 --max-waiting 4 --max-pull-batch 3 --max-pull-expire 3m "
        "--max-pull-bytes 512 --pull --replay instant --sample 5 --wait 15s "
        "--inactive-threshold 3h --memory --replicas 1 --metadata a=b --headers-only "
        "--backoff none --pause 2100-01-01T00:00:00Z"
    ),
    R(
        "consumer copy S push copied_push --target there --heartbeat 6s --flow-control "
        "--deliver-group others"
    ),
    R(
        "consumer copy S back copied_back --backoff linear --backoff-steps 2 "
        "--backoff-min 1s --backoff-max 9s"
    ),
    R("consumer copy S none nothing"),
    R("consumer pause S kept 2100-01-01T00:00:00Z -f"),
    R("consumer resume S kept -f"),
    R("consumer unpin S pull group -f"),
)

STREAM_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        MAKES,
        rf"^(?:Information|State) for (?:Consumer \S+ > \S+|Stream \S+) created (?P<time>{CLOCK})$",
        "when it was made",
    ),
    Difference(MAKES, rf"(?:First|Last) Sequence: \d+ @ (?P<time>{CLOCK})$", "when it was stored"),
    Difference(
        r"^(stream|consumer) (\w+ .*--json|create)",
        rf'"(?:created|first_ts|last_ts|ts|last_active)": "(?P<time>{ISO})"',
        "when it was made, stored, asked",
    ),
    Difference(
        MAKES,
        r"(?:Host Version: |_nats\.ver\": \")(?P<version>\d+\.\d+\.\d+)",
        "kvcore reports the version whose client features it has",
    ),
    Difference(
        MAKES,
        r"(?:hosted at level |_nats\.level\": \")(?P<level>\d)",
        "kvcore has the JetStream API of level 1: per-key TTL, no atomic batches or counters",
    ),
    Difference(
        MAKES,
        rf"Last (?:delivery|Ack|Delivered Message|Seen): (?P<age>never|{AGE})(?: ago)?$",
        "how long ago that was",
    ),
    Difference(r"^pub ", r"^(?P<time>\d\d:\d\d:\d\d) ", "when it was published"),
    Difference(TABLES, rf"│ +(?P<age>{AGE}) +│", "how long ago an origin or a value was heard of"),
    Difference(TABLES, r"(?P<rule>─{2,})", "as wide as the age in its column"),
    Difference(TABLES, r"(?P<pad> +)(?=│)", "as wide as the age in its column"),
    Difference(TABLES, r"^│(?P<margin> {2,})", "the title stands in the middle of the table"),
    Difference(TABLES, r"│(?P<lead> +)(?=\S)", "as wide as the age in its column"),
)
