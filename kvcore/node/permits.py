"""What a client may have the server say in its name.

A client's permissions would be worth little if the server itself could be sent where the
client must not go. A request names such places: its reply, the subject to which a consumer
delivers, the one that a stream republishes to, the one that a backup is sent to. Each must
be one that the client itself may hear or say. The reply is judged with the message
(`nats/session.py`); the others stand in the request's JSON, and are judged here, before the
request reaches the API, so that no part of the API need know of permissions.

Field names are compared without regard to case, as the API does, and wherever they stand: a
request that says the same thing twice is judged by both.

Left out: who asked for a consumer that stands already. What was permitted once goes on.
"""

import re

from kvcore.nats.json_text import Json, loads
from kvcore.nats.ops import Pub
from kvcore.nats.session import Session

_API = "$JS.API."
_TEMPLATE = re.compile(r"\{\{[^}]*\}\}|\$\d+")  # what becomes of a token is known later


def is_permitted(session: Session, op: Pub) -> bool:
    """Whether a PUB may go on its way; if not, the client was told why."""
    if not session.may_publish(op):
        return False
    rights = session.rights
    if rights is None or not op.subject.startswith(_API):
        return True
    for subject in targets(op.payload):
        if not rights.may_be_answered(subject):
            return session.deny_publish(subject)
    return True


def targets(payload: bytes) -> list[str]:
    """The subjects in a request to which the server would publish; none in what is no JSON."""
    try:
        document = loads(payload)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    _collect(document, found, republishes=False)
    return found


def _collect(value: Json, found: list[str], *, republishes: bool) -> None:
    if isinstance(value, list):
        for item in value:
            _collect(item, found, republishes=republishes)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = key.casefold()
            if isinstance(item, str):
                if item and (name == "deliver_subject" or (republishes and name == "dest")):
                    found.append(_pattern(item))
            else:
                _collect(item, found, republishes=name == "republish")


def _pattern(destination: str) -> str:
    """All subjects that a destination may turn into."""
    words = destination.split(".")
    return ".".join("*" if _TEMPLATE.search(word) else word for word in words)
