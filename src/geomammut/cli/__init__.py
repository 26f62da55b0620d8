"""The command line: it parses, and calls the public function of the same name and arguments.

The verbs of a room stand in the file of the room's name. Each imports its room when it runs, so that `--help` and a
misspelt option answer at once.
"""

import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer

from geomammut import __version__
from geomammut.cli.benchmarks import benchmarks_add, benchmarks_list, benchmarks_remove
from geomammut.cli.demo import demo
from geomammut.cli.evaluation import eval_captioning, eval_classification, eval_retrieval, eval_segmentation, eval_suite
from geomammut.cli.landmarks import landmarks
from geomammut.cli.localization import heatmap, localize, segment
from geomammut.cli.model import model_card, model_export, model_import, model_info, model_push
from geomammut.cli.options import ManyPaths
from geomammut.cli.pairs import pairs_check, pairs_import, pairs_landmarks, pairs_preview, pairs_web
from geomammut.cli.search import index, search, serve
from geomammut.cli.training import train, web_train_classifier, web_train_text_classifier
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


def group(name: str, about: str) -> typer.Typer:
    """Return a new group of verbs within the app."""
    verbs = typer.Typer(rich_markup_mode=None, invoke_without_command=True, callback=show_help)
    app.add_typer(verbs, name=name, help=about)
    return verbs


app.command("demo")(demo)
app.command("landmarks")(landmarks)
app.command("train")(train)
app.command("heatmap")(heatmap)
app.command("segment")(segment)
app.command("localize")(localize)
app.command("index", cls=ManyPaths)(index)
app.command("search")(search)
app.command("serve")(serve)

of_pairs = group("pairs", "Make and check sets of image–caption pairs.")
of_pairs.command("landmarks", cls=ManyPaths)(pairs_landmarks)
of_pairs.command("web")(pairs_web)
of_pairs.command("import")(pairs_import)
of_pairs.command("check")(pairs_check)
of_pairs.command("preview")(pairs_preview)

of_web = group("web", "Train what judges the web's texts and pictures.")
of_web.command("train-classifier", cls=ManyPaths)(web_train_classifier)
of_web.command("train-text-classifier", cls=ManyPaths)(web_train_text_classifier)

of_benchmarks = group("benchmarks", "Register the benchmarks that no pair of the web may repeat.")
of_benchmarks.command("add")(benchmarks_add)
of_benchmarks.command("list")(benchmarks_list)
of_benchmarks.command("remove")(benchmarks_remove)

of_eval = group("eval", "Measure a model: retrieval, classification, segmentation.")
of_eval.command("retrieval")(eval_retrieval)
of_eval.command("classification")(eval_classification)
of_eval.command("captioning")(eval_captioning)
of_eval.command("segmentation")(eval_segmentation)
of_eval.command("suite", cls=ManyPaths)(eval_suite)

of_model = group("model", "Look at a model, or bring one in.")
of_model.command("info")(model_info)
of_model.command("import")(model_import)
of_model.command("export")(model_export)
of_model.command("card", cls=ManyPaths)(model_card)
of_model.command("push")(model_push)


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
