"""A prediction before an experiment, and the comparison after it. Never scored.

Being wrong before a run teaches more than being told; so `predict` records an answer and
`outcome` puts it beside what happened. It works without anyone at the keyboard: the answer
is then "no prediction", and no cell waits for a click.

    predict("02b", "After a, b, a: which revision has the second a?", ["2", "3", "4"])
    ...
    outcome("02b", "3", because="all keys share the stream's sequence")

In a notebook a row of choices appears; the same can be said in Python, and the line that
says so is printed with it: `predict("02b", answer="3")`.

Left out: marks, and a reply that tells right from wrong before the run.
"""

from kvcore.lab import journal
from kvcore.lab.feedback import say
from kvcore.viz.figure import has_widgets, show_widget

NONE = "no prediction"

_asked: dict[str, tuple[str, ...]] = {}


class Prediction(str):
    """What was predicted. As the last value of a cell it shows nothing: all has been said."""

    __slots__ = ()

    def _ipython_display_(self) -> None:
        """Nothing."""


def predict(
    prediction_id: str,
    question: str = "",
    options: list[str] | tuple[str, ...] = (),
    *,
    answer: str | None = None,
) -> None:
    """Asks, with a row of choices where there is a front end. `answer` records one at once."""
    if options:
        _asked[prediction_id] = tuple(options)
    known = _asked.get(prediction_id, ())
    if answer is not None:
        if known and answer not in known:
            raise ValueError(f"{answer!r} is none of {', '.join(known)}")
        journal.predicted(prediction_id, answer)
    if question:
        say(f"Predict {prediction_id}: {question}")
        say("  " + "  ·  ".join(known))
        say(f'  the same in Python: predict("{prediction_id}", answer="{known[0]}")')
        _show_choices(prediction_id, question, known)


def outcome(prediction_id: str, result: object, *, because: str = "") -> None:
    """Puts the prediction beside what happened."""
    said = journal.predicted(prediction_id) or NONE
    what = str(result)
    if said == NONE:
        ending = ""
    else:
        ending = "  (as predicted)" if said == what else "  (not as predicted: why?)"
    say(f"  predicted  {said}")
    say(f"  happened   {what}{ending}")
    if because:
        say(f"  because    {because}")


def _show_choices(prediction_id: str, question: str, options: tuple[str, ...]) -> None:
    """Radio buttons, where there is a kernel with a front end that may answer."""
    if not has_widgets():
        return
    import ipywidgets

    said = journal.predicted(prediction_id)
    buttons = ipywidgets.RadioButtons(
        options=list(options),
        value=said if said in options else None,
        description="",
        layout=ipywidgets.Layout(width="max-content"),
    )

    def chosen(change: dict[str, object]) -> None:
        value = change.get("new")
        if isinstance(value, str):
            journal.predicted(prediction_id, value)

    buttons.observe(chosen, names="value")
    buttons.tooltip = question
    show_widget(buttons)
