"""The verbs of where things are."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Image, ModelName, Overrides, RecipeFile, RecipeSeed, Resume, Seed, Window, print_path


def heatmap(
    model: ModelName,
    image: Image,
    text: Annotated[str, typer.Option(help="What to look for.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help=".png for a picture, .tif for scores.", show_default=False)],
    window: Window = 1,
    seed: Seed = 0,
) -> None:
    """Show where in an image a text is.

    \b
    Example:
      geomammut heatmap --model runs/rsicd harbour.tif --text "boats in a marina" -o marina.png
    """
    from geomammut.localization.heatmaps import heatmap

    print_path(heatmap(model, image, text, out, window=window, seed=seed))


def segment(
    model: ModelName,
    image: Image,
    classes: Annotated[
        str,
        typer.Option(
            help='Comma-separated words, synonyms by bars: "building|house roofs, road, background".',
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The mask, GeoTIFF.", show_default=False)],
    geojson: Annotated[Path | None, typer.Option(help="Also write polygons here.", show_default=False)] = None,
    probabilities: Annotated[
        Path | None, typer.Option(help="Also write each class's probability here, GeoTIFF.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also write the classes over the image here, .png.", show_default=False)
    ] = None,
    window: Window = 1,
    seed: Seed = 0,
) -> None:
    """Segment an image by words.

    \b
    Example:
      geomammut segment --model runs/rsicd town.tif --classes "building, road, water" -o mask.tif
    """
    from geomammut.localization.segments import segment

    print_path(
        segment(
            model,
            image,
            classes,
            out,
            geojson=geojson,
            probabilities=probabilities,
            picture=picture,
            window=window,
            seed=seed,
        )
    )


def localize(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new model's folder.", show_default=False)],
    resume: Resume = False,
    overrides: Overrides = None,
    seed: RecipeSeed = None,
) -> None:
    """Sharpen a model's maps in rounds of pseudo-labels.

    The model teaches a student where things are; the student takes over if held-out agreement rises.

    \b
    Example:
      geomammut localize recipes/localize.toml -o runs/localized
    """
    from geomammut.localization.rounds import localize

    print_path(localize(recipe, out, resume=resume, overrides=overrides or (), seed=seed))
