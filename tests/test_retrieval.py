"""Retrieval: the scorer against its definition, and the verb on benchmarks that the test makes."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fake_model import ColourModel, ConstantModel
from geomammut.errors import UserError
from geomammut.evaluation import ranks, retrieval
from geomammut.evaluation.ranks import rank
from geomammut.evaluation.retrieval import eval_retrieval, protocol_pairs, retrieval_intervals, retrieval_metrics
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set

COLOURS = [f"{r}{g}{b}" for r in ("20", "f0") for g in ("10", "80", "e0") for b in ("30", "a0")]


def by_definition(scores: np.ndarray, right: np.ndarray) -> dict[str, list[tuple[int, int]]]:
    """Wrong items before the best right one and tied with it, as DESIGN words it, one comparison after another."""
    found = {}
    for direction, table, truth in (("i2t", scores, right), ("t2i", scores.T, right.T)):
        found[direction] = []
        for row, own in zip(table, truth, strict=True):
            best = max(s for s, r in zip(row, own, strict=True) if r)
            wrong = [s for s, r in zip(row, own, strict=True) if not r]
            found[direction].append((sum(s >= best for s in wrong), sum(s == best for s in wrong)))
    return found


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**31),
    images=st.integers(1, 14),
    vocabulary=st.integers(1, 30),
    levels=st.sampled_from([1, 2, 4, 1000]),
    protocol=st.sampled_from(["instance", "skyscript"]),
    blocks=st.sampled_from([(1, 1), (3, 2), (2, 5), (1024, 4096)]),
)
def test_scorer_equals_the_definition(
    seed: int, images: int, vocabulary: int, levels: int, protocol: str, blocks: tuple[int, int]
) -> None:
    """On small whole numbers, whose inner products are exact and often tie; in blocks of any size."""
    random = np.random.default_rng(seed)
    captions = [[f"text {n}" for n in random.integers(0, vocabulary, random.integers(1, 6))] for _ in range(images)]
    texts, pairs = protocol_pairs(captions, protocol)  # type: ignore[arg-type]
    image_embeddings = random.integers(0, levels, (images, 3)).astype(np.float32)
    by_text = {text: random.integers(0, levels, 3) for text in sorted(set(texts))}
    text_embeddings = np.stack([by_text[text] for text in texts]).astype(np.float32)
    right = np.zeros((images, len(texts)), bool)
    right[pairs[:, 0], pairs[:, 1]] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "_IMAGES_AT_ONCE", blocks[0])
        patch.setattr(ranks, "_TEXTS_AT_ONCE", blocks[1])
        by_image, by_text = rank(torch.from_numpy(image_embeddings), torch.from_numpy(text_embeddings), pairs)
    found = by_definition(image_embeddings @ text_embeddings.T, right)
    assert list(zip(by_image.before, by_image.tied, strict=True)) == found["i2t"]
    assert list(zip(by_text.before, by_text.tied, strict=True)) == found["t2i"]
    metrics = retrieval_metrics(torch.from_numpy(image_embeddings), torch.from_numpy(text_embeddings), pairs)
    expected = {
        f"{direction}_r{k}": 100 * sum(before < k for before, _ in some) / len(some)
        for direction, some in found.items()
        for k in (1, 5, 10)
    }
    assert metrics == pytest.approx(expected | {"mR": sum(expected.values()) / 6})


def recall_by_sorting(scores: torch.Tensor, right: torch.Tensor, k: int) -> float:
    """What CLIP_benchmark 1.6.2 reports: the share of rows of which something right is among the k best, by topk.

    Its own code is compared with ours by benchmarks/retrieval.py, since the package brings transformers along.
    """
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return 100 * right.gather(1, best).any(1).double().mean().item()


@pytest.mark.parametrize("protocol", ["instance", "skyscript"])
def test_without_ties_recalls_are_those_of_a_sort(protocol: str) -> None:
    """40 images of 1 to 5 captions; with `skyscript` some captions belong to several images."""
    random = np.random.default_rng(4)
    words = (
        [f"text {n}" for n in random.permutation(150)]
        if protocol == "instance"
        else [f"text {n % 60}" for n in range(150)]
    )
    captions = [[words.pop() for _ in range(random.integers(1, 5))] for _ in range(40)]
    texts, pairs = protocol_pairs(captions, protocol)  # type: ignore[arg-type]
    torch.manual_seed(4)
    images, sentences = torch.randn(40, 64), torch.randn(len(texts), 64)
    sentences[pairs[:, 1]] += 0.25 * images[pairs[:, 0]]
    scores = images @ sentences.T
    assert len(scores.unique()) == scores.numel()
    right = torch.zeros(scores.shape, dtype=torch.bool)
    right[pairs[:, 0], pairs[:, 1]] = True
    expected = {
        f"{direction}_r{k}": recall_by_sorting(table, truth, k)
        for direction, table, truth in (("i2t", scores, right), ("t2i", scores.T, right.T))
        for k in (1, 5, 10)
    }
    assert len(set(expected.values())) > 3  # neither all right nor all wrong
    assert retrieval_metrics(images, sentences, pairs) == pytest.approx(expected | {"mR": sum(expected.values()) / 6})


def test_blocks_change_no_rank_of_real_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many equal rows among rows of real numbers, whose scores round: equal rows tie over all blocks."""
    torch.manual_seed(1)
    images = torch.randn(90, 33)[torch.randint(0, 90, (150,))]
    texts = torch.randn(200, 33)[torch.randint(0, 200, (400,))]
    pairs = np.stack([np.r_[np.arange(150), np.arange(150), np.arange(100)], np.arange(400)], axis=1)
    whole = rank(images, texts, pairs)
    monkeypatch.setattr(ranks, "_IMAGES_AT_ONCE", 7)
    monkeypatch.setattr(ranks, "_TEXTS_AT_ONCE", 13)
    for one, other in zip(whole, rank(images, texts, pairs), strict=True):
        assert one.before.tolist() == other.before.tolist()
        assert one.tied.tolist() == other.tied.tolist()
    same_text = (texts[:, None] == texts[None]).all(2).numpy()
    for image in range(150):
        own = pairs[pairs[:, 0] == image, 1]
        best = own[(images[image] @ texts[own].T).argmax().item()]
        assert whole[0].tied[image] >= same_text[best].sum() - np.isin(own, np.flatnonzero(same_text[best])).sum()


