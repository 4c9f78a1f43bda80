"""Fault buttons beside a picture of the servers, for hands that would rather click.

Each button is one verb of the cluster, and prints the line of Python that does the same, so
that a click is never a secret. The picture follows. A click while a cell runs is queued by
the kernel and carried out after it: nothing waits for a click, and no click is lost.

Where nobody can answer (in tests, in a page made from the notebook) the picture alone is
shown, and the lines of Python.

Left out: verbs that need an argument beyond a server's name.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from kvcore.lab.pictures import server_cards
from kvcore.lab.simulated import SimulatedCluster
from kvcore.viz.figure import has_widgets, show, show_widget

VERBS = ("crash", "restart", "pause", "resume", "power_cut")


def fault_buttons(cluster: SimulatedCluster, *verbs: str) -> None:
    """Shows the servers' cards and a button for each verb and server; default: crash, restart."""
    chosen = verbs or ("crash", "restart")
    unknown = [verb for verb in chosen if verb not in VERBS]
    if unknown:
        raise ValueError(f"no button for {unknown[0]!r}; there are {', '.join(VERBS)}")
    calls = [(verb, name) for name in cluster.simulation.hosts for verb in chosen]
    for verb, name in calls:
        print(f'the {verb} button is: await cluster.{verb}("{name}")')
    if has_widgets():
        _display(cluster, calls)
    else:
        show(server_cards(cluster))


def _display(cluster: SimulatedCluster, calls: list[tuple[str, str]]) -> None:
    import ipywidgets

    cards = server_cards(cluster)
    picture = ipywidgets.HTML(cards.html())
    said = ipywidgets.HTML("")
    buttons = []
    for verb, name in calls:
        words = verb.replace("_", " ")
        button = ipywidgets.Button(description=f"{words} {name}", tooltip=f"{words} server {name}")
        button.on_click(_handler(cluster, verb, name, picture, said))
        buttons.append(button)
    panel = ipywidgets.VBox([ipywidgets.HBox(buttons), said, picture])
    panel.add_class("kvcore-panel")
    show_widget(panel, cards)


def _handler(
    cluster: SimulatedCluster, verb: str, name: str, picture: Any, said: Any
) -> Callable[[Any], None]:
    def clicked(_button: Any) -> None:
        if cluster.simulation.closed:
            said.value = (
                "<code>this world is over: open the cluster and show its buttons anew</code>"
            )
            return
        cluster.call(carry_out(cluster, verb, name, partial(_tell, cluster, picture, said)))

    return clicked


async def carry_out(
    cluster: SimulatedCluster, verb: str, name: str, tell: Callable[[str], None]
) -> None:
    """One click: the verb, unless the server is not in a state for it, then what to say."""
    state = cluster.simulation.hosts[name].state.value
    legal = {
        "crash": state in ("up", "paused"),
        "restart": state in ("crashed", "without power"),
        "pause": state == "up",
        "resume": state == "paused",
        "power_cut": state != "without power",
    }[verb]
    if not legal:
        tell(f"{name} is {state}: {verb} would change nothing")
        return
    await getattr(cluster, verb)(name)
    tell(f'await cluster.{verb}("{name}")')


def _tell(cluster: SimulatedCluster, picture: Any, said: Any, line: str) -> None:
    said.value = f"<code>{line}</code>"
    picture.value = server_cards(cluster).html()
