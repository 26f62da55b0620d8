"""Words of the web: which alt-texts speak of an image from above, and what caption an alt-text holds."""

import contextlib
import csv
import re
import time
import unicodedata
from pathlib import Path

import daft
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geomammut.pairs.web_stages.alt_text import clean_alt_text, language_of
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.text import judge, rules, text_stage


def verdicts(*alt_texts: str | None) -> list[str | None]:
    frame = daft.from_arrow(pa.table({"alt_text": pa.array(alt_texts, pa.string())}))
    reasons: list[str | None] = text_stage(frame).to_pydict()["reason"]
    return reasons


# Rules


def test_alt_texts_of_images_from_above_pass() -> None:
    from_above = [
        "Aerial view of Lisbon harbour",
        "AERIAL black-and-white photograph of a dam",
        "a bird’s-eye view of the old town",
        "Sentinel-2 image of the Po delta",
        "the village, photographed from a helicopter",
        "Satellite dish farm near Raisting, aerial photo",
        "Luftbildaufnahme von Ulm",
        "Vue aerienne de Paris",
        "Vista aérea de la Plaza Mayor",
        "Вид с воздуха на Казань",
        "北京航拍全景",
        "空撮 東京湾の港",
        "Video Drone Footage of Athens",
    ]
    assert dict(zip(from_above, verdicts(*from_above), strict=True)) == dict.fromkeys(from_above)


def test_other_alt_texts_fail_and_say_why() -> None:
    others = {
        "Satellites: Orbits and Energy": "no keyword",
        "Satellite dish on a roof": "excluded phrase",
        "photo of a satellite TV receiver, image view": "excluded phrase",
        "Satellite dish photo": "excluded phrase",
        "RAM Memoria Toshiba Satellite L300D-242 4GB": "excluded phrase",
        "Drone for sale, picture of the box": "excluded phrase",
        "Bird's-eye maple veneer": "excluded phrase",
        "Aerial yoga photo shoot": "excluded phrase",
        "materially viewed": "no keyword",
        "Aerial view of a city, vector illustration": "not a photograph",
        "Overhead shot of pancakes for breakfast": "not a landscape",
        "  ": "no alt-text",
        None: "no alt-text",
        "Tavern Brawl by velinov": "no keyword",
    }
    assert dict(zip(others, verdicts(*others), strict=True)) == others


def test_text_stage_keeps_order_and_names_the_keyword() -> None:
    frame = daft.from_pydict({"alt_text": ["a cat", "An Aerial-Photo of a farm", None], "row": [5, 6, 7]})
    assert text_stage(frame).to_pydict() == {
        "alt_text": ["a cat", "An Aerial-Photo of a farm", None],
        "row": [5, 6, 7],
        "reason": ["no keyword", None, "no alt-text"],
        "keyword": [None, "aerial photo", None],
        "text_score": [None, None, None],
    }


def test_remote_sensing_captions_pass_and_the_open_web_hardly(shared_data: Path) -> None:
    with (shared_data / "web" / "rs5m_captions_10000.csv").open(encoding="utf-8") as file:
        captions = [row["caption"] for row in csv.DictReader(file)]
    words = (
        "aerial",
        "satellite",
        "drone",
        "bird's eye",
        "google earth",
        "ground sample distance",
        "from space",
    )
    worded = [caption for caption in captions if any(word in caption.lower() for word in words)]
    assert len(worded) > 9000
    assert verdicts(*worded).count(None) >= 0.98 * len(worded)

    alt_texts = pq.read_table(shared_data / "web" / "alttext_10000.parquet")["TEXT"].to_pylist()
    kept = [text for text, reason in zip(alt_texts, verdicts(*alt_texts), strict=True) if reason is None]
    assert "Aerial of Palmerston Island, Cook Islands" in kept
    assert "Satellites: Orbits and Energy" not in kept
    assert 5 <= len(kept) <= 20


