"""A log strip with a slider over its sequence: the same log at each moment of its life.

The final state is there without touching anything, and stays where nobody can answer: in a
page made from the notebook, in tests, on a code host. Where a front end answers, a slider
goes back in time; the line printed under the picture does the same in Python.

Left out: playing by itself. The reader sets the pace.
"""

from collections.abc import Sequence

from kvcore.viz.figure import has_widgets, show, show_widget
from kvcore.viz.logstrip import Entry, log_strip

HANDLE = "#0077B8"  # 3:1 and more on both grounds


def log_slider(entries: Sequence[Entry], *, title: str = "log", name: str = "entries") -> None:
    """Shows the final state, and a slider where there is a front end; `name` is the variable's."""
    log = list(entries)
    newest = max((each.revision for each in log), default=0)
    final = log_strip(log, title=title)
    in_python = f"any moment: show(log_strip({name}, upto={newest}))"
    if not log or not has_widgets():
        show(final)
        print(in_python)
        return
    import ipywidgets

    frame = ipywidgets.HTML(final.html())
    slider = ipywidgets.IntSlider(
        value=newest,
        min=min(each.revision for each in log),
        max=newest,
        description="revision",
        continuous_update=True,
    )
    slider.style.handle_color = HANDLE  # the theme's own is white on white

    def moved(change: dict[str, int]) -> None:
        frame.value = log_strip(log, title=title, upto=change["new"]).html()

    slider.observe(moved, names="value")
    show_widget(ipywidgets.VBox([slider, frame]), final)
    print(in_python)
