"""The lines that two servers exchange before either believes the other."""

from contextlib import suppress
from random import Random

import pytest

from kvcore import limits
from kvcore.server.handshake import (
    Handshake,
    HandshakeError,
    Introduction,
    read_introduction,
    refusal,
)

SECRET = b"secret\n0123456789abcdef"


def introduction(server, cluster="c", nonce="11", instance="i"):
    return Introduction(cluster, server, f"{instance}-{server}", nonce, "127.0.0.1:6222")


def end(server, *, is_dialer, key=SECRET, meet="", judge="", cluster="c", nonce="11"):
    met = []

    def meeting(peer):
        met.append(peer)
        return meet

    return Handshake(
        introduction(server, cluster, nonce),
        key,
        is_dialer=is_dialer,
        meet=meeting,
        judge=lambda _peer: judge,
    )


def converse(dialer, listener):
    """Carry bytes between both until neither has anything to say."""
    to_listener, to_dialer = dialer.begin(), listener.begin()
    said = [to_listener]
    while to_listener or to_dialer:
        to_dialer += listener.feed(to_listener) if to_listener else b""
        to_listener = dialer.feed(to_dialer) if to_dialer else b""
        said += [to_dialer, to_listener]
        to_dialer = b""
    return said


@pytest.mark.parametrize(("dialer", "listener"), [("n1", "n2"), ("n2", "n1")])
def test_two_who_know_the_secret_are_linked_whoever_dials(dialer, listener):
    a, b = end(dialer, is_dialer=True), end(listener, is_dialer=False)
    said = b"".join(converse(a, b))
    assert a.is_done
    assert b.is_done
    assert (a.peer.server, b.peer.server) == (listener, dialer)
    assert SECRET not in said
    assert b"0123456789abcdef" not in said


@pytest.mark.parametrize(
    ("dialer", "listener", "word"), [("n1", "n2", b"LINK\n"), ("n2", "n1", b"PROOF ")]
)
def test_the_smaller_name_has_the_last_word(dialer, listener, word):
    said = converse(end(dialer, is_dialer=True), end(listener, is_dialer=False))
    assert next(words for words in reversed(said) if words).startswith(word)


@pytest.mark.parametrize("key", [b"", b"secret\n0123456789abcdeF", b"user\na\nb"])
def test_who_does_not_know_the_secret_is_refused_by_either_end(key):
    with pytest.raises(HandshakeError, match="secret") as refused:
        converse(end("n1", is_dialer=True, key=key), end("n2", is_dialer=False))
    assert refused.value.code == "proof"
    # A listener that takes any proof still has to give its own.
    honest, forged = end("n1", is_dialer=True), end("n2", is_dialer=False, key=key)
    hello = forged.feed(honest.begin())
    honest.feed(hello)
    forged._waits_for = "introduction"
    with pytest.raises(HandshakeError, match="secret"):
        honest.feed(forged._proof("listener"))
    assert not honest.is_done


def test_the_dialer_proves_first_so_a_stranger_learns_no_proof():
    listener = end("n1", is_dialer=False)
    said = listener.feed(introduction("n2").line() + b"\n")
    assert b"PROOF" not in said
    with pytest.raises(HandshakeError):
        listener.feed(b"PROOF " + b"0" * 64 + b"\n")


def test_a_proof_is_good_for_one_link_one_direction_and_one_pair():
    a, b = end("n1", is_dialer=True, nonce="aa"), end("n2", is_dialer=False, nonce="bb")
    said = converse(a, b)
    proofs = [line for words in said for line in words.split(b"\n") if line.startswith(b"PROOF")]
    assert len(set(proofs)) == 2
    for proof in proofs:
        fresh = end("n2", is_dialer=False, nonce="cc")
        fresh.feed(introduction("n1", nonce="aa").line() + b"\n")
        with pytest.raises(HandshakeError, match="secret"):
            fresh.feed(proof + b"\n")
    mirror = end("n2", is_dialer=False, nonce="bb")  # our own words are no answer to us
    mirror.feed(introduction("n1", nonce="aa").line() + b"\n")
    with pytest.raises(HandshakeError, match="secret"):
        mirror.feed(proofs[1] + b"\n")


