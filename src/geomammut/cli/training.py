"""The verbs of training."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Overrides, RecipeFile, RecipeSeed, Resume, Seed, print_path


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


def web_train_classifier(
    positives: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR...", help="Images taken from above: folders or pair sets.", exists=True, show_default=False
        ),
    ],
    negatives: Annotated[
        list[Path], typer.Option(metavar="DIR...", help="Other images, likewise.", exists=True, show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The classifier's folder.", show_default=False)],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Model directory, hub id, open_clip:NAME/TAG or timm:NAME[/FILE]; without, one is trained.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Pictures drawn to train an encoder.")] = 60_000,
    recall: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Share of aerial images that the threshold keeps.")
    ] = 0.99,
    seed: Seed = 0,
) -> None:
    """Train a classifier of aerial images, for `pairs web --classifier`.

    It is calibrated and measured on a fifth of the pictures, held out.

    \b
    Examples:
      geomammut web train-classifier --positives RSICD_images --negatives photographs -o aerial
      geomammut web train-classifier --positives rsicd_pairs --negatives photographs -o aerial \\
          --encoder open_clip:ViT-B-32/weights.safetensors
    """
    from geomammut.training.aerial_classifier import web_train_classifier

    report = web_train_classifier(positives, negatives, out, encoder=encoder, samples=samples, recall=recall, seed=seed)
    for name, value in report["metrics"].items():
        typer.echo(f"{name:20} {value:.4f}")
    print_path(out)


def web_train_text_classifier(
    positives: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE...",
            help="Texts of images from above: .txt, one a line, or tables (.csv, .tsv, .jsonl, .parquet).",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    negatives: Annotated[
        list[Path],
        typer.Option(metavar="FILE...", help="Other texts, likewise.", exists=True, dir_okay=False, show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The classifier's folder.", show_default=False)],
    recall: Annotated[float, typer.Option(help="Share of texts from above that the threshold keeps.")] = 0.98,
    seed: Seed = 0,
) -> None:
    """Train a classifier of alt-texts, for `pairs web --text-classifier`.

    Its threshold and its figures are of a fifth of the texts, held out.

    \b
    Example:
      geomammut web train-text-classifier --positives pairs.parquet captions.txt --negatives web.parquet -o words
    """
    from geomammut.pairs.web_stages.train_text_classifier import web_train_text_classifier

    report = web_train_text_classifier(positives, negatives, out, recall=recall, seed=seed)
    for name, value in report["metrics"].items():
        typer.echo(f"{name:20} {value:.4f}")
    print_path(out)
