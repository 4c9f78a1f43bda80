"""Who is connected and who listens to what: `/connz` and `/subsz`.

Both are pages. The plain order of connections is that of their numbers, in which the server
holds them, so such a page costs what is on it; another order looks at every connection once.
One answer names at most a page of subscriptions in sum, whoever they belong to: `subscriptions`
is the true count, and `/subsz` turns the pages.

Left out: connections that have ended, and what isn't measured of the living (round trips,
bytes that wait in the socket): to ask for those is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from kvcore import limits
from kvcore.jetstream.times import rfc3339
from kvcore.limits import Nanos
from kvcore.nats.session import Subscription
from kvcore.nats.subject import has_wildcard, is_valid_subject, overlaps
from kvcore.node.clients import ACCOUNT, Client
from kvcore.node.questions import Question, QuestionError
from kvcore.node.sight import Document, Sight, uptime

_KEYS: Mapping[str, Callable[[Client], int]] = {
    "subs": lambda client: -len(client.session.subscriptions),
    "msgs_to": lambda client: -client.session.out_msgs,
    "msgs_from": lambda client: -client.session.in_msgs,
    "bytes_to": lambda client: -client.session.out_bytes,
    "bytes_from": lambda client: -client.session.in_bytes,
    "last": lambda client: -client.last_in,
    "idle": lambda client: client.last_in,
    "uptime": lambda client: -client.since,
}
_AS_THEY_CAME = ("", "cid", "start")
_UNMEASURED = ("pending", "rtt", "stop", "reason")


def connz(sight: Sight, question: Question) -> Document:
    """The clients that are connected."""
    order, state = question.text("sort"), question.text("state").lower()
    if order in _UNMEASURED:
        raise QuestionError(f"can't sort by {order}: it is not measured")
    if order not in _KEYS and order not in _AS_THEY_CAME:
        raise QuestionError(f"invalid sorting option: {order}")
    if state != "open":
        raise QuestionError(f"can't show {state} connections: only open ones are kept")
    found: Iterable[Client] = sight.broker.clients.values()
    total = len(sight.broker.clients)
    if cid := question.number("cid"):
        found = [client for client in (sight.broker.clients.get(cid),) if client is not None]
    elif any(question.text(name) for name in ("user", "acc", "filter_subject")):
        found = [client for client in found if _is_wanted(client, question)]
        total = len(found)
    if order in _KEYS:
        found = sorted(found, key=_KEYS[order])
    offset, limit = question.offset, question.limit(limits.MONITOR_CONNECTIONS_COUNT)
    rooms = _Rooms()
    shown = [
        _connection(client, sight.now, question, rooms)
        for client in islice(found, offset, offset + limit)
    ]
    return {
        "server_id": sight.config.server_id,
        "now": rfc3339(sight.now),
        "num_connections": len(shown),
        "total": total,
        "offset": offset,
        "limit": limit,
        "connections": shown,
    }


def _is_wanted(client: Client, question: Question) -> bool:
    user, account = question.text("user"), question.text("acc")
    if (user and client.session.user != user) or account not in ("", ACCOUNT):
        return False
    wanted = question.text("filter_subject")
    subscriptions = client.session.subscriptions.values()
    return not wanted or any(overlaps(wanted, sub.subject) for sub in subscriptions)


class _Rooms:
    """How many subscriptions one answer may still name."""

    def __init__(self) -> None:
        self._left = limits.MONITOR_SUBSCRIPTIONS_COUNT

    def take(self, subscriptions: Iterable[Subscription]) -> list[Subscription]:
        """As many of them as there is room for."""
        taken = list(islice(subscriptions, self._left))
        self._left -= len(taken)
        return taken


def _connection(client: Client, now: Nanos, question: Question, rooms: _Rooms) -> Document:
    session = client.session
    said = session.options
    out: dict[str, object] = {
        "cid": client.conn,
        "kind": "Client",
        "type": "nats",
        "ip": client.host,
        "port": client.port,
        "start": rfc3339(client.since),
        "last_activity": rfc3339(client.last_in),
        "uptime": uptime(now - client.since),
        "idle": uptime(now - client.last_in),
        "in_msgs": session.in_msgs,
        "out_msgs": session.out_msgs,
        "in_bytes": session.in_bytes,
        "out_bytes": session.out_bytes,
        "subscriptions": len(session.subscriptions),
    }
    named = {"name": said.name, "lang": said.lang, "version": said.version}
    out |= {name: text for name, text in named.items() if text}
    if question.flag("auth"):
        out["account"] = ACCOUNT
        if session.user:
            out["authorized_user"] = session.user
    if question.flag("subs-detail"):
        out["subscriptions_list_detail"] = list(
            map(_detail, rooms.take(session.subscriptions.values()))
        )
    elif question.flag("subs"):
        out["subscriptions_list"] = [
            sub.subject for sub in rooms.take(session.subscriptions.values())
        ]
    return out


def _detail(sub: Subscription) -> Document:
    out: dict[str, object] = {"subject": sub.subject}
    if sub.queue:
        out["qgroup"] = sub.queue
    out |= {"sid": sub.sid, "msgs": sub.delivered}
    if sub.max:
        out["max"] = sub.max
    return {**out, "cid": sub.session.conn}


def subsz(sight: Sight, question: Question) -> Document:
    """The clients' subscriptions: their number, and with `subs` a page of them; with `test`
    those that a message on this subject would reach."""
    test = question.text("test")
    if test and (has_wildcard(test) or not is_valid_subject(test)):
        raise QuestionError(f"invalid test subject, must be valid publish subject: {test}")
    offset, limit = question.offset, question.limit(limits.MONITOR_SUBSCRIPTIONS_COUNT)
    count = sight.broker.stats.subscriptions
    out: dict[str, object] = {
        "server_id": sight.config.server_id,
        "now": rfc3339(sight.now),
        "num_subscriptions": count,
        "total": 0,
        "offset": offset,
        "limit": limit,
    }
    if question.flag("subs"):
        if question.text("acc") not in ("", ACCOUNT):
            found, total = [], 0
        elif test:
            takers = [sub for sub in sight.broker.takers(test) if isinstance(sub, Subscription)]
            found, total = takers[offset : offset + limit], len(takers)
        else:
            found, total = _page(sight, offset, limit), count
        out["total"] = total
        out["subscriptions_list"] = [{"account": ACCOUNT, **_detail(sub)} for sub in found]
    return out


def _page(sight: Sight, offset: int, limit: int) -> list[Subscription]:
    """A page of all subscriptions; clients before it are passed over as a whole."""
    found: list[Subscription] = []
    for client in sight.broker.clients.values():
        own = client.session.subscriptions
        if offset >= len(own):
            offset -= len(own)
            continue
        found += islice(own.values(), offset, offset + limit - len(found))
        offset = 0
        if len(found) >= limit:
            break
    return found
