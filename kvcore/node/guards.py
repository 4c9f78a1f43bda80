"""Requests that nobody else would answer: who says so, and when.

In a cluster each verb of the API is heard by the leader it concerns, under its own subject
(`jetstream/api.py`), and all others keep silent; so each request has one answer. What is
left are requests whose leader isn't there. On every server a guard hears what that server's
own clients ask, and sees from the interest of all servers who else will hear it:

    about a stream whose leader listens               → silence: that one answers
    about a stream that has none, or one that
    doesn't listen yet                                → 10008, temporarily unavailable
    anything else, and the meta group's leader is known and listens → silence
    anything else                                     → 10008

The meta group's leader hears the verbs of all streams as well, by wildcard, and answers those
about streams that don't exist. Of one that exists it says nothing, led or not: only the server
of the client knows whether the request has found its leader.

A guard that answers keeps the request from the other servers. One may have begun to lead that
this one has not heard of, and there would be two answers.

Whoever asks how a stream is is told half a second later: by then there may be a leader, who
is then asked in its place. If there is none still, a server that holds the stream tells what
it has, without a leader's name, as nats-server does.

Left out: clients of a server that was cut off but has not noticed it yet, and requests that
are on their way to a leader while it steps down. They wait, for that is all that can be known.
"""

from collections import deque
from collections.abc import Callable

from kvcore import limits
from kvcore.jetstream.answers import Action
from kvcore.jetstream.api import Api, Asked, Scope, asked
from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.errors import SYSTEM_UNAVAILABLE
from kvcore.limits import Nanos
from kvcore.node.advising import Advisor
from kvcore.node.broker import Broker, InternalSubscription, Message
from kvcore.node.wakeups import Clock


class Guards:
    """One server's guard, and its ears as the meta group's leader.

    `on_request` takes requests that are the API's to answer as usual. `own` answers from this
    server's replicas, whoever leads them; `carry_out` does what it says.
    """

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        broker: Broker,
        clock: Clock,
        advisor: Advisor,
        api: Api,
        own: Api,
        view: ClusterView,
        on_request: Callable[[Message], None],
        carry_out: Callable[[list[Action]], None],
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._advisor = advisor
        self._api = api
        self._own = own
        self._view = view
        self._on_request = on_request
        self._carry_out = carry_out
        self._waiting: deque[tuple[Nanos, Message, Asked]] = deque()
        self._leading: list[InternalSubscription] = []
        for subject in api.subscriptions():
            broker.subscribe(subject, self._on_own_client, is_local=True)

    # -- as the meta group's leader --------------------------------------------------------

    def lead(self) -> None:
        """From now on this server answers for the cluster."""
        subscribe = self._broker.subscribe
        self._leading = [subscribe(each, self._on_any) for each in self._api.subscriptions()]

    def step_down(self) -> None:
        """Another does."""
        for subscription in self._leading:
            self._broker.unsubscribe(subscription)
        self._leading = []

    def _on_any(self, message: Message) -> None:
        what = asked(message.subject)
        if what is None:
            return
        if what.scope is not Scope.STREAM or what.stream not in self._view.streams():
            self._on_request(message)

    # -- as the server of those who ask ----------------------------------------------------

    def _on_own_client(self, message: Message) -> None:
        what = asked(message.subject)
        if what is None or message.source is None:
            return
        if what.scope is Scope.STREAM and what.stream in self._view.streams():
            if not self._is_led(what.stream):
                self._refuse(message, what)
        elif not (self._view.meta_leader() and self._broker.is_served(message.subject)):
            self._refuse(message, what)

    def _is_led(self, stream: str) -> bool:
        """Whether a stream has a leader that listens; to consumers each of them does."""
        listens = self._broker.is_served(f"$JS.FC.{stream}.-")
        return bool(self._view.leader_of(stream)) and listens

    def _refuse(self, message: Message, what: Asked) -> None:
        message.is_answered = True
        if what.waits and len(self._waiting) < limits.LEADERLESS_COUNT:
            self._waiting.append((self._clock.now + limits.LEADERLESS_WAIT_NS, message, what))
        else:
            self._unavailable(message, what)

    def _unavailable(self, message: Message, what: Asked) -> None:
        if message.reply:
            refusal = self._api.refused(what.what, SYSTEM_UNAVAILABLE)
            self._advisor.answer(message.reply, refusal)

    # -- those who wait --------------------------------------------------------------------

    def deadline(self) -> Nanos | None:
        """When somebody has waited long enough."""
        return self._waiting[0][0] if self._waiting else None

    def work(self) -> None:
        """Look again at what has waited."""
        while self._waiting and self._waiting[0][0] <= self._clock.now:
            _, message, what = self._waiting.popleft()
            if self._is_led(what.stream) or self._is_unknown(what):
                self._broker.publish(
                    message.subject, message.reply, message.header, message.payload
                )
            elif what.what == "stream_info" and self._view.holds(what.stream):
                found = self._own.handle(
                    message.subject, message.reply, message.payload, self._clock.now
                )
                self._carry_out(found)
            else:
                self._unavailable(message, what)

    def _is_unknown(self, what: Asked) -> bool:
        """Whether the meta group's leader is there by now to say that there is no such stream."""
        return bool(self._view.meta_leader()) and what.stream not in self._view.streams()
