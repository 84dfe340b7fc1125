"""A guess beside the result, as a picture with one sentence."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from lbsim.plot.style import COLOURS, axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["choice", "number", "order", "right_option"]

GUESS, RESULT, OTHER = COLOURS[1], COLOURS[0], "0.75"
CLOSE = 1.1  # a guess within this factor counts as right
WIDE = 20.0  # from this factor on, guess and result need a log axis
LETTER, LINES = 0.085, 1.4  # inches: a letter, and the lines between two orders


def number(guess: float | None, result: float, unit: str, ax: "Axes | None" = None) -> "Axes":
    """Draw a guessed number above the result, on one axis."""
    ax = axes(ax, (6.4, 1.7))
    marks = [("your guess", guess, GUESS, "D"), ("the result", result, RESULT, "o")]
    values = [value for _, value, _, _ in marks if value is not None]
    is_log = min(values) > 0.0 and max(values) > WIDE * min(values)
    for y, (_, value, colour, marker) in enumerate(marks):
        if value is None:
            continue
        if not is_log:
            ax.plot([0.0, value], [y, y], color=colour, linewidth=3, alpha=0.35)
        ax.plot([value], [y], marker, color=colour, markersize=9)
        _beside(ax, value, y, _with_unit(value, unit), "left")
    if is_log:
        ax.set_xscale("log")
        ax.set_xlim(min(values) / 2.0, max(values) * 4.0)
    else:
        # Room for the text beside the mark.
        low, high = min(0.0, *values), max(0.0, *values)
        ax.set_xlim(low, high + 0.25 * (high - low or 1.0))
    ax.set_yticks(range(2), [label for label, *_ in marks])
    ax.set_ylim(1.6, -0.6)
    ax.set_xlabel(unit)
    return _titled(tidy(ax), _verdict(guess, result, unit))


def choice(
    guess: str | None, figures: Mapping[str, float], unit: str, ax: "Axes | None" = None
) -> "Axes":
    """Draw the figure of every option, right one first; the guessed one is marked."""
    ax = axes(ax, (6.4, 1.1 + 0.36 * len(figures)))
    names = list(figures)
    for y, (name, value) in enumerate(figures.items()):
        ax.barh(y, value, height=0.6, color=RESULT if y == 0 else OTHER)
        text = _with_unit(value, unit) + ("   ◀ your guess" if name == guess else "")
        colour = GUESS if name == guess else "0.2"
        _beside(ax, max(value, 0.0), y, text, "left", colour)
    _rows(ax, names)
    top = max(*figures.values(), 0.0)
    ax.set_xlim(min(*figures.values(), 0.0), 1.45 * top if top > 0.0 else 1.0)
    ax.set_xlabel(unit)
    return _titled(tidy(ax), _said(guess, names[0]))


def right_option(
    guess: str | None, right: str, options: Sequence[str], ax: "Axes | None" = None
) -> "Axes":
    """Draw the options as a list: which one was right, which one was guessed."""
    ax = axes(ax, (6.4, 0.8 + 0.32 * len(options)))
    for y, name in enumerate(options):
        ax.plot([0.0], [y], "o", color=RESULT, fillstyle="full" if name == right else "none", ms=10)
        text = ("it was this one" if name == right else "") + (
            "  ◀ your guess" if name == guess else ""
        )
        _beside(ax, 0.0, y, text, "left", GUESS if name == guess else "0.2")
    _rows(ax, options)
    ax.set_xlim(-0.1, 1.5)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    return _titled(tidy(ax), _said(guess, right))


def order(
    guess: Sequence[str] | None,
    figures: Mapping[str, float],
    unit: str,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the guessed order on the left, the right one on the right, and lines between."""
    right = list(figures)
    longest = LETTER * max(len(name) for name in right)
    left_side, right_side = (0.5 + longest if guess is not None else 0.0), 1.2 + longest
    ax = axes(ax, (left_side + LINES + right_side, 1.2 + 0.36 * len(figures)))
    for y, name in enumerate(right):
        _beside(ax, 1.0, y, f"{y + 1}.  {name}   {_with_unit(figures[name], unit)}", "left")
        if guess is None:
            continue
        where = list(guess).index(name)
        colour = RESULT if where == y else GUESS
        ax.plot([0.0, 1.0], [where, y], "o-", color=colour, linewidth=1.6, markersize=5)
        _beside(ax, 0.0, where, f"{name}  {where + 1}.", "right")
    ax.set_ylim(len(right) - 0.4, -1.2)
    ax.set_xlim(-left_side / LINES if guess is not None else 1.0, 1.0 + right_side / LINES)
    ax.set_axis_off()
    if guess is not None:
        _beside(ax, 0.0, -0.9, "your order", "right", "0.4")
    _beside(ax, 1.0, -0.9, "the result", "left", "0.4")
    if guess is None:
        return _titled(ax, "You made no guess; this is the order")
    pairs = list(itertools.combinations(right, 2))
    good = sum(list(guess).index(a) < list(guess).index(b) for a, b in pairs)
    if good == len(pairs):
        return _titled(ax, "Right: your order is the result's")
    return _titled(ax, f"{good} of {len(pairs)} pairs are in the right order")


def _beside(
    ax: "Axes", x: float, y: float, text: str, side: Literal["left", "right"], colour: str = "k"
) -> None:
    """Write beside a point: text that begins on its right ("left" aligned), or ends on its left."""
    away = 9 if side == "left" else -9
    ax.annotate(
        text,
        (x, y),
        xytext=(away, 0),
        textcoords="offset points",
        va="center",
        ha=side,
        color=colour,
    )


def _rows(ax: "Axes", names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def _titled(ax: "Axes", text: str) -> "Axes":
    ax.set_title(text, fontsize="medium")
    return ax


def _with_unit(value: float, unit: str) -> str:
    return f"{value:,.3g} {unit}".rstrip() if abs(value) < 1e3 else f"{value:,.0f} {unit}".rstrip()


def _said(guess: str | None, right: str) -> str:
    if guess is None:
        return f"You made no guess; it was {right}"
    return f"Right: it was {right}" if guess == right else f"You said {guess}; it was {right}"


def _verdict(guess: float | None, result: float, unit: str) -> str:
    was = _with_unit(result, unit)
    if guess is None:
        return f"You made no guess; it was {was}"
    said = f"You said {_with_unit(guess, unit)}; it was {was}"
    if guess == result:
        return f"Right: it was {was}"
    if not (guess > 0.0 and result > 0.0):
        return said
    ratio = result / guess
    if 1.0 / CLOSE <= ratio <= CLOSE:
        return f"{said}: close"
    if ratio > 1.0:
        return (
            f"{said}: {ratio:,.2g} times as much"
            if ratio < 10
            else f"{said}: {ratio:,.0f} times as much"
        )
    return (
        f"{said}: 1/{1.0 / ratio:,.2g} of it"
        if ratio > 0.1
        else f"{said}: 1/{1.0 / ratio:,.0f} of it"
    )
