"""The verb of the whole."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Seed, print_path


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of everything the demo makes.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(min=0.1, help="Time for training, about.")] = 5.0,
    seed: Seed = 0,
) -> None:
    """Make a place, run every part on it, and report.

    Landmarks, pairs, training, evaluation, heatmaps, masks and one pseudo-label round, offline; then open
    OUT/report.html.

    \b
    Example:
      geomammut demo --out demo --minutes 5
    """
    from geomammut.demo.demo import demo

    print_path(demo(out, minutes=minutes, seed=seed))
