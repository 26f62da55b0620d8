"""The command line parses, calls the function of the same name, and tells mistakes in one line."""

import ast
import errno
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geomammut
from geomammut import cli
from geomammut.cli.options import parse_bbox
from geomammut.errors import UserError

SOURCE = Path(geomammut.__file__).parent

# Each verb as it is typed, its public function, and the module where that is at home.
VERBS = {
    "demo": ("demo", "demo.demo"),
    "landmarks": ("landmarks", "landmarks.table"),
    "pairs landmarks": ("pairs_landmarks", "pairs.landmarks"),
    "pairs web": ("pairs_web", "pairs.web"),
    "pairs import": ("pairs_import", "pairs.benchmark"),
    "pairs check": ("pairs_check", "pairs.check"),
    "pairs preview": ("pairs_preview", "pairs.preview"),
    "web train-classifier": ("web_train_classifier", "training.aerial_classifier"),
    "web train-text-classifier": ("web_train_text_classifier", "pairs.web_stages.train_text_classifier"),
    "benchmarks add": ("benchmarks_add", "pairs.benchmark_register"),
    "benchmarks list": ("benchmarks_list", "pairs.benchmark_register"),
    "benchmarks remove": ("benchmarks_remove", "pairs.benchmark_register"),
    "train": ("train", "training.trainer"),
    "eval retrieval": ("eval_retrieval", "evaluation.retrieval"),
    "eval classification": ("eval_classification", "evaluation.classification"),
    "eval captioning": ("eval_captioning", "evaluation.captioning"),
    "eval segmentation": ("eval_segmentation", "evaluation.segmentation"),
    "eval suite": ("eval_suite", "evaluation.suite"),
    "heatmap": ("heatmap", "localization.heatmaps"),
    "segment": ("segment", "localization.segments"),
    "localize": ("localize", "localization.rounds"),
    "index": ("index", "search.index"),
    "search": ("search", "search.query"),
    "serve": ("serve", "search.server.serve"),
    "model info": ("model_info", "model.load"),
    "model import": ("model_import", "model.load"),
    "model export": ("model_export", "model.load"),
    "model push": ("model_push", "model.load"),
    "model card": ("model_card", "evaluation.model_card"),
}