def test_intervals_hold_the_metric_and_narrow_with_more_images() -> None:
    random = np.random.default_rng(0)
    widths = {}
    for count in (100, 1600):
        pairs = np.stack([np.repeat(np.arange(count), 2), np.arange(2 * count)], axis=1)
        images = random.normal(size=(count, 16)).astype(np.float32)
        texts = images[pairs[:, 0]] + random.normal(0, 2.0, (2 * count, 16)).astype(np.float32)
        by_image, by_text = rank(torch.from_numpy(images), torch.from_numpy(texts), pairs)
        intervals = retrieval_intervals(by_image, by_text, pairs, seed=0)
        assert intervals == retrieval_intervals(by_image, by_text, pairs, seed=0)
        metrics = retrieval_metrics(torch.from_numpy(images), torch.from_numpy(texts), pairs)
        for name, value in metrics.items():
            assert intervals[name][0] <= value <= intervals[name][1]
        # A share p of n images drawn independently has the standard error √(p(1−p)/n).
        share = metrics["i2t_r10"] / 100
        expected = 2 * 1.96 * 100 * (share * (1 - share) / count) ** 0.5
        widths[count] = intervals["i2t_r10"][1] - intervals["i2t_r10"][0]
        assert widths[count] == pytest.approx(expected, rel=0.15)
    assert widths[1600] < widths[100]


