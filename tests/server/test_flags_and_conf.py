"""A command line and a configuration file made for nats-server are understood, or refused."""

import pytest

from kvcore.limits import GIB, KIB, MINUTE_NS, SECOND_NS
from kvcore.nats.permissions import Permissions, Responses, Rule
from kvcore.node.config import NATS_TIMERS, ClusterConfig, NkeyUser, Timers, User
from kvcore.server import conf, flags
from kvcore.server.access import TlsSettings
from kvcore.server.clustering import Route
from kvcore.server.settings import SettingsError, read


def settings(*argv: str, name: str = "kvcore", environment: dict[str, str] | None = None):
    return read(flags.parse(argv), name, environment or {})


# The public key of a seed that is 32 times the byte 7.
NKEY = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF"
HASH = "$2b$04$ybU6Pb55ZRFuAqGEcHHTGOTwlwv43.jOvH6ohr6dAgbdDxDS3Mq4m"


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "server.conf"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "5222"],
        ["--port", "5222"],
        ["-port=5222"],
        ["--p=5222"],
    ],
)
def test_a_flag_is_taken_in_every_form_of_gos_flag_package(words):
    assert settings(*words).port == 5222


@pytest.mark.parametrize("words", [["-sd", "d"], ["-sd=d"], ["--store_dir", "d"]])
def test_the_store_directory_has_three_names(words):
    assert settings(*words).store_dir == "d"


def test_a_switch_never_eats_the_next_word():
    found = settings("-js", "-p", "1")
    assert (found.jetstream, found.port) == (True, 1)
    assert settings("-js=false").jetstream is False


def test_defaults_are_loopback_jetstream_and_an_ack_after_the_disk():
    found = settings()
    assert (found.host, found.jetstream, found.sync) == ("127.0.0.1", True, "always")
    assert found.store_dir == "./kvcore-data"


def test_jetstream_is_off_on_request_and_under_the_name_nats_server():
    assert settings("--no-jetstream").jetstream is False
    assert settings(name="nats-server").jetstream is False
    assert settings("-js", name="nats-server").jetstream is True


def test_dv_is_debug_and_trace():
    found = settings("-DV")
    assert (found.debug, found.trace) == (True, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bogus"], "unknown flag --bogus"),
        (["-p"], "flag -p needs a value"),
        (["-p", "many"], "flag -p is a number, not 'many'"),
        (["--port", "many"], "flag --port is a number, not 'many'"),
        (["-js=maybe"], "true or false"),
        (["-p", "1", "extra"], "'extra'"),
        (["--cluster"], "flag --cluster needs a value"),
        (["--sync-interval", "soon"], "no duration"),
    ],
)
def test_a_command_line_that_cant_be_honoured_is_refused_in_one_sentence(words, said):
    with pytest.raises(flags.FlagError, match=said) as refused:
        flags.parse(words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sync", "sometimes"], "always, interval or never"),
        (["--sync-interval", "1s"], "--sync interval"),
        (["--user", "a"], "go together"),
        (["-p", "70000"], "70000"),
        (["-n", "two words"], "white space"),
        (["--tls"], "--tlscert and --tlskey"),
        (["--tlscert", "c.pem"], "--tlscert and --tlskey"),
    ],
)
def test_values_that_make_no_sense_are_refused(words, said):
    with pytest.raises(SettingsError, match=said):
        settings(*words)


def test_http_monitoring_is_off_unless_it_has_a_port():
    assert settings().http_port == 0
    for words in (["-m", "8222"], ["--http_port=8222"]):
        assert settings(*words).http_port == 8222
    assert settings("-m", "8222").warnings == ()
    assert settings("-m", "8222", "-a", "10.0.0.1").http_host == "10.0.0.1"
    assert settings("-m", "8222", "-a", "10.0.0.1", "--http_host", "::1").http_host == "::1"
    with pytest.raises(SettingsError, match="65536 is not between"):
        settings("-m", "65536")
    with pytest.raises(flags.FlagError, match="HTTPS for monitoring comes later"):
        settings("-ms", "8223")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http: 8222", "127.0.0.1", 8222),
        ("http_port: 8222", "127.0.0.1", 8222),
        ("monitor_port: 8222", "127.0.0.1", 8222),
        ('http: "[::1]:8222"', "::1", 8222),
        ("http: -1\nhttp_host: localhost", "localhost", -1),
    ],
)
def test_http_monitoring_in_a_configuration_file(tmp_path, text, host, port):
    path = tmp_path / "a.conf"
    path.write_text(text)
    found = settings("-c", str(path))
    assert (found.http_host, found.http_port, found.warnings) == (host, port, ())


