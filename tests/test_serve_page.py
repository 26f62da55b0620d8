"""The page, driven as a person would in a real browser; and the API, driven by its own description."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from fake_archive import SquaresArchive, served
from geomammut.search.server.page_files import MAP, page_files

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60_000  # ms that anything may take on a busy machine
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here to open the page in; apt-get install chromium")
    if MAP not in page_files():
        pytest.skip("MapLibre is not here; python hatch_build.py brings it from npm")
    started: Playwright
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of which nothing may go wrong: no error of a script, nothing that the policy forbids."""
    context = browser.new_context(viewport={"width": 860, "height": 420}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    expect.set_options(timeout=SECONDS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # Without its token the API answers 401; and tiles may still be asked for when a test has ended its server.
    expected = ("401", "ERR_CONNECTION_REFUSED")
    page.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type == "error" and not any(word in said.text for word in expected)
            else None
        ),
    )
    yield page
    context.close()
    assert wrong == []


def open_map(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#map canvas")).to_be_visible()
    expect(page.locator("#status.busy")).to_have_count(0)


def saved(page: Page, button: str, folder: Path) -> Path:
    """Click what downloads a file, and return where it is."""
    with page.expect_download() as download:
        page.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_type_click_draw_refine_and_download(page: Page, archive: SquaresArchive, tmp_path: Path) -> None:
    with served(archive) as address:
        open_map(page, address)
        page.fill("#text", "red roofs")
        page.press("#text", "Enter")
        expect(page.locator("#results li")).to_have_count(24)
        expect(page.locator("#status")).to_contain_text("24 places")

        places = json.loads(saved(page, "#save", tmp_path).read_text())["features"]
        assert [place["properties"]["rank"] for place in places] == list(range(1, 25))
        assert places[0]["geometry"]["type"] == "Polygon"

        with page.expect_response("**/api/heatmap") as heat:
            page.click("#results li:nth-child(2) .hit")
        assert heat.value.status == 200
        expect(page.locator("#place-title")).to_contain_text("Place 2")
        expect(page.locator("#heat-low")).not_to_be_empty()
        place = page.locator("#results li:nth-child(2)").get_attribute("data-id")
        assert f"place={place}" in page.url

        page.click("#draw")
        box = page.locator("#drawing").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=4)
        with page.expect_response("**/api/search"):
            page.mouse.up()
        expect(page.locator("#chosen")).to_contain_text("in the box")
        assert "box=" in page.url

        with page.expect_response("**/api/search") as refined:
            page.click("#results li:nth-child(1) .up")
        assert len(json.loads(refined.value.request.post_data or "")["liked"]) == 1
        with page.expect_response("**/api/search"):
            page.click("#results li:nth-last-child(1) .down")
        expect(page.locator("#chosen")).to_contain_text("1 not liked")
        assert "like=" in page.url

        page.click("#segments-open")
        page.fill("#classes", "red, green, blue, yellow")
        page.click("#segments-body [type=submit]")
        expect(page.locator("#legend li")).to_have_count(4)
        assert json.loads(saved(page, "#as-geojson", tmp_path).read_text())["features"]
        with rasterio.open(saved(page, "#as-tif", tmp_path)) as mask:
            assert np.unique(mask.read(1)).size >= 2

        shared, found = page.url, page.locator("#results li").count()
        page.goto("about:blank")
        open_map(page, shared)
        expect(page.locator("#results li")).to_have_count(found)
        expect(page.locator("#text")).to_have_value("red roofs")
        expect(page.locator("#chosen")).to_contain_text("1 liked")


def test_the_map_shows_the_imagery(page: Page, archive: SquaresArchive) -> None:
    with served(archive) as address:
        with page.expect_response("**/api/tiles/**") as tile:
            open_map(page, address)
        assert tile.value.status == 200
        box = page.locator("#map").bounding_box()
        assert box is not None
        clip = {
            "x": box["x"] + box["width"] / 2 - 60,
            "y": box["y"] + box["height"] / 2 - 60,
            "width": 120,
            "height": 120,
        }
        for _ in range(120):
            picture = Image.open(io.BytesIO(page.screenshot(clip=clip, timeout=SECONDS)))  # type: ignore[arg-type]
            if np.asarray(picture.convert("RGB")).std(axis=(0, 1)).max() > 30:
                return
            page.wait_for_timeout(250)
        raise AssertionError("nothing but one colour")


def test_the_keyboard_is_enough(page: Page, archive: SquaresArchive) -> None:
    with served(archive) as address:
        open_map(page, address)
        page.locator("h1 a").focus()
        page.keyboard.press("/")
        page.keyboard.type("blue")
        page.keyboard.press("Enter")
        expect(page.locator("#results li")).to_have_count(24)
        page.locator("#results li:first-child .hit").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#place")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#place")).to_be_hidden()
        unnamed = page.evaluate(
            """[...document.querySelectorAll("button, input, select, textarea, a")]
                 .filter((one) => !(one.textContent.trim() || one.ariaLabel || one.title || one.labels?.length))
                 .map((one) => one.outerHTML)"""
        )
        assert unnamed == []


def test_on_a_phone_the_map_stays_above_the_places(page: Page, archive: SquaresArchive) -> None:
    page.set_viewport_size({"width": 390, "height": 700})
    with served(archive) as address:
        open_map(page, f"{address}/#q=green")
        page.locator("#results li:last-child").scroll_into_view_if_needed()
        box = page.locator("#map").bounding_box()
        assert box is not None
        assert (box["y"], box["width"]) == (0, 390)
        assert box["height"] > 300
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_token_is_asked_for_once(page: Page, archive: SquaresArchive) -> None:
    with served(archive, token=TOKEN) as address:
        page.goto(address)
        expect(page.locator("#ask")).to_be_visible()
        page.fill("#token", "wrong")
        page.press("#token", "Enter")
        expect(page.locator("#ask-problem")).to_have_text("this is not the token")
        page.fill("#token", TOKEN)
        page.press("#token", "Enter")
        expect(page.locator("#about")).to_contain_text("64 chips")
        page.reload()
        expect(page.locator("#about")).to_contain_text("64 chips")


def test_the_api_is_as_it_describes_itself(archive: SquaresArchive, tmp_path: Path) -> None:
    """schemathesis asks what the description allows and what it forbids, here briefly: `--phases coverage` asks more.

    What is of the right form may still be refused by 400, as described: base64 of no picture, a box without imagery.
    """
    accepted = 'expected-statuses = ["2xx", "400", "404"]'
    (tmp_path / "schemathesis.toml").write_text(f"[checks.positive_data_acceptance]\n{accepted}\n")
    with served(archive) as address:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--max-examples", "12"]
        done = subprocess.run(
            [*command, "--seed", "1", "--phases", "examples,fuzzing", "--no-color"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