def test_a_text_of_several_images_counts_once() -> None:
    """`skyscript`: 3 images carry text 0, each also one of its own; the only miss is a quarter of the texts."""
    pairs = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 2], [2, 3]])
    by_image = ranks.Ranks(np.zeros(3, np.int64), np.zeros(3, np.int64))
    by_text = ranks.Ranks(np.array([99, 0, 0, 0]), np.zeros(4, np.int64))
    intervals = retrieval_intervals(by_image, by_text, pairs, seed=0)
    assert intervals["t2i_r1"] == [75, 75]  # whichever images are drawn, each brings a third of the miss
    assert intervals["i2t_r1"] == [100, 100]


def test_protocols_differ_where_captions_repeat() -> None:
    captions = [["a pier", "a pier", "a red roof"], ["a pier", "a lake"]]
    texts, right = protocol_pairs(captions, "instance")
    assert texts == ["a pier", "a pier", "a red roof", "a pier", "a lake"]
    assert right.tolist() == [[0, 0], [0, 1], [0, 2], [1, 3], [1, 4]]
    texts, right = protocol_pairs(captions, "skyscript")
    assert texts == [f"a satellite image. {text}" for text in ("a pier", "a red roof", "a lake")]
    assert right.tolist() == [[0, 0], [0, 1], [1, 0], [1, 2]]


def test_equal_captions_tie_wherever_they_stand() -> None:
    """The same string on every image is worth nothing, though its score is the highest."""
    torch.manual_seed(0)
    own = torch.nn.functional.normalize(torch.randn(50, 33), dim=-1)
    shared = torch.nn.functional.normalize(own.mean(0), dim=-1)
    texts = torch.stack([shared] * 50)
    by_image, _ = rank(own, texts, np.stack([np.arange(50)] * 2, axis=1))
    assert (by_image.before == 49).all()
    assert (by_image.tied == 49).all()


def test_queries_without_a_right_item_are_refused() -> None:
    with pytest.raises(ValueError, match="right item"):
        retrieval_metrics(torch.eye(2), torch.eye(2), np.array([[0, 0], [0, 1]]))
    with pytest.raises(ValueError, match="finite"):
        retrieval_metrics(torch.full((1, 1), torch.nan), torch.ones(1, 1), np.array([[0, 0]]))


def test_duplicate_counts_of_the_published_test_sets(shared_data: Path) -> None:
    for name, total, distinct in (("rsicd", 5465, 3331), ("rsitmd", 2260, 2119)):
        lines = next((shared_data / "captions").glob(f"{name}*caps*")).read_text().splitlines()
        captions = [lines[first : first + 5] for first in range(0, len(lines), 5)]
        assert len(protocol_pairs(captions, "instance")[0]) == total
        assert len(protocol_pairs(captions, "skyscript")[0]) == distinct


