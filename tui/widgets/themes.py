"""Two themes and the hues of the chart and marks: one set for dark, one for light terminals.

The hues follow Okabe and Ito's colour-blind safe set, shifted until each reaches a contrast of 4.5
on its background (tests hold that). No meaning rests on hue alone: each has its own glyph or word.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.theme import BUILTIN_THEMES, Theme

from planner.errors import unknown

DARK_HUES = {
    "hue-split": "#56B4E9",  # sky blue
    "hue-coloc": "#E69F00",  # orange
    "hue-chosen": "#F5F7FA",
    "hue-cursor": "#F0E442",  # yellow
    "hue-limit": "#B9A6D8",
    "hue-cloud": "#5B6675",
    "hue-axis": "#8792A2",
    "hue-muted": "#8792A2",
    "hue-good": "#2BBF94",  # bluish green
    "hue-tight": "#E6B422",
    "hue-bad": "#F0794A",  # vermillion
    "hue-band": "#1A212B",
}

LIGHT_HUES = {
    "hue-split": "#0072B2",  # blue
    "hue-coloc": "#A34F00",
    "hue-chosen": "#000000",
    "hue-cursor": "#8C3A73",
    "hue-limit": "#6A4C93",
    "hue-cloud": "#A3ABB5",
    "hue-axis": "#5A6470",
    "hue-muted": "#5A6470",
    "hue-good": "#00694D",
    "hue-tight": "#8A5A00",
    "hue-bad": "#B03A00",  # vermillion
    "hue-band": "#ECEFF3",
}

DARK = Theme(
    name="ratematch-dark",
    dark=True,
    primary="#56B4E9",
    secondary="#E69F00",
    accent="#56B4E9",
    warning="#E6B422",
    error="#F0794A",
    success="#2BBF94",
    foreground="#D9DFE7",
    background="#12161C",
    surface="#171C24",
    panel="#1F2732",
    variables={
        **DARK_HUES,
        "border": "#56B4E9",
        "border-blurred": "#36414F",
        "footer-background": "#171C24",
        "footer-key-foreground": "#56B4E9",
        "footer-description-foreground": "#8792A2",
        "scrollbar": "#2A3440",
        "scrollbar-background": "#12161C",
    },
)

LIGHT = Theme(
    name="ratematch-light",
    dark=False,
    primary="#0072B2",
    secondary="#A34F00",
    accent="#0072B2",
    warning="#8A5A00",
    error="#B03A00",
    success="#00694D",
    foreground="#1B2128",
    background="#FAFBFC",
    surface="#F1F3F6",
    panel="#E4E8ED",
    variables={
        **LIGHT_HUES,
        "border": "#0072B2",
        "border-blurred": "#C3CAD3",
        "footer-background": "#F1F3F6",
        "footer-key-foreground": "#0072B2",
        "footer-description-foreground": "#5A6470",
        "scrollbar": "#CBD2DA",
        "scrollbar-background": "#FAFBFC",
    },
)


def hues(dark: bool) -> dict[str, str]:
    """The hues for a dark or a light background; other themes than ours take these."""
    return DARK_HUES if dark else LIGHT_HUES


OURS = (DARK.name, LIGHT.name)


def theme_name(word: str, known: Iterable[str] = (*OURS, *BUILTIN_THEMES)) -> str:
    """The theme a user means by a word: dark, light, or a theme's own name.

    >>> theme_name("light"), theme_name("nord")
    ('ratematch-light', 'nord')

    Raises InputError for any other.
    """
    name = word.strip().lower()
    ours = {"dark": DARK.name, "light": LIGHT.name}
    if name in ours:
        return ours[name]
    known = tuple(known)
    if name not in known:
        raise unknown("theme", word, (*ours, *known))
    return name
