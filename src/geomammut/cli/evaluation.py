"""The verbs of measuring."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from geomammut.cli.options import ModelName, Results, Seed, Window, print_metrics, print_path

Annotations = Annotated[
    Path | None, typer.Option(help="Captions in Karpathy's JSON layout.", exists=True, show_default=False)
]
CaptionedFolder = Annotated[
    Path | None, typer.Option(help="Folder of its images.", exists=True, file_okay=False, show_default=False)
]
CaptionedSplit = Annotated[str | None, typer.Option(help="train, val or test.", show_default=False)]
CaptionedPairs = Annotated[
    Path | None,
    typer.Option(help="A pair set, instead of the three.", exists=True, file_okay=False, show_default=False),
]
KnownBenchmark = Annotated[
    str | None,
    typer.Option(help="Which it is, by `benchmarks list`: its counts are checked.", show_default=False),
]
BenchmarkSplit = Annotated[str | None, typer.Option(help="Of the benchmark: train, val or test.", show_default=False)]
Subset = Annotated[bool, typer.Option("--subset", help="Measure though its counts are not those published.")]

Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="An .npy table, a row each, in place of the model's; --model is then its name.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder where embeddings are kept by content.", file_okay=False, show_default=False)
]
Leaks = Annotated[
    bool,
    typer.Option("--leaks", help="Report images that are nearly ones of the model's own pair sets; may take long."),
]


def eval_retrieval(
    model: ModelName,
    out: Results,
    annotations: Annotations = None,
    images: CaptionedFolder = None,
    split: CaptionedSplit = None,
    pairs: CaptionedPairs = None,
    benchmark: KnownBenchmark = None,
    subset: Subset = False,
    protocol: Annotated[
        Literal["instance", "skyscript"],
        typer.Option(help="All captions kept; or skyscript: prefixed, de-duplicated."),
    ] = "instance",
    image_embeddings: Embeddings = None,
    text_embeddings: Embeddings = None,
    cache: Cache = None,
    leaks: Leaks = False,
    seed: Seed = 0,
) -> None:
    """Measure image→text and text→image recall at 1, 5 and 10.

    \b
    Examples:
      geomammut eval retrieval --model runs/rsicd --pairs heldout_pairs -o recall.json
      geomammut eval retrieval --model open_clip:ViT-B-32/weights.safetensors \\
          --annotations dataset_rsicd.json --images RSICD_images --split val -o recall.json
      geomammut eval retrieval --model another --image-embeddings images.npy --text-embeddings texts.npy \\
          --annotations dataset_rsicd.json --split val -o recall.json
    """
    from geomammut.evaluation.retrieval import eval_retrieval

    results = eval_retrieval(
        model,
        out,
        annotations=annotations,
        images=images,
        split=split,
        pairs=pairs,
        benchmark=benchmark,
        subset=subset,
        protocol=protocol,
        image_embeddings=image_embeddings,
        text_embeddings=text_embeddings,
        cache=cache,
        leaks=leaks,
        seed=seed,
    )
    print_metrics(results, out)


def eval_classification(
    model: ModelName,
    images: Annotated[
        Path,
        typer.Option(help="A folder of folders, one a class; or a CSV table: filepath,label.", exists=True),
    ],
    out: Results,
    prompts: Annotated[
        str, typer.Option(help="recipe, skyscript, remoteclip, openai80, or a file of one template a line.")
    ] = "recipe",
    classnames: Annotated[
        Path | None,
        typer.Option(help="JSON: folder name → class name or names.", exists=True, dir_okay=False),
    ] = None,
    holdout: Annotated[
        Path | None,
        typer.Option(
            help="A file of classes, one a line, that training left out: told apart.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    benchmark: KnownBenchmark = None,
    split: BenchmarkSplit = None,
    subset: Subset = False,
    image_embeddings: Embeddings = None,
    text_embeddings: Embeddings = None,
    cache: Cache = None,
    leaks: Leaks = False,
    seed: Seed = 0,
) -> None:
    """Measure zero-shot classification of scenes.

    \b
    Examples:
      geomammut eval classification --model runs/rsicd --images ucm -o ucm.json
      geomammut eval classification --model runs/rsicd --benchmark eurosat --images 2750 --prompts openai80 \\
          -o eurosat.json
    """
    from geomammut.evaluation.classification import eval_classification

    results = eval_classification(
        model,
        images,
        out,
        prompts=prompts,
        classnames=classnames,
        holdout=holdout,
        benchmark=benchmark,
        split=split,
        subset=subset,
        image_embeddings=image_embeddings,
        text_embeddings=text_embeddings,
        cache=cache,
        leaks=leaks,
        seed=seed,
    )
    print_metrics(results, out)


def eval_captioning(
    model: ModelName,
    out: Results,
    annotations: Annotations = None,
    images: CaptionedFolder = None,
    split: CaptionedSplit = None,
    pairs: CaptionedPairs = None,
    benchmark: KnownBenchmark = None,
    subset: Subset = False,
    captions: Annotated[
        Path | None,
        typer.Option(
            help="JSON of another's captions, image → text; --model is then its name.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    beams: Annotated[int, typer.Option(min=1, help="Beginnings of a caption searched at a time.")] = 1,
    spice: Annotated[
        bool, typer.Option("--spice", help="SPICE and SPIDEr, too: needs Java 8 and Stanford's CoreNLP 3.6.0.")
    ] = False,
    leaks: Leaks = False,
    seed: Seed = 0,
) -> None:
    """Measure a model's captions against people's: BLEU and CIDEr.

    \b
    Example:
      geomammut eval captioning --model runs/rsicd --annotations dataset_rsicd.json --images RSICD_images \\
          --split val -o captions.json
    """
    from geomammut.evaluation.captioning import eval_captioning

    results = eval_captioning(
        model,
        out,
        annotations=annotations,
        images=images,
        split=split,
        pairs=pairs,
        benchmark=benchmark,
        subset=subset,
        captions=captions,
        beams=beams,
        spice=spice,
        leaks=leaks,
        seed=seed,
    )
    print_metrics(results, out)


def eval_segmentation(
    model: ModelName,
    images: Annotated[
        Path, typer.Option(help="Folder of images, or a known benchmark's own tree.", exists=True, file_okay=False)
    ],
    out: Results,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of masks of the same stems.", exists=True, file_okay=False, show_default=False),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="JSON: each class's name, mask value and prompts.", exists=True, dir_okay=False, show_default=False
        ),
    ] = None,
    benchmark: KnownBenchmark = None,
    split: BenchmarkSplit = None,
    subset: Subset = False,
    window: Window = 1,
    method: Annotated[
        Literal["sao", "attention"],
        typer.Option(help="Smooth attention, or the raw last cross-attention block."),
    ] = "sao",
    leaks: Leaks = False,
    seed: Seed = 0,
) -> None:
    """Measure zero-shot segmentation by words against masks.

    \b
    Examples:
      geomammut eval segmentation --model runs/rsicd --images dubai/images --masks dubai/masks \\
          --classes dubai/classes.json -o dubai.json
      geomammut eval segmentation --model runs/rsicd --benchmark loveda --images LoveDA/Val -o loveda.json
    """
    from geomammut.evaluation.segmentation import eval_segmentation

    results = eval_segmentation(
        model,
        images,
        out,
        masks=masks,
        classes=classes,
        benchmark=benchmark,
        split=split,
        subset=subset,
        window=window,
        method=method,
        leaks=leaks,
        seed=seed,
    )
    print_metrics(results, out)


def eval_suite(
    suite: Annotated[Path, typer.Argument(metavar="SUITE.toml", exists=True, dir_okay=False)],
    models: Annotated[
        list[str],
        typer.Option(metavar="MODEL...", help="What --model of the other verbs takes.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.", show_default=False)],
    data: Annotated[
        Path, typer.Option(help="Folder that the suite's paths start from.", exists=True, file_okay=False)
    ] = Path(),
    seed: Annotated[int | None, typer.Option(help="Replaces the suite's seed.", show_default=False)] = None,
) -> None:
    """Measure models on many benchmarks: a JSON each, and a table of all beside published figures.

    Run it again to go on: what did not change is not measured twice.

    \b
    Example:
      geomammut eval suite recipes/suite_small.toml --models runs/rsicd open_clip:ViT-B-32/laion2b_s34b_b79k \\
          --data benchmarks -o results
    """
    from geomammut.evaluation.suite import eval_suite

    print_path(eval_suite(suite, models, out, data=data, seed=seed)["table"])