class Call:
    """What a verb's function was called with, and what it shall answer or raise."""

    def __init__(self) -> None:
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.answer: Any = Path("answer")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.args, self.kwargs = args, kwargs
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def stand_in(monkeypatch: pytest.MonkeyPatch, verb: str) -> Call:
    """Put a recorder in the place of a verb's function."""
    name, home = VERBS[verb]
    call = Call()
    module = ModuleType(f"geomammut.{home}")
    setattr(module, name, call)
    monkeypatch.setitem(sys.modules, f"geomammut.{home}", module)
    return call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of the right names, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for folder in ("pictures", "masks", "set"):
        (tmp_path / folder).mkdir()
    names = "map.osm.pbf a.tif b.tif land.parquet area.geojson table.csv words.json recipe.toml classes.json"
    for name in names.split():
        (tmp_path / name).write_text("")
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_a_seed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*verb.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"\n    geomammut {verb} " in text
    assert "--seed" in text


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_and_its_function_have_the_same_arguments(verb: str) -> None:
    """A notebook and the shell do the same thing: names, order and defaults agree."""
    name, home = VERBS[verb]
    tree = ast.parse((SOURCE / f"{home.replace('.', '/')}.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    positional = function.args.args
    required = len(positional) - len(function.args.defaults)
    arguments = [argument.arg for argument in (*positional, *function.args.kwonlyargs)]
    values = [*[None] * required, *function.args.defaults, *function.args.kw_defaults]
    defaults = dict(zip(arguments, values, strict=True))
    command = inspect.signature(getattr(cli, name)).parameters
    assert set(command) == set(defaults)
    for argument, parameter in command.items():
        node = defaults[argument]
        if node is None:
            assert parameter.default is inspect.Parameter.empty, argument
        elif isinstance(node, ast.Constant):
            assert parameter.default == node.value, argument
        else:  # Path("demo"), (), a named constant
            assert parameter.default is not inspect.Parameter.empty, argument


PAIRS_WEB = {
    "url_column": None,
    "text_column": None,
    "text_classifier": None,
    "classifier": None,
    "against": (),
    "leakage_guard": True,
    "writer": None,
    "model": None,
    "batch": False,
    "concurrency": 8,
    "timeout": 90.0,
    "requests_per_minute": None,
    "max_requests": None,
    "max_cost": None,
    "price_in": None,
    "price_out": None,
    "partition": 4096,
    "ray": None,
    "explain": None,
    "seed": 0,
}
PAIRS_LANDMARKS = {
    "size": 224,
    "gsd": 1.0,
    "area": None,
    "centred": False,
    "resampling": "cubic",
    "jpeg_quality": 90,
    "writer": "template",
    "model": None,
    "batch": False,
    "concurrency": 8,
    "timeout": 90.0,
    "requests_per_minute": None,
    "max_requests": None,
    "max_cost": None,
    "price_in": None,
    "price_out": None,
    "dry_run": False,
    "partition": 4096,
    "ray": None,
    "seed": 0,
}
CALLS: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("demo", "", (Path("demo"),), {"minutes": 5.0, "seed": 0}),
    ("demo", "-o x --minutes 0.5 --seed 3", (Path("x"),), {"minutes": 0.5, "seed": 3}),
    (
        "landmarks",
        "map.osm.pbf -o t.parquet --bbox -9.5,38.75,-9.25,39",
        (Path("map.osm.pbf"), Path("t.parquet")),
        {"bbox": (-9.5, 38.75, -9.25, 39.0), "seed": 0},
    ),
    ("landmarks", "map.osm.pbf -o t", (Path("map.osm.pbf"), Path("t")), {"bbox": None, "seed": 0}),
    (
        "pairs landmarks",
        "--imagery a.tif b.tif --landmarks land.parquet -o p --imagery=pictures",
        (["a.tif", "b.tif", "pictures"], Path("land.parquet"), Path("p")),
        PAIRS_LANDMARKS,
    ),
    (
        "pairs landmarks",
        "-o p --landmarks land.parquet --size 128 --gsd 0.5 --area area.geojson --writer google --model m "
        "--batch --concurrency 2 --timeout 9 --requests-per-minute 60 --max-requests 5 --max-cost 0.5 "
        "--price-in 0.1 --price-out 0.4 --dry-run --seed 1 --centred --resampling average --jpeg-quality 75 "
        "--imagery https://a.org/search?limit=2",
        (["https://a.org/search?limit=2"], Path("land.parquet"), Path("p")),
        {
            **PAIRS_LANDMARKS,
            "size": 128,
            "gsd": 0.5,
            "area": Path("area.geojson"),
            "centred": True,
            "resampling": "average",
            "jpeg_quality": 75,
            "writer": "google",
            "model": "m",
            "batch": True,
            "concurrency": 2,
            "timeout": 9.0,
            "requests_per_minute": 60.0,
            "max_requests": 5,
            "max_cost": 0.5,
            "price_in": 0.1,
            "price_out": 0.4,
            "dry_run": True,
            "seed": 1,
        },
    ),
    ("pairs web", "table.csv -o w", (["table.csv"], Path("w")), PAIRS_WEB),
    (
        "pairs web",
        "a.csv b.csv -o w --classifier m --partition 9 --ray local",
        (["a.csv", "b.csv"], Path("w")),
        PAIRS_WEB | {"classifier": "m", "partition": 9, "ray": "local"},
    ),
    (
        "pairs import",
        "--annotations words.json --images pictures --split train -o p",
        (Path("words.json"), Path("pictures"), "train", Path("p")),
        {"seed": 0},
    ),
    ("pairs check", "set", (Path("set"),), {"seed": 0}),
    ("benchmarks add", "set", (Path("set"),), {"name": None, "annotations": None, "split": None, "seed": 0}),
    (
        "benchmarks add",
        "pictures --name p --annotations words.json --split test",
        (Path("pictures"),),
        {"name": "p", "annotations": Path("words.json"), "split": "test", "seed": 0},
    ),
    ("benchmarks remove", "p", ("p",), {"seed": 0}),
    ("pairs preview", "set -o s.png --count 3", (Path("set"), Path("s.png")), {"count": 3, "seed": 0}),
    (
        "train",
        "recipe.toml -o m --resume --set optimizer.lr=5e-4 --set a.b=c",
        (Path("recipe.toml"), Path("m")),
        {"resume": True, "overrides": ["optimizer.lr=5e-4", "a.b=c"], "seed": None},
    ),
    (
        "localize",
        "recipe.toml -o m --seed 4",
        (Path("recipe.toml"), Path("m")),
        {"resume": False, "overrides": (), "seed": 4},
    ),
    (
        "index",
        "a.tif b.tif -o i --model m --gsd 0.5 --stride 112 --workers 2 --ray local",
        (["a.tif", "b.tif"], Path("i"), "m"),
        {"size": 224, "gsd": 0.5, "stride": 112, "workers": 2, "ray": "local", "seed": 0},
    ),
    (
        "serve",
        "set --host 0.0.0.0 --port 0 --token t",
        (Path("set"),),
        {"host": "0.0.0.0", "port": 0, "token": "t", "model": None, "seed": 0},
    ),
    (
        "search",
        "i tanks -o h.html --not lakes --not ponds --bbox -1,2,3,4 --since 2020 --until 2021 --source a.tif -k 5",
        (Path("i"), "tanks"),
        {
            "out": Path("h.html"),
            "image": None,
            "without": ["lakes", "ponds"],
            "bbox": (-1.0, 2.0, 3.0, 4.0),
            "since": "2020",
            "until": "2021",
            "source": ["a.tif"],
            "k": 5,
            "model": None,
            "seed": 0,
        },
    ),
    (
        "heatmap",
        "--model m a.tif --text boats -o h.png --window 3",
        ("m", Path("a.tif"), "boats", Path("h.png")),
        {"window": 3, "seed": 0},
    ),
    (
        "segment",
        "--model m a.tif --classes road,water -o s.tif --geojson s.geojson --picture s.png --window 0,1,3",
        ("m", Path("a.tif"), "road,water", Path("s.tif")),
        {
            "geojson": Path("s.geojson"),
            "probabilities": None,
            "picture": Path("s.png"),
            "window": (0, 1, 3),
            "seed": 0,
        },
    ),
    ("model import", "hub/name -o m", ("hub/name", Path("m")), {"seed": 0}),
]


@pytest.mark.parametrize(("verb", "words", "args", "kwargs"), CALLS)
def test_a_verb_calls_its_function(
    verb: str,
    words: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = stand_in(monkeypatch, verb)
    assert cli.main([*verb.split(), *words.split()]) == 0
    assert (call.args, call.kwargs) == (args, kwargs)


def test_a_trained_text_classifier_is_told_by_its_metrics(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = stand_in(monkeypatch, "web train-text-classifier")
    call.answer = {"metrics": {"recall": 0.98, "threshold": 0.5}}
    words = "--positives table.csv words.json --negatives table.csv -o c --recall 0.9"
    assert cli.main(["web", "train-text-classifier", *words.split()]) == 0
    assert call.args == ([Path("table.csv"), Path("words.json")], [Path("table.csv")], Path("c"))
    assert call.kwargs == {"recall": 0.9, "seed": 0}
    told = capsys.readouterr().out.splitlines()
    assert [line.split() for line in told] == [["recall", "0.9800"], ["threshold", "0.5000"], ["c"]]


def test_a_trained_classifier_is_told_by_its_metrics(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = stand_in(monkeypatch, "web train-classifier")
    call.answer = {"metrics": {"auc": 0.99125, "threshold": 0.5}}
    words = "--positives pictures set --negatives masks -o c --encoder m --recall 0.9 --seed 2"
    assert cli.main(["web", "train-classifier", *words.split()]) == 0
    assert call.args == ([Path("pictures"), Path("set")], [Path("masks")], Path("c"))
    assert call.kwargs == {"encoder": "m", "samples": 60_000, "recall": 0.9, "seed": 2}
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["auc", "0.9912"],
        ["threshold", "0.5000"],
        ["c"],
    ]


METRICS = {"metrics": {"mR": 20.25, "per_class": {"road": 1.0}}}
EVALUATIONS: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    (
        "eval retrieval",
        "--annotations words.json --images pictures --split val --protocol skyscript",
        ("m", Path("r.json")),
        {
            "annotations": Path("words.json"),
            "images": Path("pictures"),
            "split": "val",
            "pairs": None,
            "benchmark": None,
            "subset": False,
            "protocol": "skyscript",
            "image_embeddings": None,
            "text_embeddings": None,
            "cache": None,
            "leaks": False,
            "seed": 0,
        },
    ),
    (
        "eval classification",
        "--images pictures --prompts remoteclip --classnames words.json",
        ("m", Path("pictures"), Path("r.json")),
        {
            "prompts": "remoteclip",
            "classnames": Path("words.json"),
            "holdout": None,
            "benchmark": None,
            "split": None,
            "subset": False,
            "image_embeddings": None,
            "text_embeddings": None,
            "cache": None,
            "leaks": False,
            "seed": 0,
        },
    ),
    (
        "eval segmentation",
        "--images pictures --masks masks --classes classes.json --window 0 --method attention",
        ("m", Path("pictures"), Path("r.json")),
        {
            "masks": Path("masks"),
            "classes": Path("classes.json"),
            "benchmark": None,
            "split": None,
            "subset": False,
            "window": 0,
            "method": "attention",
            "leaks": False,
            "seed": 0,
        },
    ),
]


@pytest.mark.parametrize(("verb", "words", "args", "kwargs"), EVALUATIONS)
def test_an_evaluation_prints_its_metrics(
    verb: str,
    words: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = stand_in(monkeypatch, verb)
    call.answer = METRICS
    assert cli.main([*verb.split(), "--model", "m", *words.split(), "-o", "r.json"]) == 0
    assert (call.args, call.kwargs) == (args, kwargs)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["mR", "20.25"], ["r.json"]]


def test_model_info_prints_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, "model info").answer = {"parameters": 3, "at": Path("m")}
    assert cli.main(["model", "info", "m"]) == 0
    assert json.loads(capsys.readouterr().out) == {"parameters": 3, "at": "m"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("landmarks map.osm.pbf -o t --sede 1", "--seed"),
        ("tran", "'train'"),
        ("landmarks missing.pbf -o t", "missing.pbf"),
        ("landmarks map.osm.pbf", "--out"),
        ("landmarks map.osm.pbf -o t --bbox 1,2,3", "W,S,E,N"),
        ("landmarks map.osm.pbf -o t --bbox w,s,e,n", "W,S,E,N"),
        ("pairs landmarks --imagery a.tif nope.tif --landmarks land.parquet -o p", "nope.tif"),
        ("pairs landmarks --imagery a.tif --landmarks land.parquet -o p --writer templte", "'template'"),
        ("pairs landmarks --landmarks land.parquet -o p", "--imagery"),
        ("pairs landmarks --imagery a.tif --landmarks land.parquet -o p --size many", "'--size'"),
        ("pairs check nowhere", "nowhere"),
        ("pairs", None),
        ("eval retrieval --model m --pairs set -o r --protocol instanse", "'instance'"),
        ("heatmap --model m a.tif --text boats -o h.png --window -1", "'--window'"),
        ("heatmap --model m a.tif --text boats -o h.png --window 1,wide", "such as 0,1,3"),
        ("train pictures -o m", "pictures"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    words: str, told: str | None, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if told is None:  # a group alone is no mistake: it shows its verbs
        assert cli.main(words.split()) == 0
        assert "landmarks" in capsys.readouterr().out
    else:
        assert cli.main(words.split()) == 2
        line = one_line(capsys)
        assert told in line
        assert "--help'" in line


def wrapped(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("the table is empty\nin land.parquet"), "error: the table is empty in land.parquet"),
        (
            wrapped(RuntimeError("a task failed"), UserError("no such column: url")),
            "error: no such column: url",
        ),
        (FULL, "no space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left"),
        (OSError(errno.EFBIG, "File too large"), "no space left"),
        (wrapped(ValueError("cannot save"), FULL), "no space left"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left"),
        (wrapped(RuntimeError("Write failed."), RuntimeError("TIFFAppendToStrip:Write error")), "space left"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.vrt"), "error: x.vrt: No such file"),
        (PermissionError(errno.EACCES, "Permission denied", "m"), "error: m: Permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "m"), "error: m: Is a directory"),
    ],
)
def test_what_the_user_can_mend_is_told_in_one_line(
    error: Exception,
    told: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch, "train").answer = error
    assert cli.main(["train", "recipe.toml", "-o", "models/new"]) == 2
    line = one_line(capsys)
    assert told in line
    if "space left" in told:
        assert "models/new" in line


@pytest.mark.parametrize("place", [0, 1, 4])
def test_debug_shows_the_traceback_wherever_it_stands(
    place: int, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, "train").answer = UserError("the table is empty")
    words = ["train", "recipe.toml", "-o", "m"]
    words.insert(place, "--debug")
    assert cli.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "error: the table is empty"


def test_an_error_of_ours_keeps_its_traceback(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is not passed off as the user's mistake."""
    stand_in(monkeypatch, "train").answer = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "recipe.toml", "-o", "m"])


def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    """The real process, interrupted as by a terminal."""
    program = (
        "import sys, time, types\n"
        "room = types.ModuleType('geomammut.demo.demo')\n"
        "def demo(*args, **kwargs): print('working', flush=True); time.sleep(60)\n"
        "room.demo = demo\n"
        "sys.modules['geomammut.demo.demo'] = room\n"
        "from geomammut.cli import main\n"
        "sys.exit(main(['demo']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.splitlines() == ["interrupted"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "geomammut 0.1.0\n"


degrees = st.floats(min_value=-180, max_value=180)


@given(st.tuples(degrees, degrees, degrees, degrees))
def test_a_bbox_is_read_as_written(box: tuple[float, float, float, float]) -> None:
    assert parse_bbox(",".join(map(repr, box))) == box


def test_bare_command_shows_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert all(verb.split()[0] in text for verb in VERBS)


def test_the_script_exits_with_the_codes(tmp_path: Path) -> None:
    """The installed command, not the function."""
    words = [str(Path(sys.executable).with_name("geomammut")), "train", "missing.toml", "-o", "m"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["tif", "parquet", "safetensors"])
def test_a_full_disk_is_told_whichever_library_meets_it(suffix: str, tmp_path: Path) -> None:
    """Real writes into a file that may not grow past 64 kB: each library words it in its own way."""
    program = f"""
import resource, sys, types
import numpy as np
from pathlib import Path
values = np.random.default_rng(0).integers(0, 255, (1, 1024, 1024), dtype=np.uint8)
def train(recipe, out, **kwargs):
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    path = str(out) + ".{suffix}"
    if "{suffix}" == "tif":
        import rasterio
        with rasterio.open(path, "w", width=1024, height=1024, count=1, dtype="uint8") as file:
            file.write(values)
    elif "{suffix}" == "parquet":
        import pyarrow, pyarrow.parquet
        pyarrow.parquet.write_table(pyarrow.table({{"values": values.ravel()}}), path)
    else:
        from safetensors.numpy import save_file
        save_file({{"values": values}}, path)
room = types.ModuleType("geomammut.training.trainer")
room.train = train
sys.modules["geomammut.training.trainer"] = room
from geomammut.cli import main
Path("recipe.toml").touch()
sys.exit(main(["train", "recipe.toml", "-o", "out"]))
"""
    words = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "space left" in done.stderr.splitlines()[-1]