def plainly(text: str) -> str | None:
    """Judge one text by the rules as the file states them, phrase by phrase."""

    def fold(words: str) -> str:
        letters = re.sub("[\u0300-\u036f'’´`]", "", unicodedata.normalize("NFD", words).lower())
        return re.sub(r"[\s_-]+", " ", letters)

    def pattern(phrase: str) -> str:
        begins = r"(?a:\b)" if phrase[0].isascii() else ""
        ends = "" if phrase.endswith("*") or not phrase[-1].isascii() else r"(?a:\b)"
        return begins + fold(phrase).removesuffix("*") + ends

    def speaks(words: str) -> bool:
        for language in rules()["languages"].values():
            if any(re.search(pattern(phrase), words) for phrase in language["phrases"]):
                return True
            for near in language.get("near", ()):
                for first in near["first"]:
                    after = rf"{pattern(first)}(?: [^ ]+){{0,{rules()['gap']}}} "
                    if re.search(rf"\b{fold(first)}\b", words) and any(
                        re.search(after + pattern(then), words) for then in near["then"]
                    ):
                        return True
        return False

    words = fold(text)
    if not re.search(r"[^\W_]", text):
        return "no alt-text"
    left = words
    for phrases in rules()["excluded"].values():
        for phrase in phrases:
            left = re.sub(pattern(phrase), " ¦ ", left)
    if not speaks(left):
        return "no keyword" if left == words else "excluded phrase"
    for reason, phrases in rules()["dropped"].items():
        if any(re.search(pattern(phrase), words) for phrase in phrases):
            return reason
    return None


