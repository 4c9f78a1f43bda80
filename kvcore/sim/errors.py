"""What a simulated world refuses, and how it says that it is stuck.

Both errors are sentences for a learner: what happened, and what to do instead. They stand
apart so that the loop, the network and the lab can raise them without knowing each other.

Left out: errors of NATS itself. Those come from the client, as anywhere.
"""


class SentenceError(RuntimeError):
    """An error whose text says all: a notebook shows it without our frames."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class NotInThisWorld(SentenceError):  # noqa: N818 - a sentence, not a fault of the caller's code
    """This world lacks what was asked for; the text names the world that has it."""


class SimulationStalled(SentenceError):  # noqa: N818 - it names a state of the world
    """A statement waits for something that never comes; the text names what it waits for."""


def real_only(what: str) -> NotInThisWorld:
    """The refusal of a real socket, process or name look-up."""
    return NotInThisWorld(
        f"A simulated world has no {what}. "
        "Use Cluster.processes(1), whose servers are real processes on real sockets."
    )