def test_the_usage_text_names_every_flag_that_works():
    text = flags.usage()
    for flag in flags.FLAGS:
        if flag.kind != "later" and flag.setting != "parent_fd":
            assert all(name in text for name in flag.names)


def test_a_whole_configuration_file(file):
    found = settings(
        "-c",
        file(
            """
            # a server
            listen: 127.0.0.1:4333   // where
            server_name = "one"
            server_tags [eu, 'ssd']
            max_payload: 64KB; ping_interval: "30s", ping_max: 3
            ports_file_dir: /tmp
            password: s3cret
            authorization {
              timeout: 3
              users = [
                {user: a, password: $password}
                {user: b, password: "b # c"}
              ]
            }
            accounts { $SYS { users: [{user: sys, password: s}] } }
            jetstream {
              store_dir: /data, max_file_store: 1GB
              max_mem_store: 64k
              sync_interval: 2m
            }
            leafnodes { port: 7422 }
            websocket { port: 8080 }
            """
        ),
    )
    assert (found.host, found.port, found.server_name) == ("127.0.0.1", 4333, "one")
    assert found.tags == ("eu", "ssd")
    assert (found.max_payload, found.ping_interval, found.ping_max) == (
        64 * KIB,
        30 * SECOND_NS,
        3,
    )
    assert found.users == (User("a", "s3cret"), User("b", "b # c"), User("sys", "s"))
    assert (found.store_dir, found.max_storage, found.max_memory) == ("/data", GIB, 64_000)
    assert (found.sync, found.sync_interval) == ("interval", 2 * MINUTE_NS)
    assert found.auth_timeout == 3 * SECOND_NS
    assert found.warnings == ("line 22: leafnodes is ignored", "line 23: websocket is ignored")


def test_a_flag_wins_over_the_file(file):
    assert settings("-c", file("port: 1\n"), "-p", "2").port == 2


def test_sync_interval_always_is_the_default_said_aloud(file):
    assert settings("-c", file("jetstream { sync_interval: always }")).sync == "always"


def test_jetstream_can_be_switched_in_the_file(file):
    assert settings("-c", file("jetstream: disabled")).jetstream is False
    assert settings("-c", file("jetstream: enabled"), name="nats-server").jetstream is True
    assert settings("-c", file("jetstream {}"), name="nats-server").jetstream is True


def test_a_configuration_may_be_written_as_json(file):
    text = """# made by a program
    {
      "port": 4567, "jetstream": {"store_dir": "/tmp/js", "max_file_store": 1048576},
      "authorization": {"users": [{"user": "a", "password": "b"}]}
    }
    // the end
    """
    found = settings("-c", file(text))
    assert (found.port, found.jetstream, found.store_dir) == (4567, True, "/tmp/js")
    assert found.users == (User("a", "b"),)


