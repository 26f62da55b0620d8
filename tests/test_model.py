"""What the model computes: its two passes, its pooling, its model directory."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import geomammut
from geomammut.errors import UserError
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.load import load_mammut, model_import, model_info, save_model
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import ClipTokenizer, Tokenizer

TEXTS = ["a red roof", "two blue tanks beside a green field", "a road"]


def small_model(texts: Sequence[str] = TEXTS, **vision: object) -> Mammut:
    torch.manual_seed(0)
    tokenizer = Tokenizer.train([*texts] * 3, vocab_size=300, context_length=16)
    config = MammutConfig(
        vision=VisionConfig(image_size=32, patch_size=8, width=32, layers=2, heads=4, **vision),
        text=TextConfig(
            context_length=16,
            vocab_size=tokenizer.vocab_size,
            width=24,
            layers=3,
            heads=4,
            start_token=tokenizer.start,
            end_token=tokenizer.end,
        ),
    )
    return Mammut(config, tokenizer).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_padding_and_batch_mates_do_not_change_a_text_embedding() -> None:
    model = small_model()
    tokens = model.tokenizer(TEXTS)
    padded = F.pad(tokens[:1, :8], (0, 4))
    alone = model.encode_text(tokens[:1, :8])
    torch.testing.assert_close(model.encode_text(padded), alone)
    torch.testing.assert_close(model.encode_text(tokens)[:1], alone)


@torch.no_grad()
def test_the_contrastive_pass_is_bidirectional_and_sees_no_image(images: torch.Tensor) -> None:
    model = small_model()
    tokens = model.tokenizer(TEXTS)
    before = model.text.embed(tokens)
    for parameter in model.text.cross_attn.parameters():
        parameter.zero_()
    torch.testing.assert_close(model.text.embed(tokens), before)
    swapped = tokens.clone()
    swapped[1, 1], swapped[1, 2] = tokens[1, 2], tokens[1, 1]
    assert not torch.allclose(model.text.embed(swapped)[1], before[1])


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_a_causal_embedding_looks_back_alone(causal: bool) -> None:
    model = small_model()
    model.text.config = model.text.config.model_copy(update={"causal_embedding": causal})
    states: list[torch.Tensor] = []
    model.text.ln_final.register_forward_hook(lambda _module, _inputs, output: states.append(output))
    tokens = model.tokenizer(TEXTS)[:1, :6]
    changed = tokens.clone()
    changed[0, 3] += 1
    model.text.embed(tokens)
    model.text.embed(changed)
    assert torch.equal(states[0][0, :3], states[1][0, :3]) == causal
    assert not torch.allclose(states[0][0, 3:], states[1][0, 3:])


@torch.no_grad()
def test_the_caption_pass_is_causal_and_sees_the_image(images: torch.Tensor) -> None:
    model = small_model()
    tokens = model.tokenizer(TEXTS)
    logits = model.caption_logits(images, tokens)
    assert logits.shape == (3, 15, model.config.text.vocab_size)
    later = tokens.clone()
    later[:, 5] = 7
    changed = model.caption_logits(images, later)
    torch.testing.assert_close(changed[:, :5], logits[:, :5])
    assert not torch.allclose(changed[:, 5], logits[:, 5])
    assert not torch.allclose(model.caption_logits(images.flip(0), tokens)[0], logits[0])


@pytest.mark.parametrize(
    "vision",
    [
        {},
        {"stem": "conv"},
        {"pool": "attention"},
        {"class_token": True},
        {"class_token": True, "pool": "attention"},
    ],
)
@torch.no_grad()
def test_a_window_over_the_whole_grid_is_the_image_embedding(vision: dict[str, object], images: torch.Tensor) -> None:
    model = small_model(**vision)
    dense = model.dense_image_embeddings(images, 4)
    assert dense.shape == (3, 4, 4, 24)
    torch.testing.assert_close(dense, model.encode_image(images)[:, None, None].expand_as(dense), atol=1e-5, rtol=0)
    narrow = model.dense_image_embeddings(images, 0)
    assert not torch.allclose(narrow[:, 0, 0], narrow[:, 3, 3], atol=1e-3)


@torch.no_grad()
def test_attention_maps_follow_the_text_and_the_image(images: torch.Tensor) -> None:
    model = small_model()
    maps = model.attention_maps(images, TEXTS)
    assert maps.shape == (3, 3, 4, 4)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(3, 3))
    assert not torch.allclose(maps[:, 0], maps[:, 1], atol=1e-6)
    assert not torch.allclose(maps[0], maps[1], atol=1e-6)


def test_a_model_directory_gives_the_same_model_back(tmp_path: Path, images: torch.Tensor) -> None:
    model = small_model(stem="conv")
    save_model(model, tmp_path / "model")
    assert not list((tmp_path / "model").rglob("*.p*ckle*"))
    loaded = geomammut.load_model(tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(loaded.encode_image(images), model.encode_image(images))
        assert torch.equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))
    info = model_info(str(tmp_path / "model"))
    assert info["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert info["embed_dim"] == 24


def test_model_import_writes_a_directory_once(tmp_path: Path) -> None:
    save_model(small_model(), tmp_path / "a")
    model_import(str(tmp_path / "a"), tmp_path / "b")
    assert geomammut.load_model(tmp_path / "b").embed_dim == 24
    with pytest.raises(UserError, match="already holds a model"):
        model_import(str(tmp_path / "a"), tmp_path / "b")


@pytest.mark.parametrize("name", ["/nowhere/model", "no-such-folder", "open_clip:ViT-B-32", "open_clip:Nothing/x"])
def test_a_missing_model_is_told_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as error:
        geomammut.load_model(name)
    assert "\n" not in str(error.value)


def test_broken_model_directories_are_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(small_model(), folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(UserError, match="cannot be read"):
        load_mammut(folder)
    (folder / "model.safetensors").write_bytes(whole)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"layers": 3', '"layers": 4'))
    with pytest.raises(UserError, match="does not fit"):
        load_mammut(folder)
    (folder / "config.json").write_text(config.replace('"layers"', '"layer"'))
    with pytest.raises(UserError, match="no model configuration"):
        load_mammut(folder)


def test_the_tokenizer_brackets_cuts_and_reverses_texts() -> None:
    tokenizer = Tokenizer.train(TEXTS * 3, vocab_size=300, context_length=6)
    rows = tokenizer(["A Road", "two blue tanks beside a green field"])
    assert rows.shape == (2, 6)
    assert rows[0, 0] == tokenizer.start
    assert (rows == tokenizer.end).sum(dim=1).tolist() == [1, 1]
    assert rows[1, -1] == tokenizer.end
    assert tokenizer.decode(rows)[0] == "a road"


def test_clip_tokens_are_openclips() -> None:
    rows = ClipTokenizer(8)(["a road"])
    assert rows[0, 0] == 49406
    assert rows[0, 3] == 49407
    assert ClipTokenizer(8).decode(rows) == ["a road"]


@torch.no_grad()
def test_openmammut_parity(shared_data: Path) -> None:
    from safetensors.torch import load_file

    folder = shared_data / "openmammut_tiny"
    expected = load_file(folder / "expected.safetensors")
    model = load_mammut(folder)
    image, text = expected["image"], expected["text"]
    close = {"atol": 1e-4, "rtol": 0.0}
    torch.testing.assert_close(model.encode_image(image), expected["image_embedding"], **close)
    torch.testing.assert_close(model.encode_text(text), expected["text_embedding"], **close)
    torch.testing.assert_close(model.visual.tokens(image).last, expected["image_tokens_768"], **close)
    torch.testing.assert_close(model.caption_logits(image, text), expected["caption_logits"], **close)
    assert model.logit_scale == pytest.approx(float(expected["logit_scale_exp"]), rel=1e-6)


def test_openmammut_l14_has_its_published_size() -> None:
    config = MammutConfig(
        vision=VisionConfig(patch_size=14, width=1024, layers=24, heads=16, class_token=True),
        text=TextConfig(context_length=77, width=768, layers=12, heads=12, average_padding=True),
    )
    with torch.device("meta"):
        model = Mammut(config, ClipTokenizer(77))
    ours_alone = {"logit_bias"}
    total = sum(value.numel() for name, value in model.named_parameters() if name not in ours_alone)
    assert total == 508_294_913


@torch.no_grad()
def test_an_open_clip_model_has_the_same_face(tmp_path: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-S-32-alt")
    save_file(clip.state_dict(), tmp_path / "weights.safetensors")
    model = geomammut.load_model(f"open_clip:ViT-S-32-alt/{tmp_path}/weights.safetensors")
    images = torch.randn(2, 3, model.image_size, model.image_size)
    embeddings = model.encode_image(images)
    torch.testing.assert_close(embeddings, clip.eval().encode_image(images, normalize=True))
    dense = model.dense_image_embeddings(images, 99)
    torch.testing.assert_close(dense, embeddings[:, None, None].expand_as(dense), atol=1e-5, rtol=0)
    assert model.encode_text(["a road"]).shape == (1, model.embed_dim)
