"""How wide a text will be, before anybody draws it.

A picture has to know whether a label fits its box, and no font is at hand where it is made.
So this is a table: the advance of each character in DejaVu Sans, which is wider than the
fonts that most readers have. What fits by this table fits there too. Signs that the table
doesn't know count as wide ones.

    width("commit index 4", "small bold")     # in the picture's units; styles as in Canvas.text

Left out: kerning, and scripts other than Latin.
"""

_ADVANCE = {
    **dict.fromkeys("'ijlIJ", 0.29),
    **dict.fromkeys(" ,.·/:;\\|f", 0.35),
    **dict.fromkeys("-()[]t!r", 0.41),
    **dict.fromkeys('"*_`‖–sz?', 0.53),
    **dict.fromkeys("cLFk", 0.58),
    **dict.fromkeys("vxyPTYaoeESbdghnpqu$0123456789{}µ", 0.64),
    **dict.fromkeys("KAVBRXZC", 0.7),
    **dict.fromkeys("UHNDG▲▶&OQ", 0.79),
    **dict.fromkeys("w#+<=>^~×→✕✗←↑↓↻M●○", 0.87),
}
_WIDE = 1.0
_BOLD = 1.18  # DejaVu Sans Bold beside DejaVu Sans
_MONO = 0.605
_SIZES = {"small": 11.0, "big": 15.0}
_SIZE = 12.0


def width(text: str, style: str = "") -> float:
    """The width of `text`; `style` holds the style sheet's classes, as in `Canvas.text`."""
    classes = style.split()
    size = next((_SIZES[each] for each in classes if each in _SIZES), _SIZE)
    if "mono" in classes:
        return len(text) * _MONO * size
    advance = sum(_ADVANCE.get(each, _WIDE) for each in text) * size
    return advance * (_BOLD if "bold" in classes or "big" in classes else 1.0)


def shortened(text: str, room: float, style: str = "") -> str:
    """`text`, or as much of it as fits `room`, with … where the rest is missing."""
    if width(text, style) <= room:
        return text
    cut = text
    while len(cut) > 1 and width(cut + "…", style) > room:
        cut = cut[:-1]
    return cut.rstrip() + "…"


def lines(text: str, room: float, style: str = "") -> list[str]:
    """`text` in lines that fit `room`, broken at spaces; a word that is too long is shortened."""
    told: list[str] = []
    for word in text.split(" "):
        longer = f"{told[-1]} {word}" if told else word
        if told and width(longer, style) <= room:
            told[-1] = longer
        else:
            told.append(shortened(word, room, style))
    return told
