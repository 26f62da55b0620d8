"""The house keeps its shape: imports flow one way, nothing heavy loads before it is used."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import geomammut

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "geomammut"
MODULES = {
    ".".join(("geomammut", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}

# Each room and those it may import from, after DESIGN §2.
ROOMS = {
    "landmarks": set[str](),
    "imagery": set[str](),
    "pairs": {"landmarks", "imagery"},
    "model": set[str](),
    "training": {"landmarks", "imagery", "pairs", "model"},
    "evaluation": {"landmarks", "imagery", "pairs", "model", "training"},
    "localization": {"landmarks", "imagery", "pairs", "model", "training", "evaluation"},
    "search": {"landmarks", "imagery", "pairs", "model", "training", "evaluation", "localization"},
    "demo": {"landmarks", "imagery", "pairs", "model", "training", "evaluation", "localization", "search"},
}
COMMON = {"errors", "files", "markup", "pictures", "progress"}  # what every room stands on
# `pairs web --classifier MODEL` loads a model or a classifier when it is asked for one, and only then.
# A recipe's `[evaluate]` scores the model while it trains.
LAZY_EXCEPTIONS = {
    ("pairs", "geomammut.model.load"),
    ("pairs", "geomammut.model.aerial_classifier"),
    ("training", "geomammut.evaluation.retrieval"),
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def as_it_loads(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that stand in no function."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from as_it_loads(node)


def imported(path: Path, *, at_top: bool = False) -> Iterator[str]:
    """Yield the dotted names that a file imports, anywhere in it or only as it loads."""
    tree = parsed(path)
    for node in as_it_loads(tree) if at_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            assert node.module is not None
            for name in node.names:
                yield f"{node.module}.{name.name}"


def module_of(name: str) -> str | None:
    """Return the module of ours that a dotted name leads to, through the package's lazy names too."""
    parts = name.split(".")
    if parts[0] != "geomammut":
        return None
    if len(parts) > 1 and parts[1] in geomammut._HOMES:
        return f"geomammut.{geomammut._HOMES[parts[1]]}"
    while ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


def ours(path: Path, *, at_top: bool = False) -> set[str]:
    return {module for name in imported(path, at_top=at_top) if (module := module_of(name))}


def room_of(module: str) -> str:
    """Return the room of a module, or its own name where it stands outside the rooms."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", MODULES)
def test_imports_flow_one_way(module: str) -> None:
    room = room_of(module)
    wrong = set()
    for other in ours(MODULES[module]):
        to = room_of(other)
        allowed = to in {"", room} | COMMON | ROOMS.get(room, set())
        if room in {"cli", "__main__"}:
            allowed = True
        elif (room, other) in LAZY_EXCEPTIONS:
            allowed = other not in ours(MODULES[module], at_top=True)
        if not allowed:
            wrong.add(other)
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))} (DESIGN §2)"


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: ours(path) - {module, "geomammut"} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' → '.join(error.args[1])}")


def test_nothing_imports_the_command_line() -> None:
    others = [module for module in MODULES if room_of(module) not in {"cli", "__main__"}]
    assert [module for module in others if "cli" in map(room_of, ours(MODULES[module]))] == []


def test_every_room_is_known_and_no_file_is_a_drawer() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == {*ROOMS, "cli"}
    drawers = {"util", "utils", "helpers", "common", "misc", "manager", "managers"}
    assert [module for module in MODULES if module.rsplit(".", 1)[-1] in drawers] == []
    assert [
        (module, lines)
        for module, path in MODULES.items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 600
    ] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_loads_nothing_by_itself(room: str) -> None:
    body = ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8")).body
    assert all(isinstance(node, ast.Expr) for node in body), f"{room}/__init__.py is for a docstring only"


def test_every_library_is_declared() -> None:
    """A fresh set-up has what pyproject.toml names; what came along with another package may go away."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    import_names = {"open_clip_torch": "open_clip", "google_genai": "google", "pillow": "pil"}

    def names(lines: list[str]) -> set[str]:
        declared = {re.split(r"[\[<>=~! ]", line)[0].lower().replace("-", "_") for line in lines}
        return {import_names.get(name, name) for name in declared}

    known = names(project["dependencies"]) | set(sys.stdlib_module_names) | {"geomammut"}
    extras = {
        name for extra, lines in project["optional-dependencies"].items() if extra != "test" for name in names(lines)
    }
    at_top = {name.split(".")[0] for path in MODULES.values() for name in imported(path, at_top=True)}
    used = {name.split(".")[0] for path in MODULES.values() for name in imported(path)}
    assert {name for name in at_top if name.lower() not in known} == set()
    assert {name for name in used if name.lower() not in known | extras} == set()


def test_constraints_are_names_and_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+]+", line)] == []
    assert "torch==2.15.0" in lines


HEAVY = ("torch", "torchvision", "daft", "rasterio", "geopandas", "pandas", "open_clip", "numpy", "PIL")


@pytest.mark.parametrize(
    "code",
    [
        "import geomammut",
        "from geomammut.cli import main; assert main(['--help']) == 0",
        "from geomammut.cli import main; assert main(['eval', 'segmentation', '--help']) == 0",
        "from geomammut.cli import main; assert main(['train', 'missing.toml', '-o', 'x']) == 2",
    ],
)
def test_nothing_heavy_loads_before_it_is_used(code: str) -> None:
    """Help and a misspelt path answer at once, because no library of numbers is loaded for them."""
    report = f"{code}\nimport sys; print('LOADED', *(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
