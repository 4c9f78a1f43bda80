"""Users, permissions, nkeys and TLS: the same configuration file, the same conversation.

Each script runs on our server and on nats-server; every line that comes back must be the
same. Where ours is stricter on purpose, `STRICTER` says so, and an entry that covers nothing
fails.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import nats
import nats.aio.msg
import nkeys
import pytest

from tests.support.certificates import Authority, Pair
from tests.support.require import require
from tests.support.servers import KINDS, Server, running
from tests.support.wire import Wire

SEED = nkeys.encode_seed(b"\x07" * 32, nkeys.PREFIX_BYTE_USER)
PUBLIC = nkeys.from_seed(bytearray(SEED)).public_key.decode()
HASH = bcrypt.hashpw(b"hashed", b"$2b$04$" + b"kvcore" + b"." * 16).decode()

USERS = f"""
authorization {{
  timeout: 1
  default_permissions {{ publish: "plain" }}
  users = [
    {{ user: root, password: root, permissions {{ publish: ">" }} }}
    {{ user: plain, password: plain }}
    {{ user: bob, password: bob, permissions {{
        publish {{ allow: ["a.*", "$JS.API.>"], deny: "a.no" }}
        subscribe {{
          allow: ["_INBOX.>", "h.*", "q", "q w1", "q v.*", "r w1"]
          deny: ["h.no", "_INBOX.no.>", "h.quiet w9"]
        }} }} }}
    {{ user: service, password: service, permissions {{
        subscribe: "svc", allow_responses {{ max: 2, expires: "1m" }} }} }}
    {{ user: hashed, password: "{HASH}" }}
    {{ nkey: {PUBLIC}, permissions {{ publish: "k.>", subscribe: ["k.>", "_INBOX.>"] }} }}
  ]
}}
"""

PUBLISHED = [
    "a.b", "a.b.c", "a.no", "a.b _INBOX.x", "a.b $JS.ACK.x", "a.b _R_.x", "a.*", "a.>",
    "nope _INBOX.x", 'quo"te', "back\\slash\x01", "caf\u00e9", "$NRG.x", "_GR_.x", "a.b _GR_.x",
    "a.b z.y", "a.b _INBOX.no.x",
]  # fmt: skip
SUBSCRIBED = [
    "_INBOX.>", "h.*", "h.>", ">", "h.no", "q w1", "q w2", "q v.7", "q", "r", "r w1", "r w2",
    "h..x", "zz", "h.x _sys_", "h.quiet w9", "h.quiet w8", "h.* w9", "_INBOX.no.x",
]  # fmt: skip

# What we refuse and nats-server takes, and why.
STRICTER = {
    "PUB a.b z.y": "the server would speak where the client may neither hear nor speak",
    "PUB a.b _INBOX.no.x": "the same, where a deny says so",
    "SUB h.>": "h.* does not allow to hear h.a.b",
}


def options(**said: object) -> str:
    base = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
    return json.dumps({**base, **said})


def lines(wire: Wire, data: str) -> list[str]:
    """What the server says to this, up to the answer to a PING, or to its end."""
    wire.send(data.encode() + b"PING\r\n")
    heard: list[str] = []
    while (frame := wire.frame()) != "PONG":
        if frame is None:
            return [*heard, "closed"]
        if not (isinstance(frame, str) and frame.startswith("INFO")):
            heard.append(str(frame))
    return heard


def pub(words: str, payload: str = "") -> str:
    return f"PUB {words} {len(payload)}\r\n{payload}\r\n"


@pytest.fixture(scope="module", params=KINDS)
def guarded(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "nats-server":
        require("go")
    with running(request.param, config=USERS) as server:
        yield server


def enter(server: Server, user: str) -> Wire:
    return Wire(server.port, options(user=user, **{"pass": user}))


def refused(kind: str, words: str, *, expected: bool) -> bool:
    return expected or (kind == "kvcore" and words in STRICTER)


MAY_PUBLISH = {"a.b", "a.b _INBOX.x", "a.*", "a.>", "a.b z.y", "a.b _INBOX.no.x"}
RESERVED_REPLY = {"a.b $JS.ACK.x", "a.b _R_.x", "a.b _GR_.x"}


@pytest.mark.parametrize("words", PUBLISHED)
def test_a_publish_is_judged_by_the_users_permissions(guarded: Server, words: str) -> None:
    subject, _, reply = words.partition(" ")
    quoted = subject.replace("\\", "\\\\").replace('"', '\\"').replace("\x01", "\\x01")
    told = f"-ERR 'Permissions Violation for Publish to \"{quoted}\"'"
    if words in RESERVED_REPLY or (guarded.kind == "kvcore" and f"PUB {words}" in STRICTER):
        told = f"-ERR 'Permissions Violation for Publish with Reply of \"{reply}\"'"
    elif words in MAY_PUBLISH:
        told = ""
    with enter(guarded, "bob") as bob:
        assert lines(bob, pub(words)) == ([told] if told else [])


MAY_SUBSCRIBE = {"_INBOX.>", "h.*", "h.>", "q w1", "q v.7", "q", "r w1", "h.quiet w8", "h.* w9"}


@pytest.mark.parametrize("words", SUBSCRIBED)
def test_a_subscription_is_judged_with_its_queue(guarded: Server, words: str) -> None:
    subject, _, queue = words.partition(" ")
    using = f' using queue "{queue}"' if queue else ""
    told = [f"-ERR 'Permissions Violation for Subscription to \"{subject}\"{using}'"]
    stricter = guarded.kind == "kvcore" and f"SUB {words}" in STRICTER
    with enter(guarded, "bob") as bob:
        said = lines(bob, f"SUB {words} 1\r\n")
        assert said == ([] if words in MAY_SUBSCRIBE and not stricter else told)


def test_every_stricter_rule_is_met_by_a_case() -> None:
    cases = {f"PUB {words}" for words in PUBLISHED} | {f"SUB {words}" for words in SUBSCRIBED}
    assert STRICTER.keys() <= cases


def test_what_is_denied_within_a_subscription_is_not_delivered(guarded: Server) -> None:
    with enter(guarded, "bob") as bob, enter(guarded, "root") as root:
        lines(bob, "SUB h.* 1\r\nSUB h.* w9 2\r\nSUB _INBOX.> 3\r\n")
        names = ["h.no", "h.yes", "h.quiet", "_INBOX.no.x", "_INBOX.ok"]
        lines(root, "".join(map(pub, names)))
        heard = sorted((d.subject, d.sid) for d in drained(bob))
        assert heard == [("_INBOX.ok", "3"), ("h.quiet", "1"), ("h.yes", "1"), ("h.yes", "2")]


def drained(wire: Wire) -> list:
    wire.send(b"PING\r\n")
    return wire.until("PONG")


def test_who_may_answer_may_do_so_as_often_as_granted(guarded: Server) -> None:
    with enter(guarded, "service") as service, enter(guarded, "root") as root:
        lines(service, "SUB svc 1\r\n")
        lines(root, "SUB _INBOX.> 1\r\n" + pub("svc _INBOX.1", "q"))
        drained(service)
        assert lines(service, pub("_INBOX.1", "a") + pub("_INBOX.1", "b")) == []
        for subject in ("_INBOX.1", "_INBOX.2", "svc"):
            told = f"-ERR 'Permissions Violation for Publish to \"{subject}\"'"
            assert lines(service, pub(subject)) == [told]
        assert [answer.payload for answer in drained(root)] == [b"a", b"b"]


@pytest.mark.parametrize(
    "hello",
    [
        "PING\r\n",
        "PUB a 0\r\n\r\n",
        "SUB a 1\r\n",
        "CONNECT {}\r\n",
        'CONNECT {"user":"bob","pass":"x"}\r\n',
        'CONNECT {"user":"eve","pass":""}\r\n',
        'CONNECT {"user":"bob","pass":"\\ud800"}\r\n',
        'CONNECT {"user":"hashed","pass":"\\ud800"}\r\n',
        f'CONNECT {{"user":"hashed","pass":"{HASH}"}}\r\n',
        f'CONNECT {{"nkey":"{PUBLIC}"}}\r\n',
        f'CONNECT {{"nkey":"{PUBLIC}","sig":"%"}}\r\n',
        f'CONNECT {{"nkey":"{PUBLIC}","sig":"{"A" * 86}"}}\r\n',
        f'CONNECT {{"nkey":"{PUBLIC}","user":"bob","pass":"bob"}}\r\n',
        'CONNECT {"nkey":"UX","sig":"AAAA"}\r\n',
    ],
)
def test_without_a_good_secret_nothing_is_answered(guarded: Server, hello: str) -> None:
    with Wire(guarded.port) as wire:
        assert lines(wire, hello) == ["-ERR 'Authorization Violation'", "closed"]


def test_silence_is_no_secret_either(guarded: Server) -> None:
    with Wire(guarded.port) as wire:
        assert str(wire.frame()).startswith("INFO")
        assert [wire.frame(), wire.frame()] == ["-ERR 'Authentication Timeout'", None]


def test_a_hash_opens_for_its_password(guarded: Server) -> None:
    with enter(guarded, "hashed") as wire:
        assert lines(wire, pub("plain")) == []
        told = ["-ERR 'Permissions Violation for Publish to \"other\"'"]
        assert lines(wire, pub("other")) == told


def test_the_nonce_is_new_each_time_and_no_signature_opens_twice(guarded: Server) -> None:
    with Wire(guarded.port) as first, Wire(guarded.port) as second:
        nonces = [json.loads(str(w.frame())[5:])["nonce"] for w in (first, second)]
        assert nonces[0] != nonces[1]
        assert [len(nonce) for nonce in nonces] == [15, 15]
        key = nkeys.from_seed(bytearray(SEED))
        signature = base64.b64encode(key.sign(nonces[0].encode())).decode()
        hello = f"CONNECT {options(nkey=PUBLIC, sig=signature)}\r\n"
        assert lines(second, hello) == ["-ERR 'Authorization Violation'", "closed"]
        assert lines(first, hello) == []
        told = ["-ERR 'Permissions Violation for Publish to \"x\"'"]
        assert lines(first, pub("k.a") + pub("x")) == told


def test_nats_py_signs_with_its_nkey_and_hears_of_violations(guarded: Server) -> None:
    async def talk() -> tuple[bytes, list[str]]:
        errors: list[str] = []

        async def on_error(error: Exception) -> None:
            errors.append(str(error))

        nc = await nats.connect(guarded.url, nkeys_seed_str=SEED.decode(), error_cb=on_error)

        async def answer(message: nats.aio.msg.Msg) -> None:
            await message.respond(b"yes")

        sub = await nc.subscribe("k.ask", cb=answer)
        with pytest.raises(nats.errors.TimeoutError):  # k.> alone: no answer to an inbox
            await nc.request("k.ask", b"", timeout=0.2)
        await sub.unsubscribe()
        echo = await nc.subscribe("k.echo")
        await nc.publish("k.echo", b"hello")
        heard = (await echo.next_msg(timeout=5)).data
        await nc.close()
        return heard, errors

    heard, errors = asyncio.run(talk())
    assert heard == b"hello"
    assert len(errors) == 1
    assert "permissions violation for publish to" in errors[0]


# Guests.


@pytest.mark.parametrize("kind", KINDS)
def test_no_auth_user_is_who_names_nobody(kind: str) -> None:
    if kind == "nats-server":
        require("go")
    text = """
    no_auth_user: guest
    authorization { users = [
      { user: guest, password: g, permissions { publish: "g", subscribe: "g" } }
      { user: root, password: r } ] }
    """
    denied = "-ERR 'Permissions Violation for Publish to \"x\"'"
    with running(kind, config=text) as server:
        with Wire(server.port) as early:
            info = json.loads(str(early.frame())[5:])
            assert "auth_required" not in info
            assert lines(early, pub("x")) == [denied]
        with Wire(server.port, options()) as guest:
            assert lines(guest, "SUB g 1\r\n" + pub("x")) == [denied]
        with Wire(server.port, options(user="root", **{"pass": "r"})) as root:
            assert lines(root, pub("x")) == []
        with Wire(server.port) as wrong:
            hello = f"CONNECT {options(user='root', **{'pass': 'g'})}\r\n"
            assert lines(wrong, hello) == ["-ERR 'Authorization Violation'", "closed"]


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.pair("server")


def secured(pair: Pair, authority: Authority, more: str = "") -> str:
    files = f'cert_file: "{pair.cert}", key_file: "{pair.key}", ca_file: "{authority.file}"'
    return f"tls {{ {files}, {more} }}\n"


async def put_and_get(url: str, context: ssl.SSLContext, *, first: bool = False) -> bytes:
    nc = await nats.connect(
        url,
        tls=context,
        tls_handshake_first=first,
        allow_reconnect=False,
        connect_timeout=5,
    )
    kv = await nc.jetstream().create_key_value(bucket="b")
    await kv.put("k", b"v" * 100_000)
    value = (await kv.get("k")).value
    await nc.close()
    assert value is not None
    return value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [False, True])
def test_nats_py_speaks_tls(kind: str, first: bool, authority: Authority, pair: Pair) -> None:
    if kind == "nats-server":
        require("go")
    text = secured(pair, authority, f"handshake_first: {str(first).lower()}")
    with running(kind, config=text) as server:
        url = f"tls://127.0.0.1:{server.port}"
        value = asyncio.run(put_and_get(url, authority.context(), first=first))
        assert value == b"v" * 100_000
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(put_and_get(url, ssl.create_default_context(), first=first))


@pytest.mark.parametrize("kind", KINDS)
def test_with_verify_a_client_needs_a_certificate_of_the_authority(
    kind: str, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    if kind == "nats-server":
        require("go")
    stranger = Authority(tmp_path, "stranger")
    foreign = authority.context(stranger.pair("mallory"))
    with running(kind, config=secured(pair, authority, "verify: true")) as server:
        with Wire(server.port) as wire:
            info = json.loads(str(wire.frame())[5:])
            assert (info["tls_required"], info["tls_verify"]) == (True, True)
        url = f"tls://127.0.0.1:{server.port}"
        known = authority.context(authority.pair("client"))
        assert asyncio.run(put_and_get(url, known))
        for context in (authority.context(), foreign):
            with pytest.raises((ssl.SSLError, OSError, nats.errors.Error)):
                asyncio.run(put_and_get(url, context))


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_goes_on_in_clear_is_let_go_unanswered(
    kind: str, authority: Authority, pair: Pair
) -> None:
    if kind == "nats-server":
        require("go")
    with running(kind, config=secured(pair, authority)) as server, Wire(server.port) as wire:
        wire.send(b"CONNECT {}\r\nPING\r\n")
        assert json.loads(str(wire.frame())[5:])["tls_required"] is True
        rest = bytearray()
        while wire.frame() is not None:
            rest += b"."
        assert b"PONG" not in wire.buffer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [False, True])
def test_a_handshake_that_never_comes_ends_in_time(
    kind: str, first: bool, authority: Authority, pair: Pair
) -> None:
    if kind == "nats-server":
        require("go")
    more = f"timeout: 0.3, handshake_first: {str(first).lower()}"
    with running(kind, config=secured(pair, authority, more)) as server, Wire(server.port) as wire:
        greeting = wire.frame()
        assert (greeting is None) == first
        assert first or wire.frame() is None
