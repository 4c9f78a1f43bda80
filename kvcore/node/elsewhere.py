"""Who wants messages on other servers, and the one frame that each of those servers gets.

Each server tells its peers what somebody on it wants. That interest stands in a tree of its
own, beside that of our own clients and streams, with the link as the taker. Two trees make
the rule of one hop plain: what comes from a client is looked up in both, what comes from a
peer only in ours. So nothing goes round, however many servers there are.

    here       a.* → client 5          elsewhere   a.b → link B
               a.b, queue q → client 6              a.b, queue q → link B, link C

A server with three subscribers gets a message once. The frame says whether its plain takers
are to have it, and names the queue groups of which it is to serve one member. A group with a
member here is served here; the others go to the server that chance picks.

A server's own interest (a stream, the API) and its clients' are told apart, since some
messages are for clients alone, and some questions are about servers alone.

Left out: weights. A server with many members of a group gets no more than one with a single one.
"""

from collections.abc import Container, Sequence
from random import Random

from kvcore.nats.interest import Interest
from kvcore.nats.replies import Routed
from kvcore.node import frames
from kvcore.node.links import Link


class PeerSubscription:
    """A peer's wish to hear a subject; however many want it there, it is one."""

    __slots__ = ("is_server", "link", "queue", "subject")

    def __init__(self, link: Link, subject: str, queue: str, *, is_server: bool) -> None:
        self.link = link
        self.subject = subject
        self.queue = queue
        self.is_server = is_server

    def __repr__(self) -> str:
        return f"PeerSubscription({self.link.peer!r}, {self.subject!r}, {self.queue!r})"


class Elsewhere:
    """The interest of all peers."""

    def __init__(self, rng: Random) -> None:
        self.interest: Interest[PeerSubscription] = Interest()
        self._rng = rng

    def send(
        self,
        to: str,
        message: Routed,
        *,
        served: Container[str] = (),
        clients_only: bool = False,
        user: str = "",
    ) -> int:
        """Gives a message to each peer that wants subject `to`; how many took it.

        `message` is as in `Routed`; `served` names the queue groups that had it already, `user`
        who published it, if he may not do everything.
        """
        match = self.interest.match(to)
        wanted: dict[Link, list[str]] = {}
        plain: dict[Link, None] = {}
        for sub in match.plain:
            if not (sub.link.is_over or (clients_only and sub.is_server)):
                plain[sub.link] = None
        for members in match.queues:
            if members[0].queue in served:
                continue
            links = [
                sub.link
                for sub in members
                if not (sub.link.is_over or (clients_only and sub.is_server))
            ]
            if links:
                at = self._rng.randrange(len(links)) if len(links) > 1 else 0
                wanted.setdefault(links[at], []).append(members[0].queue)
        return self._carry(message, plain, wanted, clients_only=clients_only, user=user)

    def _carry(
        self,
        message: Routed,
        plain: dict[Link, None],
        wanted: dict[Link, list[str]],
        *,
        clients_only: bool,
        user: str,
    ) -> int:
        """One frame for each link; those who get the same share its bytes."""
        count, shared = 0, None
        to, subject, reply, header, payload = message
        size = len(payload) + (len(header) if header is not None else 0)
        for link in plain:
            if link in wanted:
                continue
            shared = shared or frames.carried(
                to, subject, reply, header, payload, clients_only=clients_only, user=user
            )
            if shared is None:
                return 0
            count += link.carry(shared, size)
        for link, queues in wanted.items():
            frame = frames.carried(
                to, subject, reply, header, payload,
                is_plain=link in plain, queues=tuple(queues), clients_only=clients_only,
                user=user,
            )  # fmt: skip
            count += frame is not None and link.carry(frame, size)
        return count

    def only_link(self, to: str) -> Link | None:
        """The one link that a run of messages for clients goes to, if there is just one."""
        match = self.interest.match(to)
        if match.queues:
            return None
        links = {sub.link: None for sub in match.plain if self._is_client(sub)}
        return next(iter(links)) if len(links) == 1 else None

    def send_run(self, link: Link, run: Sequence[Routed]) -> None:
        """Gives many messages that lead to one subject to the one peer that wants it."""
        for to, subject, reply, header, payload in run:
            frame = frames.carried(to, subject, reply, header, payload, clients_only=True)
            if frame is not None:
                link.carry(frame, len(payload) + (len(header) if header is not None else 0))

    def clients(self, subject: str) -> list[PeerSubscription]:
        """What peers want of a subject for their clients, members of queues included."""
        match = self.interest.match(subject)
        found = [sub for sub in match.plain if self._is_client(sub)]
        for members in match.queues:
            found += [sub for sub in members if self._is_client(sub)]
        return found

    def has_interest(self, subject: str) -> bool:
        """Whether anyone elsewhere wants it."""
        match = self.interest.match(subject)
        if any(not sub.link.is_over for sub in match.plain):
            return True
        return any(not sub.link.is_over for members in match.queues for sub in members)

    def is_served(self, subject: str) -> bool:
        """Whether another server's own subscribers want it."""
        match = self.interest.match(subject)
        if any(sub.is_server and not sub.link.is_over for sub in match.plain):
            return True
        return any(
            sub.is_server and not sub.link.is_over for members in match.queues for sub in members
        )

    def servers(self, subject: str) -> list[str]:
        """The peers that want this very subject for themselves, not by a wildcard."""
        found = self.interest.match(subject).plain
        mine = (sub for sub in found if sub.is_server and not sub.link.is_over)
        return [sub.link.peer for sub in mine if sub.subject == subject]

    @staticmethod
    def _is_client(sub: PeerSubscription) -> bool:
        return not (sub.is_server or sub.link.is_over)