def test_a_variable_may_come_from_the_environment(file):
    found = settings("-c", file("port: $PORT"), environment={"PORT": "4500"})
    assert found.port == 4500


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("port: 1\nbogus: 2\n", 2, 'unknown field "bogus": kvcore has no such setting'),
        ("authorization {\n  tokn: x\n}\n", 2, r'unknown field "tokn": did you mean "token"\?'),
        ("authorization {\n token: x\n", 3, "ends inside the block of line 1"),
        ("server_tags: [a,\n", 2, "ends inside the list of line 1"),
        ('port: "abc"\n', 1, "expected a number, not 'abc'"),
        ("debug: maybe\n", 1, "expected true or false, not 'maybe'"),
        ("server_name: [a, b]\n", 1, "expected a single value, not a list"),
        ("token { a: b }\n", 1, "unknown field"),
        ("host { a: b }\n", 1, "expected a single value, not a block"),
        ("port: $NOWHERE\n", 1, r"variable \$NOWHERE is set nowhere"),
        ("include other.conf\n", 1, "include is not supported"),
        ("tls {\n cert_file: x, verify_and_map: true }\n", 2, "verify_and_map comes later"),
        ("tls { insecure: true }\n", 1, "who connects"),
        ("tls { handshake_first: auto }\n", 1, "true or false"),
        ("tls { min_version: 1.1 }\n", 1, "1.2 or 1.3"),
        ("cluster {\n nmae: x }\n", 2, r'unknown field "nmae": did you mean "name"\?'),
        ("cluster {\n routes: [x] }\n", 2, "routes: 'x' is no address such as nats://"),
        ("cluster {\n listen: here }\n", 2, "listen: 'here' is no address such as"),
        ("cluster { authorization { token: x } }\n", 1, "does not support tokens"),
        ("cluster { authorization { user: x } }\n", 1, "go together"),
        ("cluster { authorization { users: [] } }\n", 1, "multiple users"),
        ("cluster { permissions { import: x } }\n", 1, "comes later"),
        ("\naccounts { A { users: [] } }\n", 2, "accounts but .SYS come later"),
        (
            "authorization { users: [{user: a, password: b, permissions: {publsh: a}}] }",
            1,
            "publsh",
        ),
        ("authorization { default_permissions { publish { alow: a } } }", 1, "alow"),
        ("authorization { default_permissions { publish: [a..b] } }", 1, "a..b"),
        ("authorization { default_permissions { publish: 'a q' } }", 1, "a q"),
        ("authorization { default_permissions { subscribe: 'a q r' } }", 1, "a q r"),
        ("authorization { default_permissions { publish: [] } }", 1, "an empty list says nothing"),
        ("authorization { default_permissions { allow_responses: {mx: 1} } }", 1, "mx"),
        ("authorization { users: [\n{user: a, password: b}\n{user: a, password: c}] }", 3, "twice"),
        ("authorization { users: [{nkey: UABC}] }", 1, "no public nkey"),
        (f"authorization {{ users: [{{nkey: {NKEY}, user: a}}] }}", 1, "no name and no password"),
        (f"authorization {{ users: [{{nkey: {NKEY[:-1]}A}}] }}", 1, "no public nkey"),
        ("authorization { user: a }\n", 1, "go together"),
        ("authorization { user: a, password: '$2a$10$x' }", 1, "bcrypt"),
        ("server_name: 'never ends\n", 1, "never ends"),
        ("ping_interval: 2x\n", 1, "no duration"),
        ("a { " * 60 + "}" * 60, 1, "deeper"),
        ("listen: here\n", 1, "HOST:PORT"),
        ('{"port": 1}\n"debug": true', 2, "the whole file ends before this"),
        ('{\n"port": 1\n', 3, "ends inside the block of line 1"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(file, text, line, said):
    path = file(text)
    with pytest.raises(SettingsError, match=said) as refused:
        settings("-c", path)
    assert f"{path}:{line}: " in str(refused.value)


def test_users_have_permissions_of_their_own_or_the_default_ones(file):
    found = settings(
        "-c",
        file(
            f"""
            no_auth_user: guest
            authorization {{
              default_permissions {{ subscribe: "_INBOX.>" }}
              users = [
                {{user: guest, password: ""}}
                {{username: ann, pass: "{HASH}", permissions {{
                    pub {{ allow: [a, "b.>"], deny: b.c }}
                    sub: ["jobs workers"]
                    allow_responses {{ max: 3, expires: "1m" }} }} }}
                {{nkey: {NKEY}, permissions {{ allow_responses: true }} }}
              ]
            }}
            accounts {{ $SYS {{ users: [{{user: sys, password: s}}] }} }}
            """
        ),
    )
    guest, ann, system = found.users
    assert guest.permissions == Permissions(subscribe=Rule(("_INBOX.>",)))
    assert ann.permissions == Permissions(
        Rule(("a", "b.>"), ("b.c",)), Rule(("jobs workers",)), Responses(3, MINUTE_NS)
    )
    assert system.permissions is None
    assert found.nkeys == (NkeyUser(NKEY, Permissions(Rule(()), Rule(), Responses())),)
    assert found.no_auth_user == "guest"


def test_no_auth_user_is_one_of_the_users(file):
    with pytest.raises(SettingsError, match="eve is none of the users"):
        settings("-c", file("no_auth_user: eve, authorization { user: a, password: b }"))


def test_tls_comes_from_the_file_and_flags_win(file):
    path = file(
        "tls { cert_file: c, key_file: k, ca_file: a, verify: true, timeout: 5, first: true }"
    )
    assert settings("-c", path).tls == TlsSettings(
        "c", "k", "a", verify=True, handshake_first=True, timeout=5 * SECOND_NS
    )
    assert settings("-c", path, "--tlscert", "d").tls.cert_file == "d"
    assert settings("-c", path, "--tls=false").tls is None
    words = ["--tlscert=c", "--tlskey=k", "--tlscacert=a", "--tlsverify"]
    assert settings(*words).tls == TlsSettings("c", "k", "a", verify=True)


def test_a_file_that_isnt_there_is_named():
    with pytest.raises(SettingsError, match=r"nowhere\.conf: No such file"):
        settings("-c", "nowhere.conf")


def test_secrets_are_never_in_a_settings_repr(file):
    path = file("authorization { token: hush, user: u, password: hush }")
    assert "hush" not in repr(settings("-c", path))


@pytest.mark.parametrize(
    ("word", "count"),
    [("1k", 1000), ("1kb", 1024), ("2MiB", 2 << 20), ("3G", 3 * 10**9), ("x", None)],
)
def test_sizes_are_nats_servers(word, count):
    assert conf.size(word) == count


# The cluster.

JOINED = ("-n", "n1", "--cluster_name", "c", "--cluster", "nats://127.0.0.1:6222")
THREE = "nats://127.0.0.1:6222,nats://127.0.0.1:6223,nats://localhost:6224"


def test_a_cluster_is_named_by_nats_servers_flags():
    found = settings(*JOINED, "--routes", THREE).cluster
    assert (found.name, found.host, found.port) == ("c", "127.0.0.1", 6222)
    assert [route.port for route in found.routes] == [6222, 6223, 6224]
    assert found.config() == ClusterConfig("c", 3)
    assert settings().cluster is None


def test_a_servers_own_address_among_its_routes_counts_once():
    for routes in (THREE, "nats://127.0.0.1:6223,nats://127.0.0.1:6224", THREE + "," + THREE):
        assert settings(*JOINED, "--routes", routes).cluster.config().size == 3
    assert settings(*JOINED, "--routes", THREE, "--cluster_size", "5").cluster.config().size == 5


@pytest.mark.parametrize(("name", "timers"), [("kvcore", Timers()), ("nats", NATS_TIMERS)])
def test_timers_are_ours_or_those_of_nats(name, timers):
    found = settings(*JOINED, "--routes", THREE, "--timers", name).cluster
    assert found.config().timers == timers


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--routes", THREE], "solicited routes require cluster capabilities, e.g. --cluster"),
        (["--cluster_name", "c"], "cluster capabilities, e.g. --cluster"),
        (["--timers", "nats"], "cluster capabilities, e.g. --cluster"),
        ([*JOINED[2:], "--routes", THREE], "a server name: -n or --server_name"),
        ([*JOINED[:2], *JOINED[4:], "--routes", THREE], "a name: --cluster_name"),
        ([*JOINED], "requires configured routes: --routes, or --cluster_size 1"),
        ([*JOINED, "--routes", "x"], "--routes: 'x' is no address such as nats://"),
        ([*JOINED, "--routes", "nats://u:p@x"], "'nats://x' is no address.*port is missing"),
        ([*JOINED, "--routes", "nats://u@x:1"], "user and password go together"),
        ([*JOINED, "--routes", "http://x:1"], "no address such as"),
        ([*JOINED, "--routes", "nats://x:99999"], "no address such as"),
        ([*JOINED, "--routes", THREE, "--timers", "slow"], "kvcore or nats, not 'slow'"),
        ([*JOINED, "--routes", THREE, "--cluster_size", "-1"], "1 or more"),
        ([*JOINED, "--routes", THREE, "--cluster_name", "a b"], "no white space"),
        ([*JOINED, "--routes", THREE, "--cluster", "nats://u:$2a$10$x@h:1"], "kept as a hash"),
        ([*JOINED, "--routes", THREE, "--cluster_secret_file", "/nowhere"], "/nowhere: No such"),
        ([*JOINED, "--routes", THREE, "--cluster_advertise", "x"], "--cluster_advertise: 'x'"),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused_with_the_remedy(words, said):
    with pytest.raises(SettingsError, match=said) as refused:
        settings(*words)
    assert "\n" not in str(refused.value)
    assert "u:p" not in str(refused.value)


def test_without_jetstream_a_cluster_needs_no_names_and_no_routes():
    found = settings("--no-jetstream", "--cluster", "nats://127.0.0.1:-1").cluster
    assert (found.port, found.name, found.config().size) == (-1, "kvcore", 1)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("short", 0o600, "must have 16 to 4096 bytes: openssl rand -hex 32 >"),
        ("x" * 5000, 0o600, "must have 16 to 4096 bytes"),
        ("0123456789abcdef", 0o644, "others may read the secret file .*: chmod 600"),
        ("0123456789abcdef\n", 0o600, ""),
    ],
)
def test_a_secret_file_is_long_enough_and_its_owners_alone(tmp_path, content, mode, said):
    path = tmp_path / "secret"
    path.write_text(content)
    path.chmod(mode)
    words = (*JOINED, "--routes", THREE, "--cluster_secret_file", str(path))
    if said:
        with pytest.raises(SettingsError, match=said):
            settings(*words)
    else:
        assert settings(*words).cluster.secret == b"0123456789abcdef"
        assert "0123456789abcdef" not in repr(settings(*words))