@pytest.fixture
def benchmark(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve images of one colour each, two captions each, in Karpathy's layout; one more in train."""
    folder = tmp_path / "images"
    folder.mkdir()
    records = []
    for number, colour in enumerate([*COLOURS, "ffffff"]):
        Image.new("RGB", (40, 48), f"#{colour}").save(folder / f"{number}.png")
        sentences = [{"raw": f"a field of {colour} ."}, {"raw": f"all is {colour} ."}]
        split = "test" if number < len(COLOURS) else "train"
        records.append({"filename": f"{number}.png", "split": split, "sentences": sentences})
    annotations = tmp_path / "dataset_colours.json"
    annotations.write_text(json.dumps({"dataset": "colours", "images": records}))
    return annotations, folder


@pytest.mark.parametrize("protocol", ["instance", "skyscript"])
@pytest.mark.parametrize(("model", "recall"), [(ColourModel(), 100), (ConstantModel(), 0)])
def test_verb_on_a_perfect_and_a_constant_model(
    benchmark: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model, recall, protocol
) -> None:
    monkeypatch.setattr(retrieval, "load_model", lambda name: model)
    annotations, images = benchmark
    out = tmp_path / "out.json"
    results = eval_retrieval("m", out, annotations=annotations, images=images, split="test", protocol=protocol, seed=3)
    assert set(results["metrics"].values()) == {recall}
    assert len(results["metrics"]) == 7
    assert results["intervals"] == {name: [recall, recall] for name in results["metrics"]}
    assert results["median_rank"] == ({"i2t": 1, "t2i": 1} if recall else {"i2t": 23, "t2i": 12})
    assert results["counts"] == {"images": 12, "texts": 24, "distinct_texts": 24}
    assert results["protocol"] == protocol
    assert results["seed"] == 3
    assert set(results["versions"]) == {"geomammut", "torch", "open_clip", "python"}
    assert json.loads(out.read_text()) == results


def test_verb_on_a_pair_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pair(colour: str) -> Pair:
        jpeg = io.BytesIO()
        Image.new("RGB", (32, 32), f"#{colour}").save(jpeg, "JPEG", quality=95)
        return Pair(colour, (f"plain {colour}",), jpeg.getvalue(), 32, 32, "landmarks")

    write_pair_set(tmp_path / "set", map(pair, COLOURS), funnel=Funnel(), card="# colours")
    monkeypatch.setattr(retrieval, "load_model", lambda name: ColourModel())
    results = eval_retrieval("m", tmp_path / "out.json", pairs=tmp_path / "set")
    assert results["metrics"]["mR"] == 100


def test_mistakes_end_in_one_line(benchmark: tuple[Path, Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(retrieval, "load_model", lambda name: ColourModel())
    annotations, images = benchmark
    out = tmp_path / "out.json"

    def complaint(**given) -> str:
        arguments = {"annotations": annotations, "images": images, "split": "test", **given}
        with pytest.raises(UserError) as raised:
            eval_retrieval("m", out, **arguments)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "its splits are: test (12), train (1)" in complaint(split="tset")
    assert "--split" in complaint(split=None)
    assert "not found" in complaint(annotations=tmp_path / "none.json")
    assert "no folder" in complaint(images=tmp_path / "none")
    assert "either" in complaint(pairs=tmp_path)
    assert "no protocol" in complaint(protocol="skyscrpit")
    (images / "3.png").write_bytes(b"not an image")
    assert "1 of 12 images cannot be read, first 3.png" in complaint()
    (images / "3.png").unlink()
    (images / "7.png").unlink()
    assert "2 of 12 images of split 'test' are not in" in complaint()
    stored = json.loads(annotations.read_text())
    stored["images"][0]["filename"] = "../../secret.png"
    annotations.write_text(json.dumps(stored))
    assert "outside" in complaint()
    annotations.write_text('{"images": [{"file": "x"}]}')
    assert "Karpathy" in complaint()
    assert not out.exists()


def test_rsicd_val(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "load_model", lambda name: ColourModel())
    given = {
        "annotations": shared_data / "rsicd" / "dataset_rsicd.json",
        "images": shared_data / "rsicd" / "images",
    }
    results = eval_retrieval("m", tmp_path / "out.json", split="val", **given)
    assert results["counts"] == {"images": 506, "texts": 2530, "distinct_texts": 851}
    assert results["metrics"]["mR"] < 3  # a model of colours finds next to nothing, and ties do not help it
    assert results["tied_pairs"]["i2t"] > 0


def test_a_model_with_broken_weights_is_named(benchmark, tmp_path: Path, monkeypatch) -> None:
    class Broken(ColourModel):
        name = "broken"

        def encode_image(self, images: torch.Tensor, normalize: bool = True) -> torch.Tensor:
            return torch.full((len(images), 3), torch.nan)

    monkeypatch.setattr(retrieval, "load_model", lambda name: Broken())
    with pytest.raises(UserError, match="broken gives image embeddings that are not finite"):
        eval_retrieval("m", tmp_path / "o.json", annotations=benchmark[0], images=benchmark[1], split="test")
