"""The command line: it parses, and calls the public function of the same name and arguments.

Each function here imports its room when it runs, so that `--help` and a misspelt option answer at once.
"""

import json
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import typer

from geomammut import __version__
from geomammut.cli_options import (
    Image,
    ManyImages,
    ModelName,
    Overrides,
    PairSet,
    RecipeFile,
    RecipeSeed,
    Results,
    Resume,
    Seed,
    Window,
    local_ones_exist,
    parse_bbox,
    print_metrics,
    print_path,
)
from geomammut.errors import explain

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def show_help(ctx: typer.Context) -> None:
    """Print a group's help where no verb of it was named."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


pairs = typer.Typer(rich_markup_mode=None, invoke_without_command=True, callback=show_help)
evaluate = typer.Typer(rich_markup_mode=None, invoke_without_command=True, callback=show_help)
model = typer.Typer(rich_markup_mode=None, invoke_without_command=True, callback=show_help)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"geomammut {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def geomammut(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a map, imagery and the web to a remote-sensing vision-language model, and to masks.

    \b
    See it all work on a made-up place, offline, in minutes:
      geomammut demo
    """
    show_help(ctx)


@app.command()
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


@app.command()
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


@pairs.command("landmarks", cls=ManyImages)
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
    model: Annotated[str | None, typer.Option(help="The writer's language model.", show_default=False)] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask Gemini by its Batch API: half the price, within a day.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at the same time.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 90.0,
    requests_per_minute: Annotated[
        float | None, typer.Option(min=0.1, help="Ask no faster.", show_default=False)
    ] = None,
    max_requests: Annotated[
        int | None, typer.Option(min=0, help="Stop before more requests, earlier runs' too.", show_default=False)
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop before more US dollars, earlier runs' too.", show_default=False)
    ] = None,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="US dollars for a million tokens in.", show_default=False)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="US dollars for a million tokens out.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell the requests, tokens and cost to come.")
    ] = False,
    partition: Annotated[int, typer.Option(min=1, help="Chips worked on at a time: bounds the memory.")] = 4096,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Work on a Ray cluster: its address, auto, or local for one on this machine.",
            show_default=False,
        ),
    ] = None,
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


