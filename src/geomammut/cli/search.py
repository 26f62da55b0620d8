"""The verbs of archives that are searched."""

from pathlib import Path
from typing import Annotated

import typer

from geomammut.cli.options import ModelName, Ray, Seed, local_ones_exist, parse_bbox, print_path

MovedModel = Annotated[
    str | None, typer.Option("--model", help="Where the index's model is now, if it has moved.", show_default=False)
]
IndexFolder = Annotated[Path, typer.Argument(metavar="INDEX", help="What `geomammut index` made.")]


def index(
    imagery: Annotated[
        list[str],
        typer.Argument(
            callback=local_ones_exist,
            metavar="IMAGERY...",
            help="GeoTIFFs, folders of them, .mbtiles, folders of XYZ tiles, STAC; paths or addresses.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The index, a folder.", show_default=False)],
    model: ModelName,
    size: Annotated[int, typer.Option(min=16, help="Width and height of a chip, pixels.")] = 224,
    gsd: Annotated[float, typer.Option(min=0.01, help="Ground sample distance, metres per pixel.")] = 1.0,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Pixels from a chip to the next; the size if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that read and embed.")] = 1,
    ray: Ray = None,
    seed: Seed = 0,
) -> None:
    """Cut imagery into chips and embed them, to be searched.

    Run again, it embeds what is new or changed and drops what is no longer given; a killed run goes on where it was.

    \b
    Example:
      geomammut index imagery/*.tif -o town.index --model runs/rsicd --gsd 0.6 --stride 112
    """
    from geomammut.search.index import index

    print_path(index(imagery, out, model, size=size, gsd=gsd, stride=stride, workers=workers, ray=ray, seed=seed))


def search(
    index: IndexFolder,
    text: Annotated[str | None, typer.Argument(help="What to look for.", show_default=False)] = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".geojson for a map, .html for a sheet.", show_default=False)
    ],
    image: Annotated[
        Path | None, typer.Option(help="A picture of what to look for.", exists=True, dir_okay=False)
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--not", metavar="TEXT", help="What not to look for.", show_default=False)
    ] = None,
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Only places that touch it, degrees.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only what was acquired then or later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Only what was acquired then or earlier.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only what comes from this raster.", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many places.")] = 50,
    model: MovedModel = None,
    seed: Seed = 0,
) -> None:
    """Find places in words, by a picture, or by both.

    \b
    Examples:
      geomammut search town.index "storage tanks beside a harbour" -o hits.html
      geomammut search town.index "a forest" --not "a lake" --bbox 9.1,48.7,9.3,48.9 -o hits.geojson
      geomammut search town.index --image chip.jpg --since 2023 -k 20 -o hits.html
    """
    from geomammut.search.query import search

    made = search(
        index,
        text,
        out=out,
        image=image,
        without=without or (),
        bbox=parse_bbox(bbox) if bbox else None,
        since=since,
        until=until,
        source=source or (),
        k=k,
        model=model,
        seed=seed,
    )
    print_path(made)


def serve(
    index: IndexFolder,
    host: Annotated[str, typer.Option(help="Address to answer at; any but this machine's own asks for a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to answer at; 0 for any that is free.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(envvar="GEOMAMMUT_TOKEN", help="What everyone who asks must know.", show_default=False),
    ] = None,
    model: MovedModel = None,
    seed: Seed = 0,
) -> None:
    """Search an archive in the browser, on a map; and by programs.

    \b
    Examples:
      geomammut serve town.index
      GEOMAMMUT_TOKEN=... geomammut serve town.index --host 0.0.0.0 --port 80
    """
    from geomammut.search.server.serve import serve

    serve(index, host=host, port=port, token=token, model=model, seed=seed)
