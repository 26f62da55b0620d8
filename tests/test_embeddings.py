"""The ways to embeddings: models of several makers, what is kept by content, what another system dumped."""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import EmbeddingCache, encode_images, encode_texts, read_embeddings
from geomammut.evaluation.retrieval import eval_retrieval, protocol_pairs
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model, save_model
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import Tokenizer

# open_clip's own layout, at a size that a test can hold.
SMALL_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
CAPTIONS = [[f"a field of shade {shade}", f"{shade} trees", "a road"] for shade in range(14)]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip model with random weights, as one is published: a configuration and safetensors."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    state = open_clip.CLIP(**SMALL_CLIP).state_dict()
    save_file({name: weights.contiguous() for name, weights in state.items()}, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.4, 0.5, 0.6], "std": [0.3, 0.3, 0.3]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": SMALL_CLIP, "preprocess_cfg": preprocess}))
    return folder


@pytest.fixture(scope="module")
def our_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of ours with random weights."""
    folder = tmp_path_factory.mktemp("ours")
    torch.manual_seed(0)
    tokenizer = Tokenizer.train([caption for some in CAPTIONS for caption in some], 280, 16)
    text = TextConfig(
        context_length=16,
        vocab_size=tokenizer.vocab_size,
        width=24,
        layers=2,
        heads=4,
        start_token=tokenizer.start,
        end_token=tokenizer.end,
    )
    vision = VisionConfig(image_size=32, patch_size=8, width=32, layers=2, heads=4)
    save_model(Mammut(MammutConfig(vision=vision, text=text, tokenizer="tokenizer.json"), tokenizer), folder)
    return folder


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | str]:
    """Fourteen images of noise with three captions each, one of them the same for all."""
    folder = tmp_path_factory.mktemp("benchmark")
    random = np.random.default_rng(0)
    records = []
    for number, captions in enumerate(CAPTIONS):
        pixels = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(folder / f"{number}.png")
        sentences = [{"raw": caption} for caption in captions]
        records.append({"filename": f"{number}.png", "split": "test", "sentences": sentences})
    (folder / "dataset.json").write_text(json.dumps({"images": records}))
    return {"annotations": folder / "dataset.json", "images": folder, "split": "test"}


@torch.inference_mode()
def dump(name: str, benchmark: dict, protocol: str, out: Path) -> dict[str, Path]:
    """Write the embeddings as a stranger would: the model's own calls, one image and one text at a time."""
    if name.startswith("open_clip:"):
        folder = Path(name.removeprefix("open_clip:"))
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
        model.eval()
    else:
        model = load_model(name)
        preprocess, tokenize = model.preprocess, model.tokenizer
    texts, _ = protocol_pairs(CAPTIONS, protocol)  # type: ignore[arg-type]
    pictures = [Image.open(benchmark["images"] / f"{number}.png").convert("RGB") for number in range(len(CAPTIONS))]
    images = [model.encode_image(preprocess(picture)[None], normalize=True) for picture in pictures]
    words = [model.encode_text(tokenize([text]), normalize=True) for text in texts]
    np.save(out / "images.npy", torch.cat(images).numpy())
    np.save(out / "texts.npy", torch.cat(words).numpy().astype(np.float64))
    return {"image_embeddings": out / "images.npy", "text_embeddings": out / "texts.npy"}


@pytest.mark.parametrize("protocol", ["instance", "skyscript"])
@pytest.mark.parametrize("kind", ["open_clip", "ours"])
def test_a_model_and_a_dump_of_its_embeddings_measure_the_same(
    kind: str, protocol: str, benchmark: dict, clip_folder: Path, our_folder: Path, tmp_path: Path
) -> None:
    name = f"open_clip:{clip_folder}" if kind == "open_clip" else str(our_folder)
    measured = eval_retrieval(name, tmp_path / "a.json", **benchmark, protocol=protocol, cache=tmp_path / "kept")  # type: ignore[arg-type]
    again = eval_retrieval(name, tmp_path / "b.json", **benchmark, protocol=protocol, cache=tmp_path / "kept")  # type: ignore[arg-type]
    dumped = dump(name, benchmark, protocol, tmp_path)
    given = {key: value for key, value in benchmark.items() if key != "images"}
    told = eval_retrieval("a stranger", tmp_path / "c.json", **given, protocol=protocol, **dumped)  # type: ignore[arg-type]
    for other in (again, told):
        for key in ("metrics", "intervals", "median_rank", "tied_pairs", "counts"):
            assert other[key] == measured[key]
    assert 0 < measured["metrics"]["mR"] < 100


