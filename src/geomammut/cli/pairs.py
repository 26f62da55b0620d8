"""The verbs of pair sets."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from geomammut.cli.options import PairSet, Ray, Seed, local_ones_exist, print_path

WriterModel = Annotated[str | None, typer.Option("--model", help="The writer's language model.", show_default=False)]
Batch = Annotated[bool, typer.Option("--batch", help="Ask Gemini by its Batch API: half the price, within a day.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests under way at the same time.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")]
RequestsPerMinute = Annotated[float | None, typer.Option(min=0.1, help="Ask no faster.", show_default=False)]
MaxRequests = Annotated[
    int | None, typer.Option(min=0, help="Stop before more requests, earlier runs' too.", show_default=False)
]
MaxCost = Annotated[
    float | None, typer.Option(min=0, help="Stop before more US dollars, earlier runs' too.", show_default=False)
]
PriceIn = Annotated[float | None, typer.Option(min=0, help="US dollars for a million tokens in.", show_default=False)]
PriceOut = Annotated[float | None, typer.Option(min=0, help="US dollars for a million tokens out.", show_default=False)]


def pairs_landmarks(
    imagery: Annotated[
        list[str],
        typer.Option(
            callback=local_ones_exist,
            metavar="PATH...",
            help="GeoTIFFs, folders of them, .mbtiles, folders of XYZ tiles, STAC; paths or addresses.",
            show_default=False,
        ),
    ],
    landmarks: Annotated[Path, typer.Option(help="What `geomammut landmarks` wrote.", exists=True, show_default=False)],
    out: PairSet,
    size: Annotated[int, typer.Option(min=16, help="Width and height of a chip, pixels.")] = 224,
    gsd: Annotated[float, typer.Option(min=0.01, help="Ground sample distance, metres per pixel.")] = 1.0,
    area: Annotated[
        Path | None,
        typer.Option(help="GeoJSON polygons: only chips wholly inside are made.", exists=True, dir_okay=False),
    ] = None,
    centred: Annotated[
        bool, typer.Option("--centred", help="Centre chips on landmarks, at most one in a cell of the grid.")
    ] = False,
    resampling: Annotated[
        Literal["nearest", "bilinear", "cubic", "average"], typer.Option(help="For pixels that do not fit the chips'.")
    ] = "cubic",
    jpeg_quality: Annotated[int, typer.Option(min=1, max=100, help="Of the chips' pictures.")] = 90,
    writer: Annotated[
        Literal["template", "google", "openai"],
        typer.Option(help="Who writes captions: templates (offline), Gemini, any OpenAI-compatible server."),
    ] = "template",
    model: WriterModel = None,
    batch: Batch = False,
    concurrency: Concurrency = 8,
    timeout: Timeout = 90.0,
    requests_per_minute: RequestsPerMinute = None,
    max_requests: MaxRequests = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell the requests, tokens and cost to come.")
    ] = False,
    partition: Annotated[int, typer.Option(min=1, help="Chips worked on at a time: bounds the memory.")] = 4096,
    ray: Ray = None,
    seed: Seed = 0,
) -> None:
    """Caption chips of imagery by the landmarks seen in them.

    A run that was stopped or killed goes on where it was; the answers of a language model are kept in
    OUT.answers.sqlite.

    \b
    Examples:
      geomammut pairs landmarks --imagery mosaic.tif --landmarks landmarks.parquet -o pairs --gsd 0.6
      geomammut pairs landmarks --imagery mosaic.tif --landmarks landmarks.parquet -o pairs --gsd 0.6 \\
          --writer google --model gemini-2.5-flash-lite --max-cost 20 --dry-run
    """
    from geomammut.pairs.landmarks import pairs_landmarks

    made = pairs_landmarks(
        imagery,
        landmarks,
        out,
        size=size,
        gsd=gsd,
        area=area,
        centred=centred,
        resampling=resampling,
        jpeg_quality=jpeg_quality,
        writer=writer,
        model=model,
        batch=batch,
        concurrency=concurrency,
        timeout=timeout,
        requests_per_minute=requests_per_minute,
        max_requests=max_requests,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
        dry_run=dry_run,
        partition=partition,
        ray=ray,
        seed=seed,
    )
    if not dry_run:
        print_path(made)


def pairs_web(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Tables of url and alt-text, WebDataset shards, WARC files, folders of images; or addresses.",
            default_factory=list,
            show_default=False,
        ),
    ],
    out: PairSet,
    url_column: Annotated[str | None, typer.Option(help="Name of the url column.", show_default=False)] = None,
    text_column: Annotated[str | None, typer.Option(help="Name of the alt-text column.", show_default=False)] = None,
    text_classifier: Annotated[
        Path | None,
        typer.Option(help="Folder of a text classifier; it keeps more rows.", exists=True, show_default=False),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="Judges the images: folder of web train-classifier, or a model as for --model.", show_default=False
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="A pair set whose images are not wanted again; repeat for more.", exists=True),
    ] = None,
    leakage_guard: Annotated[
        bool,
        typer.Option(
            "--leakage-guard/--no-leakage-guard", help="Drop what is nearly an image of a registered benchmark."
        ),
    ] = True,
    writer: Annotated[
        Literal["google", "openai"] | None,
        typer.Option(help="Writes new captions, the alt-text as a hint: Gemini, any OpenAI-compatible server."),
    ] = None,
    model: WriterModel = None,
    batch: Batch = False,
    concurrency: Concurrency = 8,
    timeout: Timeout = 90.0,
    requests_per_minute: RequestsPerMinute = None,
    max_requests: MaxRequests = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    partition: Annotated[int, typer.Option(min=1, help="Images worked on at a time, which bounds the memory.")] = 4096,
    ray: Ray = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Make nothing; tell which stage kept or dropped a row of OUT, and why: a pair's id, a row or a url.",
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Keep the aerial pictures of the web, by url and alt-text.

    \b
    Examples:
      geomammut pairs web table.csv -o web_pairs
      geomammut pairs web --explain 17 -o web_pairs
    """
    from geomammut.pairs.web import pairs_web

    made = pairs_web(
        inputs,
        out,
        url_column=url_column,
        text_column=text_column,
        text_classifier=text_classifier,
        classifier=classifier,
        against=against or (),
        leakage_guard=leakage_guard,
        writer=writer,
        model=model,
        batch=batch,
        concurrency=concurrency,
        timeout=timeout,
        requests_per_minute=requests_per_minute,
        max_requests=max_requests,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
        partition=partition,
        ray=ray,
        explain=explain,
        seed=seed,
    )
    if explain is None:
        print_path(made)


