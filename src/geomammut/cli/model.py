"""The verbs of models as they are."""

import json
from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Seed, print_path


def model_info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Directory, hub id or open_clip:NAME/TAG.")],
    seed: Seed = 0,
) -> None:
    """Tell what a model is: its sizes and its number of parameters.

    \b
    Example:
      geomammut model info runs/rsicd
    """
    from geomammut.model.load import model_info

    typer.echo(json.dumps(model_info(model, seed=seed), indent=2, ensure_ascii=False, default=str))


def model_import(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="An openMaMMUT folder or hub id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new model's folder.", show_default=False)],
    seed: Seed = 0,
) -> None:
    """Write another project's MaMMUT as a model directory of ours.

    \b
    Example:
      geomammut model import laion/openMaMMUT-ViT-L-14-DataComp-1.4B-s12.8B-b180K -o models/openmammut
    """
    from geomammut.model.load import model_import

    print_path(model_import(source, out, seed=seed))


def model_export(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A model directory or hub id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new folder.", show_default=False)],
    seed: Seed = 0,
) -> None:
    """Write a model in openMaMMUT's layout, which LAION's open_clip_mammut reads.

    \b
    Example:
      geomammut model export runs/l14 -o openmammut
    """
    from geomammut.model.load import model_export

    print_path(model_export(source, out, seed=seed))


def model_card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="What a verb of `eval` wrote; repeat for more.", exists=True, dir_okay=False),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write a model's card: use, data and licences, recipe, figures, leaks, limits.

    \b
    Example:
      geomammut model card runs/rsicd --results results/*.json
    """
    from geomammut.evaluation.model_card import model_card

    print_path(model_card(model, results=results or (), seed=seed))


def model_push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the Hugging Face hub.")],
    private: Annotated[bool, typer.Option("--private", help="Nobody else sees it.")] = False,
    seed: Seed = 0,
) -> None:
    """Upload a model directory to the hub, from where `load_model` gives it back.

    \b
    Example:
      geomammut model push runs/rsicd someone/rsicd-small
    """
    from geomammut.model.load import model_push

    typer.echo(model_push(model, repository, private=private, seed=seed))
