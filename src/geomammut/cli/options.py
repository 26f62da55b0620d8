"""What the verbs of the command line share: their common options, and how some words are read."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from geomammut.imagery.addresses import is_address

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="Model directory, hub id, open_clip:NAME/TAG or FILE, open_clip:FOLDER, transformers:NAME.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
RecipeSeed = Annotated[int | None, typer.Option(help="Replaces the recipe's seed.", show_default=False)]
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.toml", exists=True, dir_okay=False)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the recipe; repeat for more."),
]
Image = Annotated[Path, typer.Argument(metavar="IMAGE", exists=True, dir_okay=False)]
PairSet = Annotated[Path, typer.Option("--out", "-o", help="The new pair set, a folder.", show_default=False)]
Results = Annotated[Path, typer.Option("--out", "-o", help="The results, JSON.", show_default=False)]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on a Ray cluster: its address, auto, or local for one on this machine.",
        show_default=False,
    ),
]


def parse_window(text: str | int) -> int | tuple[int, ...]:
    """Read the radius or radii of the smooth attention: `1`, or `0,1,3`."""
    try:
        radii = tuple(int(number) for number in str(text).split(","))
    except ValueError:
        radii = (-1,)
    if min(radii) < 0:
        raise typer.BadParameter(f"{text!r} is no radius in patches, such as 1, nor several, such as 0,1,3")
    return radii[0] if len(radii) == 1 else radii


Window = Annotated[
    Any,
    typer.Option(
        parser=parse_window,
        metavar="RADII",
        help="Radius of the smooth attention, in patches; 0 is the plain value path; several (0,1,3) are averaged.",
    ),
]


def parse_bbox(text: str) -> tuple[float, float, float, float]:
    """Read `W,S,E,N` in degrees."""
    try:
        west, south, east, north = (float(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not four numbers W,S,E,N in degrees", param_hint="'--bbox'") from None
    return west, south, east, north


def local_ones_exist(paths: list[str]) -> list[str]:
    """Refuse a local path where nothing is; addresses are asked later."""
    for path in paths:
        if not is_address(path) and not Path(path).exists():
            raise typer.BadParameter(f"path {path!r} does not exist")
    return paths


class ManyPaths(TyperCommand):
    """Reads `--imagery a.tif b.tif`, which is what a shell makes of `--imagery *.tif`, for each option that repeats."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeating = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        spread: list[str] = []
        current = ""  # the repeating option that one more path would belong to
        for word in args:
            if word.startswith("-"):
                name = word.partition("=")[0]
                current = name if name in repeating else ""
            elif current and spread[-1] != current:
                spread.append(current)
            spread.append(word)
        return super().parse_args(ctx, spread)


def print_path(path: Path) -> None:
    """Print what was made: once, however many processes of `torchrun` made it."""
    from geomammut.progress import console

    if not console.quiet:
        typer.echo(str(path))


def print_metrics(results: dict[str, Any], out: Path) -> None:
    for name, value in results["metrics"].items():
        if isinstance(value, int | float):
            typer.echo(f"{name:16} {value:6.2f}")
    print_path(out)
