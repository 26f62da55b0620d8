"""The verb of maps."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import Seed, parse_bbox, print_path


def landmarks(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A map: .osm.pbf, .osm, .geojson, .parquet (Overture) or .gpkg.",
            exists=True,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The landmark table, GeoParquet.", show_default=False)],
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Only what meets this box, in degrees.")] = None,
    seed: Seed = 0,
) -> None:
    """Read a map into a table of visible landmarks.

    \b
    Example:
      geomammut landmarks helsinki.osm.pbf -o landmarks.parquet --bbox 24.9,60.1,25.0,60.2
    """
    from geomammut.landmarks.table import landmarks

    print_path(landmarks(source, out, bbox=parse_bbox(bbox) if bbox is not None else None, seed=seed))
