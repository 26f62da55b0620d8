"""Charts as inline SVG and HTML, drawn with the page's own colours in light and dark."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from geomammut.markup import Html, tag

WIDTH, HEIGHT = 560, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 26, 34
_MOST_POINTS = 400


class Stage(NamedTuple):
    """One stage of training: a value a step, at the number of samples seen by then."""

    name: str
    samples: list[float]
    values: list[float]


def smoothed(values: Sequence[float], memory: float = 0.9) -> list[float]:
    """Return the running mean with exponential weights, without a bias towards the first value."""
    mean, weight = 0.0, 0.0
    running = []
    for value in values:
        mean = memory * mean + (1 - memory) * value
        weight = memory * weight + (1 - memory)
        running.append(mean / weight)
    return running


def loss_chart(title: str, stages: Sequence[Stage]) -> Html:
    """Draw a loss over the samples seen, every step faint and their running mean firm.

    Args:
        title: What the loss is called.
        stages: In order; shaded in turn.
    """
    values = [value for stage in stages for value in stage.values]
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    ticks = round_ticks(low, high)
    bottom, top = min(low, ticks[0]), max(high, ticks[-1])
    seen = stages[-1].samples[-1]

    def x(samples: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * samples / seen

    def y(value: float) -> float:
        share = (min(max(value, bottom), top) - bottom) / ((top - bottom) or 1.0)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share

    def path(stage: Stage, line: Sequence[float]) -> str:
        step = -(-len(line) // _MOST_POINTS)
        points = [
            f"{x(samples):.1f} {y(value):.1f}" for samples, value in list(zip(stage.samples, line, strict=True))[::step]
        ]
        return "M" + "L".join(points)

    drawn: list[Html] = []
    start = 0.0
    for number, stage in enumerate(stages):
        end = stage.samples[-1]
        band = {"x": f"{x(start):.1f}", "width": f"{x(end) - x(start):.1f}"}
        height = HEIGHT - _TOP - _BOTTOM
        drawn.append(tag("rect", **band, y=_TOP, height=height, class_=f"band band-{number % 2}"))
        middle = f"{x((start + end) / 2):.1f}"
        drawn.append(tag("text", stage.name, x=middle, y=_TOP - 8, text_anchor="middle", class_="stage"))
        start = end
    for value in ticks:
        drawn.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=f"{y(value):.1f}", y2=f"{y(value):.1f}"))
        label = f"{value:g}"
        drawn.append(tag("text", label, x=_LEFT - 8, y=f"{y(value) + 4:.1f}", text_anchor="end"))
    for samples in round_ticks(0, seen):
        if samples <= seen:
            label = f"{samples:,.0f}"
            drawn.append(tag("text", label, x=f"{x(samples):.1f}", y=HEIGHT - _BOTTOM + 17, text_anchor="middle"))
    middle_x = (_LEFT + WIDTH - _RIGHT) / 2
    drawn.append(tag("text", "samples seen", x=middle_x, y=HEIGHT - 2, text_anchor="middle"))
    drawn += [tag("path", d=path(stage, stage.values), class_="raw") for stage in stages]
    drawn += [tag("path", d=path(stage, smoothed(stage.values)), class_="smooth") for stage in stages]
    box = f"0 0 {WIDTH} {HEIGHT}"
    return tag("svg", *drawn, viewBox=box, class_="chart", role="img", aria_label=f"{title} over samples seen")


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return evenly spaced round numbers from at or below `low` to at or above `high`."""
    span = max(high - low, 1e-9 * max(1.0, abs(high)))
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * about >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def bars(rows: Sequence[tuple[str, float, str]], full: float, mark: float | None = None) -> Html:
    """Draw labelled horizontal bars.

    Args:
        rows: Label, length, and the length as text.
        full: The length of a bar over the whole width.
        mark: A length to mark with a line across all bars, such as chance.
    """
    drawn = []
    for label, value, told in rows:
        width = 100 * min(1.0, value / full) if full > 0 else 0.0
        line = None
        if mark is not None:
            line = tag("i", style=f"left:{100 * mark / full:.2f}%")
        bar = tag("span", tag("b", style=f"width:{width:.2f}%"), line, class_="track")
        drawn.append(
            tag(
                "div",
                tag("span", label, class_="label"),
                bar,
                tag("span", told, class_="value"),
                class_="bar",
            )
        )
    return tag("div", *drawn, class_="bars")