def pairs_import(
    annotations: Annotated[
        Path,
        typer.Option(help="Captions in Karpathy's JSON layout.", exists=True, show_default=False),
    ],
    images: Annotated[
        Path, typer.Option(help="Folder of its images.", exists=True, file_okay=False, show_default=False)
    ],
    split: Annotated[str, typer.Option(help="train, val or test.", show_default=False)],
    out: PairSet,
    seed: Seed = 0,
) -> None:
    """Make a pair set of one split of a captioned benchmark.

    \b
    Example:
      geomammut pairs import --annotations dataset_rsicd.json --images RSICD_images --split train -o rsicd
    """
    from geomammut.pairs.benchmark import pairs_import

    print_path(pairs_import(annotations, images, split, out, seed=seed))


def pairs_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False)],
    seed: Seed = 0,
) -> None:
    """Check a pair set whole, and tell what is in it.

    \b
    Example:
      geomammut pairs check web_pairs
    """
    from geomammut.pairs.check import pairs_check

    pairs_check(folder, seed=seed)


def pairs_preview(
    folder: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The sheet: .png, .jpg or .webp.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, max=400, help="How many pairs.")] = 12,
    seed: Seed = 0,
) -> None:
    """Draw pairs on a sheet, with landmark outlines and captions.

    \b
    Example:
      geomammut pairs preview pairs -o sheet.png
    """
    from geomammut.pairs.preview import pairs_preview

    print_path(pairs_preview(folder, out, count=count, seed=seed))
