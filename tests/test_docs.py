"""The documentation site: it builds, its links lead somewhere, and it asks nothing of the network."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from selectolax.lexbor import LexborHTMLParser

import geomammut

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("README.md", "CONTRIBUTING.md", "zensical.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(DOCS, folder / "docs")
    (folder / "src").symlink_to(ROOT / "src")
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    (folder / "Makefile").write_text(rules.replace(".venv: .venv/.ready", ".venv:"), encoding="utf-8")  # it is here
    make = ["make", "docs", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(make, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def pages(site: Path) -> dict[Path, LexborHTMLParser]:
    found = {path: LexborHTMLParser(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    del found[site / "404.html"]  # its links start at the root of a server
    return found


def test_every_link_leads_to_a_page_and_a_place_in_it(site: Path) -> None:
    parsed = pages(site)
    assert len(parsed) > 15
    places = {path: {node.attributes["id"] for node in page.css("[id]")} for path, page in parsed.items()}
    broken = []
    for path, page in parsed.items():
        for node in page.css("a[href], img[src], script[src], link[href]"):
            parts = urlsplit(node.attributes.get("href") or node.attributes.get("src") or "")
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in places.get(target, ())):
                broken.append(f"{path.name}: {parts.geturl()}")
    assert not broken


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = [
        node.attributes.get("href") or node.attributes.get("src") or ""
        for page in pages(site).values()
        for node in page.css("script[src], img[src], iframe[src], link[rel=stylesheet], link[rel=preconnect]")
    ]
    assert fetched
    assert [address for address in fetched if urlsplit(address).netloc] == []


def test_no_reference_is_left_as_it_was_written(site: Path) -> None:
    for path, page in pages(site).items():
        for node in page.css("article pre, article code"):
            node.decompose()
        body = page.css_first("article")
        assert body is not None
        assert not re.findall(r"\]\[[a-z]|--8<--|:::", body.text()), path.name


def test_every_verb_is_on_the_command_lines_page(site: Path) -> None:
    page = LexborHTMLParser((site / "reference" / "commands.html").read_text(encoding="utf-8"))
    titles = {node.text().rstrip("¶") for node in page.css("h2, h3")}
    assert {"geomammut train", "geomammut pairs landmarks", "geomammut eval suite"} <= titles


def test_every_page_is_in_the_contents() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))

    def listed(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in listed(part)]

    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | {"reference/commands.md"}
    assert sorted(listed(config["project"]["nav"])) == sorted(written)


def test_every_public_name_is_in_the_python_reference() -> None:
    told = re.findall(r"^::: geomammut\.(\S+)$", (DOCS / "reference" / "python.md").read_text("utf-8"), re.MULTILINE)
    assert {f"{home}.{name}" for name, home in geomammut._HOMES.items()} <= set(told)
