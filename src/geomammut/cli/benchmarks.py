"""The verbs of the register of benchmarks, which `pairs web` guards against leaks."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Seed, print_path


def benchmarks_add(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A pair set, or a folder of images.", exists=True, file_okay=False),
    ],
    name: Annotated[
        str | None, typer.Option(help="By which to know it; else the folder's.", show_default=False)
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Captions in Karpathy's JSON layout: only the images it names.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of it.", show_default=False)] = None,
    seed: Seed = 0,
) -> None:
    """Register a benchmark's images, so that `pairs web` drops what is nearly one of them.

    Only fingerprints are kept, in the user's data folder (GEOMAMMUT_HOME sets another).

    \b
    Examples:
      geomammut benchmarks add UCMerced_LandUse/Images --name ucm
      geomammut benchmarks add RSICD_images --name rsicd --annotations dataset_rsicd.json --split test
    """
    from geomammut.pairs.benchmark_register import benchmarks_add

    print_path(benchmarks_add(folder, name=name, annotations=annotations, split=split, seed=seed))


def benchmarks_list(seed: Seed = 0) -> None:
    """List the registered benchmarks, and those of the field with their owner, licence and layout.

    \b
    Example:
      geomammut benchmarks list > benchmarks.txt
    """
    from geomammut.evaluation.benchmarks import describe, known_benchmarks
    from geomammut.pairs.benchmark_register import benchmarks_list

    for each in benchmarks_list(seed=seed):
        typer.echo(f"registered\t{each.name}\t{each.images}\t{each.source}")
    for known in known_benchmarks().values():
        typer.echo(f"\n{describe(known)}")


def benchmarks_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `benchmarks list` tells it.")],
    seed: Seed = 0,
) -> None:
    """Forget a registered benchmark.

    \b
    Example:
      geomammut benchmarks remove ucm
    """
    from geomammut.pairs.benchmark_register import benchmarks_remove

    print_path(benchmarks_remove(name, seed=seed))
