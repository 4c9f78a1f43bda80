"""Buttons that do things to a cluster, beside a picture of it, for hands that would rather click.

Each button is one verb of the cluster, and the line of Python that does the same stands beside
it, so that a click is never a secret. A button that this world lacks can't be pressed, and says
why. The picture follows each click. A click while a cell runs is queued by the kernel and
carried out after it: nothing waits for a click, and no click is lost. Everything is reached
with the keyboard: tab goes from button to button, space presses.

Where nobody can answer (in tests, in a page made from the notebook) the picture alone is
shown, and the lines of Python.

Left out: verbs that few need twice (`cut`, `swap`, `rewind`): those are typed.
"""

from collections.abc import Callable
from html import escape
from typing import Any

from kvcore.lab.cluster import Cluster
from kvcore.lab.controls import SERVER_VERBS, Control, carry_out, controls
from kvcore.lab.pictures import look, server_cards
from kvcore.lab.simulated import SimulatedCluster
from kvcore.viz.figure import Picture, has_widgets, show, show_widget

_CLOSED = "this world is over: open the cluster and show its buttons anew"


def fault_buttons(cluster: SimulatedCluster, *verbs: str) -> None:
    """Shows the servers' cards and a button for each verb and server; default: crash, restart."""
    chosen = verbs or ("crash", "restart")
    unknown = [verb for verb in chosen if verb not in SERVER_VERBS]
    if unknown:
        raise ValueError(f"no button for {unknown[0]!r}; there are {', '.join(SERVER_VERBS)}")
    buttons = [Control(verb, server.name) for server in cluster.servers for verb in chosen]
    for each in buttons:
        print(f"the {each.verb} button is: {each.line}")
    if not has_widgets():
        show(server_cards(cluster))
        return
    import ipywidgets

    frame = _Frame(cluster, "", server_cards(cluster))
    row = []
    for each in buttons:
        tip = f"{each.verb.replace('_', ' ')} server {each.target}"
        button = ipywidgets.Button(description=each.words, tooltip=tip)
        button.on_click(lambda _button, each=each: frame.press(each))
        row.append(button)
    frame.show([ipywidgets.HBox(row)])


def control_panel(cluster: Cluster, *, bucket: str = "") -> None:
    """Shows the servers and a button for all that can be done to them; with `bucket` the cards
    are about its group, and its leader can be told to step down.
    """
    names = [server.name for server in cluster.servers]
    first = controls(cluster, server=names[0], side=names[:1], bucket=bucket)
    for each in first:
        print(f"{each.words}: {each.reason or each.line}")
    picture = server_cards(cluster, bucket)
    if has_widgets():
        _Panel(cluster, bucket, picture).show()
    else:
        show(picture)


class _Frame:
    """A picture that follows, and the line that says what was done."""

    def __init__(self, cluster: Cluster, bucket: str, picture: Picture) -> None:
        import ipywidgets

        self._cluster = cluster
        self._bucket = bucket
        self._first = picture
        self._picture = ipywidgets.HTML(picture.html())
        self._said = ipywidgets.HTML(_status(""))

    def show(self, rows: list[Any]) -> None:
        """Displays the rows over the picture."""
        import ipywidgets

        margin = {"margin": "8px 0 0 4px"}  # off the printed lines, in line with them
        panel = ipywidgets.VBox([*rows, self._said, self._picture], layout=margin)
        panel.add_class("kvcore-panel")
        show_widget(panel, self._first)

    def press(self, control: Control) -> None:
        """A click: carried out now, or after the cell that runs."""
        cluster = self._cluster
        if isinstance(cluster, SimulatedCluster) and cluster.simulation.closed:
            self.tell(_CLOSED)
            return
        cluster.call(self._carry_out(control))

    async def _carry_out(self, control: Control) -> None:
        await carry_out(self._cluster, control, self.tell)
        self._picture.value = (await look(self._cluster, self._bucket)).html()

    def tell(self, line: str) -> None:
        """What was done, for eyes and for screen readers."""
        self._said.value = _status(line)


class _Panel:
    """Every verb in a row of its own; who is meant is chosen above."""

    def __init__(self, cluster: Cluster, bucket: str, picture: Picture) -> None:
        import ipywidgets

        self._cluster = cluster
        self._bucket = bucket
        self._frame = _Frame(cluster, bucket, picture)
        names = [server.name for server in cluster.servers]
        narrow = {"button_width": "64px"}
        self._server = ipywidgets.ToggleButtons(
            options=names,
            style=narrow,
            tooltips=[f"act on {n}" for n in names],
        )
        self._sides = [
            ipywidgets.ToggleButton(
                value=name == names[0],
                description=name,
                tooltip=f"{name} is on the one side of a partition",
                layout={"width": "64px"},
            )
            for name in names
        ]
        self._rows: dict[str, tuple[Any, Any]] = {}
        self._chosen: dict[str, Control] = {}
        for each in self._controls():
            button = ipywidgets.Button(layout={"width": "150px"})
            button.on_click(self._pressed(each.verb))
            self._rows[each.verb] = button, ipywidgets.HTML("")
        self._update()
        self._server.observe(lambda _change: self._update(), names="value")
        for side in self._sides:
            side.observe(lambda _change: self._update(), names="value")

    def show(self) -> None:
        """Displays it: choice of server, its verbs, choice of a side, the network's verbs."""
        import ipywidgets

        rows = {verb: ipywidgets.HBox(list(row)) for verb, row in self._rows.items()}
        wide = {"width": "90px"}
        who, side = (ipywidgets.Label(words, layout=wide) for words in ("server", "one side"))
        self._frame.show(
            [
                ipywidgets.HBox([who, self._server]),
                *(rows[verb] for verb in SERVER_VERBS),
                ipywidgets.HBox([side, *self._sides]),
                *(row for verb, row in rows.items() if verb not in SERVER_VERBS),
            ]
        )

    def _controls(self) -> tuple[Control, ...]:
        side = [each.description for each in self._sides if each.value]
        return controls(self._cluster, server=self._server.value, side=side, bucket=self._bucket)

    def _pressed(self, verb: str) -> Callable[[Any], None]:
        return lambda _button: self._frame.press(self._chosen[verb])

    def _update(self) -> None:
        """Buttons and lines as they are for what is chosen now."""
        for side in self._sides:
            side.icon = "check" if side.value else ""
        for each in self._controls():
            self._chosen[each.verb] = each
            button, line = self._rows[each.verb]
            button.description = each.words
            button.disabled = bool(each.reason)
            button.tooltip = each.reason or each.line
            line.value = (
                f"<span>{escape(each.reason)}</span>"
                if each.reason
                else (f"<code>{escape(each.line)}</code>")
            )


def _status(line: str) -> str:
    return f'<code role="status">{escape(line, quote=False)}</code>'