@pairs.command("web")
def pairs_web(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="url and alt-text: .csv, .tsv, .jsonl, .parquet.", exists=True),
    ],
    out: PairSet,
    classifier: Annotated[
        str | None,
        typer.Option(help="A model that also judges the images, named as for --model.", show_default=False),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Keep the aerial pictures of a table of urls and alt-text.

    \b
    Example:
      geomammut pairs web table.csv -o web_pairs
    """
    from geomammut.pairs.web import pairs_web

    print_path(pairs_web(table, out, classifier=classifier, seed=seed))


@pairs.command("import")
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


@pairs.command("check")
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


@pairs.command("preview")
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


@app.command()
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


@evaluate.command("retrieval")
def eval_retrieval(
    model: ModelName,
    out: Results,
    annotations: Annotated[Path | None, typer.Option(help="Captions in Karpathy's JSON layout.", exists=True)] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its images.", exists=True, file_okay=False)] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="A pair set, instead of the three.", exists=True, file_okay=False)
    ] = None,
    protocol: Annotated[
        Literal["instance", "skyscript"],
        typer.Option(help="All captions kept; or skyscript: prefixed, de-duplicated."),
    ] = "instance",
    seed: Seed = 0,
) -> None:
    """Measure image→text and text→image recall at 1, 5 and 10.

    \b
    Examples:
      geomammut eval retrieval --model runs/rsicd --pairs heldout_pairs -o recall.json
      geomammut eval retrieval --model open_clip:ViT-B-32/weights.safetensors \\
          --annotations dataset_rsicd.json --images RSICD_images --split val -o recall.json
    """
    from geomammut.evaluation.retrieval import eval_retrieval

    results = eval_retrieval(
        model,
        out,
        annotations=annotations,
        images=images,
        split=split,
        pairs=pairs,
        protocol=protocol,
        seed=seed,
    )
    print_metrics(results, out)


@evaluate.command("classification")
def eval_classification(
    model: ModelName,
    images: Annotated[Path, typer.Option(help="A folder of folders, one a class.", exists=True, file_okay=False)],
    out: Results,
    prompts: Annotated[
        str, typer.Option(help="recipe, skyscript, remoteclip, or a file of one template a line.")
    ] = "recipe",
    classnames: Annotated[
        Path | None,
        typer.Option(help="JSON: folder name → class name or names.", exists=True, dir_okay=False),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Measure zero-shot classification of scenes.

    \b
    Example:
      geomammut eval classification --model runs/rsicd --images ucm -o ucm.json
    """
    from geomammut.evaluation.classification import eval_classification

    results = eval_classification(model, images, out, prompts=prompts, classnames=classnames, seed=seed)
    print_metrics(results, out)


@evaluate.command("segmentation")
def eval_segmentation(
    model: ModelName,
    images: Annotated[Path, typer.Option(help="Folder of images.", exists=True, file_okay=False)],
    masks: Annotated[Path, typer.Option(help="Folder of masks of the same stems.", exists=True, file_okay=False)],
    classes: Annotated[
        Path,
        typer.Option(help="JSON: each class's name, mask value and prompts.", exists=True, dir_okay=False),
    ],
    out: Results,
    window: Window = 1,
    method: Annotated[
        Literal["sao", "attention"],
        typer.Option(help="Smooth attention, or the raw last cross-attention block."),
    ] = "sao",
    seed: Seed = 0,
) -> None:
    """Measure zero-shot segmentation by words against masks.

    \b
    Example:
      geomammut eval segmentation --model runs/rsicd --images dubai/images --masks dubai/masks \\
          --classes dubai/classes.json -o dubai.json
    """
    from geomammut.evaluation.segmentation import eval_segmentation

    results = eval_segmentation(model, images, masks, classes, out, window=window, method=method, seed=seed)
    print_metrics(results, out)


@app.command()
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
    from geomammut.localization.masks import heatmap

    print_path(heatmap(model, image, text, out, window=window, seed=seed))


@app.command()
def segment(
    model: ModelName,
    image: Image,
    classes: Annotated[str, typer.Option(help='Comma-separated words: "building, road, water".', show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The mask, GeoTIFF.", show_default=False)],
    geojson: Annotated[Path | None, typer.Option(help="Also write polygons here.", show_default=False)] = None,
    window: Window = 1,
    seed: Seed = 0,
) -> None:
    """Segment an image by words.

    \b
    Example:
      geomammut segment --model runs/rsicd town.tif --classes "building, road, water" -o mask.tif
    """
    from geomammut.localization.masks import segment

    print_path(segment(model, image, classes, out, geojson=geojson, window=window, seed=seed))


@app.command()
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


@model.command("info")
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


@model.command("import")
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


app.add_typer(pairs, name="pairs", help="Make and check sets of image–caption pairs.")
app.add_typer(evaluate, name="eval", help="Measure a model: retrieval, classification, segmentation.")
app.add_typer(model, name="model", help="Look at a model, or bring one in.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; a user's mistake ends in one line and 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words  # wherever it stands
    words = [word for word in words if word != "--debug"]
    try:
        code = app(words, prog_name="geomammut", standalone_mode=False)
    except Exception as error:
        mistake = users_mistake(error, words)
        if mistake is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"error: {' '.join(mistake.split())}", file=sys.stderr)
        return 2
    if code == 130:  # typer's answer to Ctrl-C
        print("interrupted", file=sys.stderr)
    return code or 0


def users_mistake(error: BaseException, words: Sequence[str]) -> str | None:
    """Say in a line what the user can mend, or return None where the error is ours.

    `words` is the command line, which tells where the output was to go.
    """
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        return f"{error.format_message()} (see '{context.command_path} --help')" if context else str(error)
    out = next((after for word, after in pairwise(words) if word in ("--out", "-o")), "the output")
    return explain(error, out)