PIECES = [
    *(
        "Aerial",
        "aérial",
        "ae\u0301rial",
        "view",
        "VIEW",
        "photo",
        "Bird's",
        "bird’s",
        "birds",
        "eye",
        "from",
        "the",
        "air",
    ),
    *("-", "_", " ", "  ", "\t", "'", "`", ",", "\u00a0", "x", "a", "of", "satellite", "dish", "tv", "vector", "pizza"),
    *("Luftbild", "Luft", "вид", "с", "воздуха", "航拍", "航", "kuş", "bakışı", "vue", "aérienne", "Aerienne"),
    *("overhead", "door", "drone"),
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@example("aer'ial vi-ew, Aerial-View")
@example("overhead 'door view")
def test_rules_over_columns_judge_as_the_rules_read(text: str) -> None:
    assert judge(pa.array([text])).field("reason").to_pylist() == [plainly(text)]


# Alt-text


@pytest.mark.parametrize(
    ("alt_text", "caption"),
    [
        ("Aerial view of a stadium | Stock Photo", "Aerial view of a stadium"),
        ("Aerial view of a stadium - royalty free stock image", "Aerial view of a stadium"),
        ("Stock Video Footage of Wide aerial shot of a tower", "Wide aerial shot of a tower"),
        ("DSC_0042.JPG aerial photo of a farm", "aerial photo of a farm"),
        ("<b>Aerial photo</b> of&nbsp;M&uuml;nster,   Germany", "Aerial photo of Münster, Germany"),
        ("Satellite image of Oslo, $12.99", "Satellite image of Oslo"),
        ("Aerial image of a pier © 2019 Jane Doe", "Aerial image of a pier"),
        ("Aerial view of Rio (rio-1.jpg) 1920x1080", "Aerial view of Rio"),
        ("Los Angeles Aerials - Aerials of Los Angeles", "Los Angeles Aerials - Aerials of Los Angeles"),
        ("北京航拍全景", "北京航拍全景"),
        ("Aerial view of a stadium — Stock Photo #4586550", "Aerial view of a stadium"),
        ("Farm from the air | DJI_0042 | Photo 12345678", "Farm from the air"),
        ("high angle view of a quay - stock videos & royalty-free footage", "high angle view of a quay"),
        ("river delta from space.JPG", "river delta from space"),
        ("Aerial view of a field shot with DJI Mavic 2 Pro at f/2.8", "Aerial view of a field shot"),
        ("Satellite image of the delta at 30 m, 12.5 MB - 4000 x 3000", "Satellite image of the delta at 30 m"),
        ('"Aerial view of ""the Needle"" tower"', 'Aerial view of "the Needle" tower'),
        ("Drought seen from the air costs $1.2 million", "Drought seen from the air costs $1.2 million"),
    ],
)
def test_alt_text_becomes_a_caption(alt_text: str, caption: str) -> None:
    assert clean_alt_text(alt_text) == caption


@pytest.mark.parametrize(
    ("alt_text", "caption"),
    [
        ("Aerial view of the dam, photographed by John B. Smith", "Aerial view of the dam"),
        ("Aerial view of the dam. Photo: Jane Doe, Getty Images", "Aerial view of the dam."),
        ("The bay from the air (AP Photo/Jane Doe)", "The bay from the air"),
        ("Aerial shot by Jane Doe of the harbour", "Aerial shot of the harbour"),
        ("Photo by Jane Doe: an island from the air", "an island from the air"),
        ("The delta from space, courtesy of Jane Doe", "The delta from space"),
        ("Oslo from the air / by Jane Doe", "Oslo from the air"),
        ("The delta from space. Photo courtesy of delta.com", "The delta from space."),
        ("Aerial photo of the farm, jane.doe+x@farm.example", "Aerial photo of the farm"),
        ("Farm from the air, tel. +44 20 7946 0958", "Farm from the air"),
        ("Farm from the air via @jane_doe", "Farm from the air"),
        # What only looks like a credit stays, and so does a person whom no credit names.
        ("Image of Mount Fuji taken by NASA", "Image of Mount Fuji taken by NASA"),
        ("satellite image captured by Sentinel-2", "satellite image captured by Sentinel-2"),
        ("Aerial photo: Lake Como and Bellagio", "Aerial photo: Lake Como and Bellagio"),
        ("aerial picture of Dimond Hill Farm", "aerial picture of Dimond Hill Farm"),
        ("Jane Doe above Lake Como", "Jane Doe above Lake Como"),
    ],
)
def test_credits_and_addresses_leave_a_caption(alt_text: str, caption: str) -> None:
    assert clean_alt_text(alt_text) == caption


@pytest.mark.parametrize(
    "piece", ["a-", "<", "(", "A ", "by A ", "@a", "1 ", "a.a.", "©", "photo by ", "+1 2", "| ", "&amp;", "a@", "Xa."]
)
def test_no_alt_text_takes_long_to_clean(piece: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(Dropped):
        clean_alt_text(piece * 2000)
    assert time.perf_counter() - started < 5


def test_a_caption_is_tagged_with_its_language_or_with_none() -> None:
    captions = {
        "Aerial view of a farm near the river": "en",
        "Vue aérienne de Paris": "fr",
        "Luftbild von Ulm und der Donau": "de",
        "Вид с воздуха на Казань": "ru",
        "北京航拍全景": "zh",
        "항공사진 서울": "ko",
        "Lisboa Rio Oslo": None,
    }
    assert {caption: language_of(caption) for caption in captions} == captions


@pytest.mark.parametrize("alt_text", ["aerial", "Aerial view", "IMG_2041.jpg", "1920x1080 $5", "航拍"])
def test_alt_text_that_says_nothing_is_dropped(alt_text: str) -> None:
    with pytest.raises(Dropped, match="says too little"):
        clean_alt_text(alt_text)


@given(st.text(st.sampled_from("aerial view | - /.jpg$19&amp;<b>©stock photo#(x)@BY JD:+"), max_size=80))
def test_cleaning_is_idempotent(text: str) -> None:
    try:
        caption = clean_alt_text(f"aerial view of a lake {text}")
    except Dropped:
        return
    assert clean_alt_text(caption) == caption
