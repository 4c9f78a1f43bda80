"""`nats server report`, `list`, `ping`, `check`: what the CLI learns from a server about itself.

nats-server answers most of this to the system account alone, so both servers have one, and
the commands that need it name its user. Two commands are compared elsewhere, as JSON, since
their output has a line for each field (`server info`, `server request`): test_monitoring.py.
"""

from tests.interop.transcript import Difference, Run, Step

R = Run
ADMIN = "--user admin --password admin"
SERVER_CONFIG = """
authorization { users: [ {user: app, password: app} ] }
accounts { $SYS { users: [ {user: admin, password: admin} ] } }
no_auth_user: app
"""

SERVER: tuple[Step, ...] = (
    R("kv add b --history 2"),
    R("kv put b k v"),
    R("kv put b k value"),
    R("kv add m --storage memory"),
    R("kv put m k v"),
    R("consumer add KV_b c --pull --defaults"),
    R(f"server list {ADMIN}"),
    R(f"server ping {ADMIN}"),
    R(f"server report connections {ADMIN}"),
    R(f"server report connections --sort out-bytes {ADMIN}"),
    R(f"server report connections --username nobody {ADMIN}"),
    R(f"server report accounts {ADMIN}"),
    R(f"server report jetstream {ADMIN}"),
    R(f"server report jetstream --sort msgs {ADMIN}"),
    R(f"server report jetstream --account '$G' {ADMIN}"),
    R(f"server report health {ADMIN}"),
    R(f"server report health --js-enabled {ADMIN}"),
    R(f"server report health --account '$G' --stream KV_b {ADMIN}"),
    R(f"server report health --account '$G' --stream KV_b --consumer c {ADMIN}"),
    R(f"server report health --account '$G' --stream missing {ADMIN}"),
    R(f"server report cpu {ADMIN}"),
    R(f"server report mem {ADMIN}"),
    R(f"server report routes {ADMIN}"),
    R(f"server report gateways {ADMIN}"),
    R(f"server report leafnodes {ADMIN}"),
    R(f"server report downgrade 1 {ADMIN}"),
    R(f"server check server --name interop {ADMIN}"),
    R(f"server check server --name interop --conn-critical 1 --conn-warn 1 {ADMIN}"),
    R(f"server check server --name another {ADMIN} --timeout 500ms"),
    R(f"server check meta --expect 1 --lag-critical 1 --seen-critical 1s {ADMIN}"),
    R("server check connection"),
    R("server check jetstream"),
    R("server check stream --stream KV_b --peer-expect 1"),
    R("server check stream --stream missing"),
    R("server check message --stream KV_b --subject '$KV.b.k'"),
    R("server check message --stream KV_b --subject '$KV.b.missing'"),
    R("server check consumer --stream KV_b --consumer c"),
    R("server check consumer --stream KV_b --consumer missing"),
    R("server check request --subject '$SYS.REQ.USER.INFO'"),
    R(f"server stream-check --stream KV_b {ADMIN}"),  # all: nats-server lists in any order
    R(f"server consumer-check {ADMIN}"),
)

_WIDE = r"^server (list|report (connections|accounts))"

SERVER_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        r"^server list",
        r"│ (?P<version>\d+\.\d+\.\d+) +│ yes",
        "kvcore reports the version whose client features it has",
    ),
    Difference(
        r"^server list",
        r"│ (?:yes|1) +│ 1 +│ (?P<subs>\d+) +│",
        "nats-server counts its own subscriptions too",
    ),
    Difference(
        r"^server check server", r"subscriptions=(?P<subs>\d+)", "nats-server counts its own too"
    ),
    Difference(
        r"^server (list|report mem)", r"(?P<mem>\d+(?:\.\d+)? MiB)", "measured of each process"
    ),
    Difference(r"^server list", r"<mem> │ (?P<cpu>[\d.]+) +│", "measured of each process"),
    Difference(r"^server report cpu", r"interop: (?P<cpu>.*)$", "measured of each process"),
    Difference(
        r"^server check server", r"(?P<used>cpu=[\d.]+% mem=\d+)", "measured of each process"
    ),
    Difference(
        r"^server list", r"│ (?P<uptime>\d\S*s) +│ \S+s +│$", "since each process was started"
    ),
    Difference(r"^server list", r"│ (?P<rtt>\S+s) +│$", "measured"),
    Difference(r"^server ping", r"rtt=(?P<rtt>\S+)$", "measured"),
    Difference(r"^server ping", r"(?:max|min|avg): (?P<rtt>[\d.]+)", "measured"),
    Difference(
        r"^server report (connections|accounts)",
        r"│ (?P<account>\$SYS|\$G) +│",
        "kvcore has one account",
    ),
    Difference(
        r"^server report connections", r"^│ (?P<cid>\d+) +│", "nats-server has clients of its own"
    ),
    Difference(
        r"^server (report connections|check connection)",
        r"127\.0\.0\.1:(?P<port>\d+)",
        "a free port",
    ),
    Difference(
        r"^server report (connections|accounts)",
        r"│ (?:\d+s|1) +│ (?P<asked>\d+) +│ \d+ +│ \d+ B +│",
        "nats-server counts a request after it is read: the one that asks is in it, or not yet",
    ),
    Difference(r"^server report connections", r"│ (?P<uptime>\d+s) +│", "since when it is there"),
    Difference(
        r"^server report (connections|accounts)",
        r"\d+ B +│ (?P<bytes>\d+ B) +│",
        "the bytes of the answer before, which says who answers in more words",
    ),
    Difference(
        r"^server report (connections|accounts)",
        r"(?P<asked>\d+ B) +│ <bytes>",
        "the same of its bytes",
    ),
    Difference(
        r"^server check (server|message)", r"(?:uptime|age)=(?P<time>[\d.]+s)", "how long ago"
    ),
    Difference(
        r"^server check (connection|request)", r"(?P<time>\d[\d.]*(?:ms|µs|s))\b", "measured"
    ),
    Difference(r"^server (stream|consumer)-check", r"(?:in|took) (?P<time>[\d.]+s)$", "measured"),
    Difference(_WIDE, r"(?P<rule>─{2,})", "as wide as what is in its column"),
    Difference(_WIDE, r"(?P<pad> +)(?=│)", "as wide as what is in its column"),
    Difference(_WIDE, r"^│(?P<margin> {2,})", "the title stands in the middle of the table"),
)
