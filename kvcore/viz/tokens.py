"""Every colour of every picture, once, for a light and a dark ground.

Roles have colours (a leader is blue wherever it appears), and each is measured: what carries
text has a contrast of at least 4.5:1 against its ground, what carries a shape at least 3:1
(tests/viz). A colour never stands alone: `sign` names the word, shape or dash beside it.

The style sheet sets CSS variables: JupyterLab says on its body which theme is on; a page
without that follows the reader's system.

Left out: hues for terms. Terms are numbers.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Use: TypeAlias = Literal["text", "graphic", "ground", "fill"]

TEXT_CONTRAST = 4.5
GRAPHIC_CONTRAST = 3.0


@dataclass(frozen=True, slots=True)
class Token:
    """A colour by its role. `use` says what it may carry, and so which contrast it needs."""

    name: str
    light: str
    dark: str
    use: Use
    sign: str


TOKENS = (
    Token("ground", "#FFFFFF", "#111111", "ground", ""),
    Token("fill", "#EDF0F3", "#262B30", "fill", "solid edge: committed"),
    Token("ink", "#1A1D21", "#E8EAED", "text", ""),
    Token("line", "#8A939C", "#6F7982", "graphic", ""),
    Token("leader", "#0067A5", "#56B4E9", "text", "▲ and the word"),
    Token("follower", "#5A6570", "#A8B3BD", "text", "the word"),
    Token("candidate", "#B84A00", "#E69F00", "text", "vote dots and the word"),
    Token("client", "#00735A", "#35C79B", "text", "its own lane"),
    Token("lost", "#B3005E", "#F781BF", "text", "×, strike-through and the word"),
    Token("unknown", "#7A5B00", "#D9C34A", "text", "dotted edge and ?"),
    Token("key1", "#4A50B5", "#A5ABFF", "text", "the key's name, a solid bar"),
    Token("key2", "#8A4B20", "#E0A878", "text", "the key's name, a dashed bar"),
    Token("key3", "#5B6A00", "#C3CF6A", "text", "the key's name, a dotted bar"),
    Token("key4", "#8A3C7E", "#E3A0D8", "text", "the key's name, a bar of two lengths"),
)

_SANS = 'system-ui,"Segoe UI","Helvetica Neue","DejaVu Sans",Arial,sans-serif'
_MONO = 'ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace'


def named(name: str) -> Token:
    """The token of that name."""
    return next(each for each in TOKENS if each.name == name)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""
    lights = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    low = 0.04045
    linear = [c / 12.92 if c <= low else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def stylesheet() -> str:
    """The one style sheet: variables for both themes, then what the pictures are made of."""
    light = "".join(f"--kv-{each.name}:{each.light};" for each in TOKENS)
    dark = "".join(f"--kv-{each.name}:{each.dark};" for each in TOKENS)
    fills = "".join(
        f".kv .{each.name}{{fill:var(--kv-{each.name})}}"
        f".kv .{each.name}-edge{{stroke:var(--kv-{each.name});fill:none}}"
        for each in TOKENS
    )
    texts = "".join(
        f".kv text.{each.name}{{fill:var(--kv-{each.name})}}"
        for each in TOKENS
        if each.use == "text"
    )
    return (
        f".kv{{{light}}}"
        f"@media (prefers-color-scheme:dark){{.kv{{{dark}}}}}"
        f'body[data-jp-theme-light="true"] .kv{{{light}}}'
        f'body[data-jp-theme-light="false"] .kv{{{dark}}}'
        f"{fills}"
        f".kv text{{font:12px {_SANS};fill:var(--kv-ink)}}"
        f".kv text.small{{font-size:11px}}.kv text.bold{{font-weight:700}}"
        f".kv text.big{{font-size:15px;font-weight:700}}"
        f".kv text.mono{{font-family:{_MONO}}}"
        f"{texts}"
        ".kv .boxed{fill:var(--kv-fill)}.kv .dashed{stroke-dasharray:5 3}"
        ".kv text.halo{paint-order:stroke;stroke:var(--kv-ground);stroke-width:3px}"
        ".kv .dotted{stroke-dasharray:2 3}.kv .struck{text-decoration:line-through}"
        f"div.kv{{font:12px {_SANS};max-width:720px;"
        "color:var(--kv-ink);background:var(--kv-ground)}"
        ".kv details{margin:4px 8px 8px}.kv summary{cursor:pointer;font-size:12px}"
        ".kv summary:focus-visible{outline:2px solid var(--kv-leader);outline-offset:2px}"
        ".kv table{border-collapse:collapse;font-size:12px;margin:6px 0;color:var(--kv-ink)}"
        ".kv th,.kv td{border:1px solid var(--kv-line);padding:3px 8px;text-align:left;"
        "vertical-align:top;white-space:pre-wrap;background:var(--kv-ground)}"
        ".kv svg{display:block;max-width:100%;height:auto}"
    )