def test_embeddings_are_kept_by_the_bytes_of_weights_and_images(our_folder: Path, tmp_path: Path) -> None:
    files = [b"", b"", b""]
    for index, colour in enumerate(("red", "blue", "red")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / "a.png")
        files[index] = (tmp_path / "a.png").read_bytes()
    names = ["a", "b", "c"]
    folder = tmp_path / "kept"
    seen: list[int] = []

    class Counting:
        """The model, counting the rows that it embeds for others."""

        def __init__(self, model: VisionLanguageModel) -> None:
            self._model = model

        def __getattr__(self, name: str) -> object:
            return getattr(self._model, name)

        def encode_image(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return self._model.encode_image(images)

    def embed(data: list[bytes], where: Path = our_folder) -> torch.Tensor:
        model = Counting(load_model(where))
        cache = EmbeddingCache(folder, model)  # type: ignore[arg-type]
        seen.clear()
        return encode_images(model, data.__getitem__, names, cache)  # type: ignore[arg-type]

    first = embed(files)
    assert seen == [2]  # equal files are embedded once, and so tie to the last bit
    assert first[0].equal(first[2])
    assert embed(list(files)).equal(first)
    assert seen == []
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])  # cut short
    assert embed(files).equal(first)
    assert seen == [2]
    Image.new("RGB", (20, 20), "green").save(tmp_path / "a.png")
    assert not embed([files[0], (tmp_path / "a.png").read_bytes(), files[2]]).equal(first)
    assert seen == [2]

    retrained = load_model(our_folder)
    with torch.no_grad():
        next(parameter for _, parameter in retrained.named_parameters()).add_(1e-6)
    save_model(retrained, tmp_path / "retrained")  # type: ignore[arg-type]
    embed(files, tmp_path / "retrained")
    assert seen == [2]
    words = encode_texts(load_model(our_folder), ["b", "a", "b"], EmbeddingCache(folder, load_model(our_folder)))
    assert words[0].equal(words[2])
    assert len(list(folder.iterdir())) == 4


