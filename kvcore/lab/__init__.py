"""What a notebook imports: `from kvcore.lab import Cluster, check, hint, predict, show`.

Each name is fetched from its module when it is first used, so that a lesson pays only for
what it shows and a broken optional library is met only where it is needed. No module here
has the name of an export: importing it would put the module in the function's place.

Left out: everything else. What is not in the table below is not the lessons' to use.
"""

from importlib import import_module

_HOME = {
    "Cluster": "kvcore.lab.cluster",
    "NotInThisWorld": "kvcore.lab.cluster",
    "run": "kvcore.lab.cluster",
    "check": "kvcore.lab.exercise",
    "hint": "kvcore.lab.exercise",
    "reveal": "kvcore.lab.exercise",
    "show_trace": "kvcore.lab.exercise",
    "use": "kvcore.lab.exercise",
    "outcome": "kvcore.lab.predictions",
    "predict": "kvcore.lab.predictions",
    "expectations": "kvcore.lab.compared",
    "expected": "kvcore.lab.compared",
    "preflight": "kvcore.lab.machine",
    "SecondPython": "kvcore.lab.second",
    "progress": "kvcore.lab.table",
    "show_source": "kvcore.lab.source",
    "show": "kvcore.viz.figure",
    "log_strip": "kvcore.viz.logstrip",
    "log_slider": "kvcore.viz.slider",
    "three_lanes": "kvcore.viz.lanes",
    "Lane": "kvcore.viz.lanes",
    "bars": "kvcore.viz.barchart",
    "Decision": "kvcore.viz.decisions",
    "decision_flow": "kvcore.viz.decisions",
    "bytes_view": "kvcore.viz.bytesview",
    "step_lines": "kvcore.viz.steplines",
    "View": "kvcore.viz.watchviews",
    "watch_views": "kvcore.viz.watchviews",
    "server_cards": "kvcore.lab.pictures",
    "group_nodes": "kvcore.lab.pictures",
    "group_logs": "kvcore.lab.stories",
    "group_pointers": "kvcore.lab.stories",
    "group_steps": "kvcore.lab.stories",
    "group_story": "kvcore.lab.stories",
    "Cores": "kvcore.lab.cores",
    "server_logs": "kvcore.viz.serverlogs",
    "server_ring": "kvcore.viz.ring",
    "truncations": "kvcore.viz.serverlogs",
    "Pointers": "kvcore.viz.serverlogs",
    "story_picture": "kvcore.viz.spacetime",
    "election_times": "kvcore.viz.replay",
    "election_histogram": "kvcore.viz.measured",
    "loss_curve": "kvcore.viz.measured",
    "SyncPoint": "kvcore.viz.measured",
    "heat_map": "kvcore.viz.heatmap",
    "Cell": "kvcore.viz.heatmap",
    "stacked_bars": "kvcore.viz.losses",
    "Kept": "kvcore.viz.losses",
    "disk_layers": "kvcore.viz.losses",
    "bucket_log": "kvcore.lab.pictures",
    "record": "kvcore.lab.exchanges",
    "told": "kvcore.lab.exchanges",
    "wire_picture": "kvcore.lab.exchanges",
    "Band": "kvcore.viz.spacetime",
    "control_panel": "kvcore.lab.panel",
    "fault_buttons": "kvcore.lab.panel",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"kvcore.lab has no {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
