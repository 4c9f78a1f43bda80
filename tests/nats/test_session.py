"""The session's table of states is complete, and nothing moves outside it."""

import pytest

from kvcore.nats.auth import Gate, Identity, Known
from kvcore.nats.connect import ConnectOptions
from kvcore.nats.session import TRANSITIONS, Session, State, Step

OPEN = Gate({}, "", str.__eq__)
BOB = Known(Identity("bob"), "s3")
CLOSED = Gate({"bob": BOB}, "t0", str.__eq__)


def test_only_a_guarded_session_may_not_ping_and_a_closed_one_may_do_nothing() -> None:
    illegal = [(s, t) for s in State for t in Step if (s, t) not in TRANSITIONS]
    assert illegal == [
        (State.GUARDED, Step.PING),
        (State.CLOSED, Step.CONNECT),
        (State.CLOSED, Step.PING),
        (State.CLOSED, Step.END),
    ]


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached_and_every_living_one_can_end(state: State) -> None:
    starts = (State.GUARDED, State.GREETED)
    assert state in starts or state in TRANSITIONS.values()
    assert state is State.CLOSED or TRANSITIONS[state, Step.END] is State.CLOSED


def test_illegal_move_is_a_bug_and_says_so() -> None:
    session = Session(1, CLOSED, [])
    with pytest.raises(AssertionError, match="PING"):
        session.ping()


def test_session_with_something_to_say_is_listed_once_until_it_is_taken() -> None:
    dirty: list[Session] = []
    session = Session(1, OPEN, dirty)
    session.say(b"a")
    session.say(b"b")
    assert dirty == [session]
    assert session.take_output() == b"ab"
    dirty.clear()
    session.say(b"c")
    assert dirty == [session]


def test_ready_is_reached_by_the_first_ping_after_connect() -> None:
    session = Session(1, OPEN, [])
    assert not session.ping()
    session.connect(b'{"protocol":1}')
    assert not session.takes_info
    assert session.ping()
    assert session.takes_info
    assert not session.ping()


def test_gate_takes_a_token_or_a_known_name_with_its_password() -> None:
    def admits(**options: str) -> bool:
        return CLOSED.admits(ConnectOptions(**options))  # type: ignore[arg-type]

    assert admits(auth_token="t0")
    assert admits(user="bob", password="s3")
    assert not admits()
    assert not admits(auth_token="s3")
    assert not admits(user="bob", password="t0")
    assert not admits(user="eve", password="")
    assert not admits(user="eve", password="s3")
    assert OPEN.admits(ConnectOptions())


def test_unknown_name_is_compared_like_a_known_one() -> None:
    compared: list[tuple[str, str]] = []

    def check(given: str, expected: str) -> bool:
        compared.append((given, expected))
        return given == expected

    assert not Gate({"bob": BOB}, "", check).admits(ConnectOptions(user="eve", password=""))
    assert compared == [("", "s3")]


def test_secrets_show_in_no_repr() -> None:
    options = ConnectOptions(user="bob", password="s3", auth_token="t0")
    assert "s3" not in repr((CLOSED, options))
    assert "t0" not in repr((CLOSED, options))
