import re

import pytest

from kvcore.viz import tokens
from kvcore.viz.tokens import GRAPHIC_CONTRAST, TEXT_CONTRAST, TOKENS, contrast, named, stylesheet


def carriers(use):
    return [each for each in TOKENS if each.use == use]


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "fill"])
@pytest.mark.parametrize("token", carriers("text"), ids=lambda each: each.name)
def test_every_colour_that_carries_text_has_contrast_4_5_on_ground_and_fill(token, ground, theme):
    ratio = contrast(getattr(token, theme), getattr(named(ground), theme))
    assert ratio >= TEXT_CONTRAST, f"{ratio:.2f}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("token", carriers("graphic"), ids=lambda each: each.name)
def test_every_colour_that_carries_a_shape_has_contrast_3_on_the_ground(token, theme):
    ratio = contrast(getattr(token, theme), getattr(named("ground"), theme))
    assert ratio >= GRAPHIC_CONTRAST, f"{ratio:.2f}"


def test_grounds_are_white_and_nearly_black():
    assert (named("ground").light, named("ground").dark) == ("#FFFFFF", "#111111")


def test_every_role_has_a_sign_beside_its_colour():
    plain = {"ground", "ink", "line"}
    assert all(each.sign for each in TOKENS if each.name not in plain)


def test_style_sheet_follows_jupyterlab_and_else_the_system():
    css = stylesheet()
    light, dark = named("ink").light, named("ink").dark
    assert css.index(f"--kv-ink:{light}") < css.index("prefers-color-scheme:dark")
    told = re.findall(r'body\[data-jp-theme-light="(\w+)"\] \.kv\{[^}]*--kv-ink:(#\w+)', css)
    assert told == [("true", light), ("false", dark)]


def test_no_type_in_the_style_sheet_is_smaller_than_11_pixels():
    sizes = [int(size) for size in re.findall(r"font(?:-size)?:(\d+)px", stylesheet())]
    assert sizes
    assert min(sizes) >= 11


def test_plots_use_the_same_tokens():
    from kvcore.viz.plots import style

    for theme in ("light", "dark"):
        settings = style(theme)
        assert settings["figure.facecolor"] == getattr(named("ground"), theme)
        assert settings["text.color"] == getattr(named("ink"), theme)
        assert settings["font.size"] >= 11
        lines = list(settings["axes.prop_cycle"])
        assert len({str(each["linestyle"]) for each in lines}) == len(lines)
    assert tokens.named("leader").light in str(style()["axes.prop_cycle"])
