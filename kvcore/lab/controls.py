"""What can be done to a running cluster, each as one line of Python.

A panel of buttons is worth something if a click is never a secret: so a button is a `Control`,
the verb with what it is applied to, and the line that does the same. A verb that the world
lacks, or that needs a bucket when none is named, has a reason in place of its line.

`carry_out` does what a click asks for, and says what came of it. A click that would change
nothing (crash a server that is down) is told so.

Left out: buttons; see `panel.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nats.errors import Error as NatsError

from kvcore.lab.cluster import Cluster, NotInThisWorld

SERVER_VERBS = ("crash", "restart", "pause", "resume", "power_cut")
VERBS = (*SERVER_VERBS, "partition", "heal", "step_down")
_LEGAL = {  # in which states a server can be what the verb would do to it
    "crash": ("up", "paused"),
    "restart": ("up", "paused", "crashed", "without power"),
    "pause": ("up",),
    "resume": ("paused",),
    "power_cut": ("up", "paused"),
}


@dataclass(frozen=True, slots=True)
class Control:
    """One button: what it does, to what, and how to say that in Python."""

    verb: str
    target: str = ""  # a server, or a bucket
    side: tuple[str, ...] = ()  # of a partition
    reason: str = ""  # why it can't be pressed

    @property
    def words(self) -> str:
        """What stands on the button."""
        return f"{self.verb.replace('_', ' ')} {self.target}".rstrip()

    @property
    def line(self) -> str:
        """The line of Python that does the same."""
        if self.verb == "partition":
            return f"await cluster.partition({list(self.side)!r})".replace("'", '"')
        return (
            f'await cluster.{self.verb}("{self.target}")'
            if self.target
            else (f"await cluster.{self.verb}()")
        )


def controls(
    cluster: Cluster, *, server: str, side: Sequence[str] = (), bucket: str = ""
) -> tuple[Control, ...]:
    """Every button, for the server, the side of a partition and the bucket that are chosen."""
    chosen = []
    for verb in VERBS:
        lacks = cluster.lacking(verb)
        if verb in SERVER_VERBS:
            chosen.append(Control(verb, server, reason=lacks))
        elif verb == "partition":
            lacks = lacks or _no_side(cluster, side)
            chosen.append(Control(verb, side=tuple(side), reason=lacks))
        elif verb == "step_down":
            needs = "" if bucket else "name a bucket: control_panel(cluster, bucket=…)"
            chosen.append(Control(verb, bucket, reason=lacks or needs))
        else:
            chosen.append(Control(verb, reason=lacks))
    return tuple(chosen)


def _no_side(cluster: Cluster, side: Sequence[str]) -> str:
    count = len(cluster.servers)
    if count < 2:
        return "a partition needs two servers"
    return "" if 0 < len(side) < count else "choose who is on one side: some, not all"


async def carry_out(cluster: Cluster, control: Control, tell: Callable[[str], None]) -> None:
    """One click; `tell` hears the line of Python, or why nothing was done."""
    if control.verb in SERVER_VERBS:
        status = next(each.status for each in cluster.servers if each.name == control.target)
        if status not in _LEGAL[control.verb]:
            tell(f"{control.target} is {status}: {control.verb} would change nothing")
            return
    given = (control.side,) if control.verb == "partition" else (control.target,)
    try:
        await getattr(cluster, control.verb)(*filter(None, given))
    except (NatsError, NotInThisWorld, OSError, RuntimeError, TimeoutError, ValueError) as error:
        tell(f"{control.line} failed: {error or type(error).__name__}")
        return
    tell(control.line)
