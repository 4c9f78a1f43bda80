"""Pictures: one visual language, each picture with a text twin.

A learner who has read one picture can read them all, and one who can't see it loses no fact:
every picture is an SVG with a title and a description, beside a table that says the same.
Colours are tokens (`tokens.py`), nothing is said by colour alone, and the same facts give the
same bytes, so that a notebook's outputs can be compared.

    show(log_strip(entries, commit=4))

Left out: dense plots, which matplotlib draws with the same tokens (`plots.py`), and motion.
"""

from importlib import import_module

_HOME = {
    "Decision": "kvcore.viz.decisions",
    "Cell": "kvcore.viz.heatmap",
    "Entry": "kvcore.viz.logstrip",
    "Kept": "kvcore.viz.losses",
    "Lane": "kvcore.viz.lanes",
    "Node": "kvcore.viz.nodecard",
    "Band": "kvcore.viz.spacetime",
    "LogEntry": "kvcore.viz.serverlogs",
    "Mark": "kvcore.viz.spacetime",
    "Message": "kvcore.viz.spacetime",
    "Operation": "kvcore.viz.spacetime",
    "Outage": "kvcore.viz.spacetime",
    "Plot": "kvcore.viz.figure",
    "Pointers": "kvcore.viz.serverlogs",
    "Reign": "kvcore.viz.spacetime",
    "ServerLog": "kvcore.viz.serverlogs",
    "Story": "kvcore.viz.spacetime",
    "Picture": "kvcore.viz.figure",
    "SyncPoint": "kvcore.viz.measured",
    "Table": "kvcore.viz.figure",
    "bars": "kvcore.viz.barchart",
    "bytes_view": "kvcore.viz.bytesview",
    "decision_flow": "kvcore.viz.decisions",
    "heat_map": "kvcore.viz.heatmap",
    "log_slider": "kvcore.viz.slider",
    "log_strip": "kvcore.viz.logstrip",
    "loss_curve": "kvcore.viz.measured",
    "node_card": "kvcore.viz.nodecard",
    "node_cards": "kvcore.viz.nodecard",
    "disk_layers": "kvcore.viz.losses",
    "election_histogram": "kvcore.viz.measured",
    "election_times": "kvcore.viz.replay",
    "logs_at": "kvcore.viz.replay",
    "nodes_at": "kvcore.viz.replay",
    "server_logs": "kvcore.viz.serverlogs",
    "server_ring": "kvcore.viz.ring",
    "show": "kvcore.viz.figure",
    "space_time": "kvcore.viz.spacetime",
    "stacked_bars": "kvcore.viz.losses",
    "story_of": "kvcore.viz.storyline",
    "story_picture": "kvcore.viz.spacetime",
    "truncations": "kvcore.viz.serverlogs",
    "step_lines": "kvcore.viz.steplines",
    "View": "kvcore.viz.watchviews",
    "watch_views": "kvcore.viz.watchviews",
    "three_lanes": "kvcore.viz.lanes",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"kvcore.viz has no {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