def test_weights_of_others_come_as_pt_files(clip_folder: Path, tmp_path: Path) -> None:
    """RemoteCLIP and GeoRSCLIP publish a state dict; SkyCLIP a checkpoint of open_clip's training."""
    (tmp_path / "Small-CLIP.json").write_text(json.dumps(SMALL_CLIP))
    open_clip.add_model_config(tmp_path / "Small-CLIP.json")
    of_folder = load_model(f"open_clip:{clip_folder}")
    state = of_folder.clip.state_dict()  # type: ignore[attr-defined]
    torch.save(state, tmp_path / "RemoteCLIP.pt")
    trained = {"epoch": 20, "name": "sky", "state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(trained, tmp_path / "SkyCLIP.pt")
    for name in ("RemoteCLIP.pt", "SkyCLIP.pt"):
        model = load_model(f"open_clip:Small-CLIP/{tmp_path / name}")
        with torch.inference_mode():
            assert model.encode_text(["a pier"]).equal(of_folder.encode_text(["a pier"]))

    def complaint(source: str) -> str:
        with pytest.raises(UserError) as raised:
            load_model(f"open_clip:{source}")
        assert "\n" not in str(raised.value)
        return str(raised.value)

    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return Path.mkdir, (tmp_path / "exploded",)  # type: ignore[return-value]

    (tmp_path / "bomb.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"state_dict": state, "more": Bomb()}, tmp_path / "bomb2.pt")
    assert "more than weights" in complaint(f"Small-CLIP/{tmp_path}/bomb.pt")
    assert "more than weights" in complaint(f"Small-CLIP/{tmp_path}/bomb2.pt")
    assert not (tmp_path / "exploded").exists()
    (tmp_path / "short.pt").write_bytes((tmp_path / "RemoteCLIP.pt").read_bytes()[:5000])
    assert "short.pt" in complaint(f"Small-CLIP/{tmp_path}/short.pt")
    torch.save({"visual.proj": torch.zeros(2, 2)}, tmp_path / "other.pt")
    assert "could not be loaded" in complaint(f"Small-CLIP/{tmp_path}/other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "could not be loaded" in complaint(f"Small-CLIP/{tmp_path}/list.pt")
    assert "open_clip_config.json" in complaint(str(tmp_path))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "open_clip_config.json").write_text(json.dumps({"model_cfg": SMALL_CLIP}))
    assert "could not be loaded" in complaint(f"{tmp_path}/bare")
    assert "names no weights" in complaint("Small-CLIP")


def test_a_dump_that_does_not_fit_is_told_in_one_line(benchmark: dict, tmp_path: Path) -> None:
    tables = {
        "right": np.ones((14, 4), np.float16),
        "texts": np.ones((42, 4), np.float32),
        "few": np.ones((13, 4), np.float32),
        "wide": np.ones((42, 5), np.float32),
        "whole": np.ones((14, 4), np.int64),
        "flat": np.ones(14, np.float32),
        "broken": np.full((14, 4), np.nan, np.float32),
    }
    for name, table in tables.items():
        np.save(tmp_path / f"{name}.npy", table)
    np.savez(tmp_path / "archive.npz", np.ones((14, 4)))
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps([1.0]))
    (tmp_path / "empty.npy").write_bytes(b"")

    def complaint(images: str | None, texts: str | None = "texts.npy") -> str:
        given = {key: benchmark[key] for key in ("annotations", "split")}
        with pytest.raises(UserError) as raised:
            eval_retrieval(
                "m",
                tmp_path / "out.json",
                **given,
                image_embeddings=tmp_path / images if images else None,
                text_embeddings=tmp_path / texts if texts else None,
            )
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "has 13 rows, but there must be 14: one for each image" in complaint("few.npy")
    assert "every caption, image after image" in complaint("right.npy", "few.npy")
    assert "in one space" in complaint("right.npy", "wide.npy")
    for name in ("whole.npy", "flat.npy", "archive.npz", "pickled.npy", "empty.npy"):
        assert "numpy.save" in complaint(name)
    assert "not finite" in complaint("broken.npy")
    assert "no embeddings at" in complaint("none.npy")
    assert "give both" in complaint(None)
    assert "either" in complaint(None, None)
    assert read_embeddings(tmp_path / "right.npy", 14, "").dtype == torch.float32


def test_transformers_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'geomammut\[transformers\]'"):
        load_model("transformers:google/siglip2-base-patch16-224")


def test_siglip_of_transformers(benchmark: dict, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer as Words
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**size, "vocab_size": 40, "max_position_embeddings": 16, "projection_size": 32}
    vision = {**size, "image_size": 32, "patch_size": 8}
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    transformers.SiglipModel(config).save_pretrained(tmp_path)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    known = ["<pad>", "<unk>", *sorted({word for some in CAPTIONS for caption in some for word in caption.split()})]
    words = Words(WordLevel({word: index for index, word in enumerate(known)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(
        tmp_path
    )
    model = load_model(f"transformers:{tmp_path}")
    assert (model.image_size, model.embed_dim) == (32, 32)
    assert model.tokenizer(["A Road"])[0, :3].tolist() == [known.index("a"), known.index("road"), 0]
    image = Image.new("RGB", (50, 40), "red")
    with torch.inference_mode():
        own = transformers.SiglipModel.from_pretrained(tmp_path).eval()
        pixels = transformers.AutoImageProcessor.from_pretrained(tmp_path)(images=image, return_tensors="pt")
        both = own(input_ids=model.tokenizer(["a road"]), **pixels)
        torch.testing.assert_close(model.encode_image(model.preprocess(image)[None]), both.image_embeds)
        torch.testing.assert_close(model.encode_text(["a road"]), both.text_embeds)
    results = eval_retrieval(f"transformers:{tmp_path}", tmp_path / "out.json", **benchmark)
    assert 0 < results["metrics"]["mR"] < 100
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="could not be loaded"):
        load_model(f"transformers:{tmp_path}")
