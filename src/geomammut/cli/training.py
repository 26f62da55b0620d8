"""The verb of training."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Overrides, RecipeFile, RecipeSeed, Resume, print_path


def train(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new model's folder.", show_default=False)],
    resume: Resume = False,
    overrides: Overrides = None,
    seed: RecipeSeed = None,
) -> None:
    """Train a model by a recipe: stages, each a mix of pair sets.

    \b
    Example:
      geomammut train recipes/rsicd_small.toml -o runs/rsicd --set optimizer.lr=5e-4
    """
    from geomammut.training.trainer import train

    print_path(train(recipe, out, resume=resume, overrides=overrides or (), seed=seed))
