"""What a client may have the server say in its name.

A client's permissions would be worth little if the server could be sent where the client
must not go. A request names such places: its reply, the subject to which a consumer
delivers, the one that a stream republishes to, the one that a backup is sent to. The rule:

    the client may publish there itself, or
    it may subscribe there, and nothing of the server's own listens there

The second case is an inbox: most clients may hear theirs and not publish to it. But an
answer sent to a bucket's subject would be a write to the bucket, and a request to the API
that sends its answer to the API would be another request. What a stream republishes is
published, so there the first case alone will do.

Names of fields are compared without regard to case, and wherever they stand: a request that
says a thing twice is judged by both. That is done here, before the request reaches the API,
so that no part of the API need know of permissions. A backup that comes back has
configurations in it, which are judged in the same way when they come (`restores.py`).

nats-server judges none of these places; docs/differences.md says so.

Left out: who asked for a consumer that stands already. What was permitted once goes on.
"""

import re
from collections.abc import Callable, Iterator

from kvcore.nats.json_text import Json, loads
from kvcore.nats.ops import Pub
from kvcore.nats.permissions import Rights
from kvcore.nats.session import Session

_API = "$JS.API."
_TEMPLATE = re.compile(r"\{\{.*\}\}|\$\d+")  # what becomes of such a token is known later


def is_permitted(session: Session, op: Pub, is_served: Callable[[str], bool]) -> bool:
    """Whether a PUB may go on its way; if not, the client was told why.

    `is_served` knows whether the server itself listens to a subject.
    """
    if not session.may_publish(op):
        return False
    rights = session.rights
    if rights is None:
        return True
    if op.reply and not _may_speak(rights, op.reply, is_served):
        return session.deny_reply(op.reply)
    if op.subject.startswith(_API) and (subject := denied(rights, op.payload, is_served)):
        return session.deny_publish(subject)
    return True


def denied(rights: Rights, payload: bytes, is_served: Callable[[str], bool]) -> str:
    """The first place where a request, or a configuration in a backup, would have the server
    speak and its client may not; empty if there is none."""
    for subject, is_published in targets(payload):
        if is_published:
            is_allowed = rights.may_say_all(subject)
        else:
            is_allowed = _may_speak(rights, subject, is_served)
        if not is_allowed:
            return subject
    return ""


def _may_speak(rights: Rights, subject: str, is_served: Callable[[str], bool]) -> bool:
    if rights.may_say_all(subject):
        return True
    return rights.may_hear_all(subject) and not is_served(subject)


def targets(payload: bytes) -> list[tuple[str, bool]]:
    """Where a request would have the server speak, and whether by publishing; JSON or not."""
    try:
        document = loads(payload)
    except (ValueError, RecursionError):
        return []
    return list(_found(document, republishes=False))


def _found(value: Json, *, republishes: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(value, list):
        for item in value:
            yield from _found(item, republishes=republishes)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = key.casefold()
            if not isinstance(item, str):
                yield from _found(item, republishes=name == "republish")
            elif item and name == "deliver_subject":
                yield item, False
            elif item and republishes and name == "dest":
                yield _pattern(item), True


def _pattern(destination: str) -> str:
    """All subjects that a destination may turn into."""
    words = destination.split(".")
    return ".".join("*" if _TEMPLATE.search(word) else word for word in words)
