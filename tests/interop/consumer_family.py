"""`nats consumer …` as it is typed, and what may differ in its answers."""

from tests.interop.transcript import Difference, Run, Step

R = Run

CLOCK = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
AGE = r"\d+(?:\.\d+)?(?:ms|µs|us|s)"

CONSUMER: tuple[Step, ...] = (
    R("stream add ORD --subjects 'ord.>' --defaults"),
    R("pub ord.1 one --jetstream"),
    R("pub ord.2 two --jetstream"),
    R("pub ord.3 three --jetstream"),
    R("consumer add ORD pull --pull --defaults"),
    R("consumer add ORD pull --pull --defaults"),
    R("consumer next ORD pull --count 2 --ack"),
    R("consumer next ORD pull --nak"),
    R("consumer next ORD pull --term"),
    R("consumer info ORD pull"),
    R("consumer info ORD missing"),
    R(
        "consumer add ORD push --target out --deliver all --ack all --deliver-group g "
        "--max-deliver 5 --wait 10s --backoff none --defaults"
    ),
    R("consumer info ORD push"),
    R("consumer add ORD none --target out2 --ack none --defaults"),
    R("consumer ls ORD -n"),
    R("consumer pause ORD missing 1h -f"),
    R("consumer resume ORD pull -f"),
    R("consumer rm ORD push -f"),
    R("consumer rm ORD push -f"),
    R("consumer ls ORD -n"),
)

CONSUMER_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        r"^(consumer (add|info)|stream add ORD)",
        rf"^Information for (?:Consumer \S+ > \S+|Stream \S+) created (?P<time>{CLOCK})$",
        "when it was made",
    ),
    Difference(r"^consumer next", r"^\[(?P<time>\d\d:\d\d:\d\d)\] ", "when it came"),
    Difference(
        r"^consumer (add|info)",
        rf"Last (?:delivery|Ack): (?P<age>{AGE}) ago",
        "how long ago that was",
    ),
    Difference(r"^pub ord", r"^(?P<time>\d\d:\d\d:\d\d) ", "when it was published"),
    Difference(
        r"^(consumer (add|info)|stream add ORD)",
        r"Host Version: (?P<version>\d+\.\d+\.\d+)",
        "kvcore reports the version whose client features it has",
    ),
    Difference(
        r"^(consumer (add|info)|stream add ORD)",
        r"hosted at level (?P<level>\d)",
        "kvcore has the JetStream API of level 1: per-key TTL, no atomic batches or counters",
    ),
)