CLUSTER_CONF = """
server_name: n1
cluster {
  name: c, listen: "127.0.0.1:7222", no_advertise: true
  routes: [ nats://a:b@127.0.0.1:7223, "nats-route://127.0.0.1:7224" ]
  authorization { user: ann, password: long-and-secret, timeout: 0.5 }
  tls { cert_file: c.pem, key_file: k.pem, ca_file: a.pem, timeout: 1 }
}
"""


def test_a_cluster_in_a_configuration_file_and_flags_that_win(tmp_path):
    path = tmp_path / "a.conf"
    path.write_text(CLUSTER_CONF)
    all_settings = settings("-c", str(path))
    found = all_settings.cluster
    assert (found.name, found.port, found.user, found.timeout) == ("c", 7222, "ann", SECOND_NS // 2)
    assert found.routes == (Route("127.0.0.1", 7223, "a", "b"), Route("127.0.0.1", 7224))
    assert found.tls.verify is True
    assert found.config().size == 3
    assert found.key() == b"user\nann\nlong-and-secret"
    assert found.key(found.routes[0]) == b"user\na\nb"
    assert "long-and-secret" not in repr(all_settings)
    assert "cluster.no_advertise is ignored" in all_settings.warnings[0]
    flagged = settings("-c", str(path), "--cluster_name", "d", "--cluster", "nats://u:p@h:1")
    assert (flagged.cluster.name, flagged.cluster.host, flagged.cluster.user) == ("d", "h", "u")
    assert len(flagged.cluster.routes) == 2


def test_a_cluster_has_one_kind_of_secret(tmp_path):
    path = tmp_path / "a.conf"
    secret = "authorization { user: u, password: p }, secret_file: x"
    path.write_text(f"server_name: n1, cluster {{ name: c, size: 1, {secret} }}")
    with pytest.raises(SettingsError, match="not both"):
        settings("-c", str(path))
    path.write_text("server_name: n1, cluster { name: c, size: 1, tls { cert_file: x } }")
    with pytest.raises(SettingsError, match="cert_file, key_file and ca_file"):
        settings("-c", str(path))


def test_where_clients_reach_a_server_may_be_said(tmp_path):
    assert settings("--client_advertise", "example.com:4222").advertise == "example.com:4222"
    path = tmp_path / "a.conf"
    path.write_text('client_advertise: "example.com:1"')
    assert settings("-c", str(path)).advertise == "example.com:1"


def test_in_a_cluster_a_payload_must_fit_a_frame_between_servers(tmp_path):
    path = tmp_path / "a.conf"
    path.write_text("max_payload: 8MB")
    assert settings("-c", str(path)).max_payload == 8192 * KIB
    with pytest.raises(SettingsError, match="at most 7340032 bytes in a cluster"):
        settings("-c", str(path), *JOINED, "--routes", THREE)