@pytest.mark.parametrize(
    ("field", "value"),
    [("cluster", "d"), ("server", "n4"), ("instance", "x"), ("nonce", "ff"), ("address", "h:1")],
)
def test_whatever_the_first_line_says_is_under_the_proof(field, value):
    """Somebody between the two changes one word: the proof no longer fits."""
    a, b = end("n1", is_dialer=True, nonce="aa"), end("n2", is_dialer=False, nonce="bb")
    words = a.begin().decode().split(" ")
    at = ["", "", "cluster", "server", "instance", "nonce", "address"].index(field)
    words[at] = value + ("\n" if at == 6 else "")
    with pytest.raises(HandshakeError) as refused:
        b.feed(a.feed(b.feed(" ".join(words).encode())))
    assert refused.value.code == ("cluster" if field == "cluster" else "proof")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"INFO {}", "no kvcore server"),
        (b"\xff\xfe", "no kvcore server"),
        (b"", "no kvcore server"),
        (b"KVCORE-ROUTE 2 c n i 1 h:1", "another version"),
        (b"KVCORE-ROUTE", "another version"),
        (b"KVCORE-ROUTE 1 c n i 1", "makes no sense"),
        (b"KVCORE-ROUTE 1 c n i 1 h:1 more", "makes no sense"),
        (b"KVCORE-ROUTE 1 c  i 1 h:1", "makes no sense"),
        (b"KVCORE-ROUTE 1 c n\x07 i 1 h:1", "makes no sense"),
        (b"KVCORE-ROUTE 1 c n i 1 h", "address"),
        (b"KVCORE-ROUTE 1 c n i 1 h:99999", "address"),
        (b"KVCORE-ROUTE 1 c n i 1 h:-1", "address"),
    ],
)
def test_a_first_line_that_no_server_says_is_refused(line, said):
    with pytest.raises(HandshakeError, match=said):
        read_introduction(line)


def test_a_line_is_bounded_before_it_ends():
    listener = end("n1", is_dialer=False)
    listener.feed(b"x" * limits.PEER_LINE_BYTES)
    with pytest.raises(HandshakeError, match="too long"):
        listener.feed(b"x")


def test_what_comes_behind_the_last_line_is_kept_for_the_link():
    a, b = end("n1", is_dialer=True), end("n2", is_dialer=False)
    proof = a.feed(b.feed(a.begin()))
    link = a.feed(b.feed(proof))
    b.feed(link + b"frames\n")
    assert b.rest == b"frames\n"


def test_the_lines_may_be_split_anywhere():
    for seed in range(50):
        rng = Random(seed)
        a, b = end("n1", is_dialer=True), end("n2", is_dialer=False)
        wires = {"a": a.begin(), "b": b""}
        while wires["a"] or wires["b"]:
            for mine, theirs, other in (("a", "b", b), ("b", "a", a)):
                size = rng.randint(0, min(9, len(wires[mine])))
                piece, wires[mine] = wires[mine][:size], wires[mine][size:]
                wires[theirs] += other.feed(piece)
        assert a.is_done
        assert b.is_done


@pytest.mark.parametrize("code", ["self", "name", "certificate", "silence"])
def test_who_is_not_welcome_gets_no_proof(code):
    listener = end("n1", is_dialer=False, meet=code)
    with pytest.raises(HandshakeError) as refused:
        listener.feed(introduction("n2").line() + b"\n")
    assert refused.value.code == code


def test_only_the_smaller_name_judges():
    a, b = end("n1", is_dialer=True, judge="duplicate"), end("n2", is_dialer=False)
    with pytest.raises(HandshakeError, match="Duplicate Route"):
        converse(a, b)
    assert not b.is_done
    a, b = end("n1", is_dialer=True), end("n2", is_dialer=False, judge="duplicate")
    converse(a, b)
    assert b.is_done


def test_the_other_ends_refusal_is_told_in_our_words():
    dialer = end("n1", is_dialer=True)
    dialer.begin()
    with pytest.raises(HandshakeError, match="--cluster_name"):
        dialer.feed(refusal("cluster"))
    dialer = end("n1", is_dialer=True)
    with pytest.raises(HandshakeError, match="without a reason"):
        dialer.feed(b"REFUSED " + b"\x1b[31m" * 20 + b"\n")
    assert refusal("anything else") == b""


def test_ten_thousand_forgeries_end_no_handshake_in_a_link():
    rng = Random(1)
    honest = introduction("n2", nonce="22").line() + b"\n"
    linked = 0
    for _ in range(10_000):
        listener = end("n1", is_dialer=False, nonce=rng.randbytes(16).hex())
        match rng.randrange(4):
            case 0:
                words = rng.randbytes(rng.randrange(200))
            case 1:
                words = honest + b"PROOF " + rng.randbytes(32).hex().encode() + b"\n" + b"LINK\n"
            case 2:
                words = honest + b"LINK\n" + rng.randbytes(40)
            case _:
                cut = bytearray(honest)
                cut[rng.randrange(len(cut))] = rng.randrange(256)
                words = bytes(cut) + b"PROOF " + b"0" * 64 + b"\nLINK\n"
        with suppress(HandshakeError):
            listener.feed(words)
        linked += listener.is_done
    assert linked == 0
