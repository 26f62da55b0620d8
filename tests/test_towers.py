"""Image towers of others, named sizes, weights that come and go."""

import json
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from geomammut.errors import UserError
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.load import load_mammut, model_export, save_model
from geomammut.model.mammut import Mammut
from geomammut.model.open_clip_head import open_clip_head
from geomammut.model.open_clip_model import OpenClipModel
from geomammut.model.pretrained import pretrained_text, pretrained_vision, resized
from geomammut.model.sizes import Size, text_of_size, vision_of_size
from geomammut.model.tokenizer import ClipTokenizer, SentencePieceTokenizer, Tokenizer, named_tokenizer
from geomammut.model.transformers_model import TransformersModel
from geomammut.model.vision import cropped_positions, resized_positions
from geomammut.training.recipe import ModelPart, Recipe, Stage
from geomammut.training.start import start_model

TEXTS = ["a red roof", "two blue tanks beside a green field", "a road"]
# One of each pooling: a latent query, the class token, the class token beside registers, the mean.
TIMM = [
    "vit_base_patch32_siglip_256",
    "vit_tiny_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "vit_base_patch16_reg4_gap_256",
]


def small_text(tokenizer: Tokenizer) -> TextConfig:
    return TextConfig(
        context_length=16, vocab_size=tokenizer.vocab_size, width=24, layers=3, heads=4,
        start_token=tokenizer.start, end_token=tokenizer.end,
    )  # fmt: skip


def small_model(**vision: object) -> Mammut:
    torch.manual_seed(0)
    tokenizer = Tokenizer.train(TEXTS * 3, vocab_size=300, context_length=16)
    config = VisionConfig.model_validate(
        {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "heads": 4} | vision
    )
    return Mammut(MammutConfig(vision=config, text=small_text(tokenizer)), tokenizer).eval()


@pytest.mark.parametrize("name", TIMM)
@torch.no_grad()
def test_a_timm_tower_pools_as_timm_does_and_everywhere(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    patch = VisionConfig.model_validate({"timm": name}).patch_size
    size = 4 * patch
    tokenizer = Tokenizer.train(TEXTS * 3, vocab_size=300, context_length=16)
    vision = VisionConfig.model_validate({"timm": name, "image_size": size})
    model = Mammut(MammutConfig(vision=vision, text=small_text(tokenizer)), tokenizer).eval()
    trunk = timm.create_model(name, num_classes=0, img_size=size).eval()
    trunk.load_state_dict(model.visual.trunk.state_dict())
    images = torch.randn(2, 3, size, size)
    embeddings = model.encode_image(images, normalize=False)
    torch.testing.assert_close(embeddings, trunk(images) @ model.visual.proj, atol=1e-5, rtol=1e-5)
    dense = model.dense_image_embeddings(images, 4)
    assert dense.shape == (2, 4, 4, 24)
    torch.testing.assert_close(dense, model.encode_image(images)[:, None, None].expand_as(dense), atol=1e-5, rtol=0)
    narrow = model.dense_image_embeddings(images, 0)
    assert not torch.allclose(narrow[:, 0, 0], narrow[:, 3, 3], atol=1e-4)
    everything = torch.arange(16).expand(2, -1)
    torch.testing.assert_close(
        model.visual.pool(model.visual.tokens(images, everything)), embeddings, atol=1e-5, rtol=1e-5
    )
    assert model.caption_logits(images, model.tokenizer(TEXTS[:2])).shape == (2, 15, tokenizer.vocab_size)
    save_model(model, tmp_path / "model")
    assert torch.equal(load_mammut(tmp_path / "model").encode_image(images, normalize=False), embeddings)


def clip_of(source: Path, vision: dict, embed_dim: int = 24) -> OpenClipModel:
    """A small open_clip model of random weights whose image tower `vision` tells."""
    torch.manual_seed(0)
    text = {"context_length": 16, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": embed_dim, "vision_cfg": vision, "text_cfg": text}
    clip = open_clip.CustomTextCLIP(**config)
    for parameter in clip.parameters():  # some poolings start at zero
        torch.nn.init.normal_(parameter, std=0.1)
    source.mkdir()
    (source / "open_clip_config.json").write_text(json.dumps({"model_cfg": config | {"custom_text": True}}))
    save_file(clip.state_dict(), source / "open_clip_model.safetensors")
    return OpenClipModel(str(source))


VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 8, "layers": 2}
TRUNK = {"image_size": 64, "timm_model_pretrained": False, "timm_proj": "linear"}
CLIPS = {
    "class": VIT,
    "mean": VIT | {"pool_type": "avg"},
    "mean, then norm": VIT | {"pool_type": "avg", "final_ln_after_pool": True},
    "attention": VIT | {"attentional_pool": True, "attn_pooler_heads": 4},
    "attention to another width": VIT | {"attentional_pool": True, "attn_pooler_heads": 8, "width": 40},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8},
    "timm class": TRUNK | {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "image_size": 224},
    "timm mean": TRUNK | {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg", "image_size": 224},
    "convnext": TRUNK | {"timm_model_name": "convnext_atto", "timm_pool": "", "image_size": 96},
}


@pytest.mark.parametrize("kind", CLIPS)
@torch.no_grad()
def test_an_open_clip_tower_pools_everywhere(kind: str, tmp_path: Path) -> None:
    model = clip_of(tmp_path / "clip", CLIPS[kind])
    images = torch.randn(2, 3, model.image_size, model.image_size)
    narrow, wide = model.dense_image_embeddings(images, 0), model.dense_image_embeddings(images, 100)
    assert_embeds_everywhere(wide, model.encode_image(images))
    assert not torch.allclose(narrow[:, 0, 0], narrow[:, -1, -1], atol=1e-4)


def test_an_open_clip_tower_of_another_kind_is_told(tmp_path: Path) -> None:
    model = clip_of(tmp_path / "clip", VIT | {"attentional_pool": "parallel", "attn_pooler_heads": 4})
    with pytest.raises(UserError, match="gives no embeddings of patches"):
        model.dense_image_embeddings(torch.zeros(1, 3, 32, 32), 1)


@pytest.mark.parametrize("kind", ["Siglip", "CLIP"])
@torch.no_grad()
def test_a_tower_of_transformers_pools_everywhere(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    texts = {**size, "vocab_size": 40, "max_position_embeddings": 16}
    config = getattr(transformers, f"{kind}Config")(
        text_config=texts, vision_config={**size, "image_size": 32, "patch_size": 8}
    )
    model = TransformersModel.__new__(TransformersModel)  # past its files
    torch.nn.Module.__init__(model)
    model.dual, model.image_size = getattr(transformers, f"{kind}Model")(config).eval(), 32
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.randn(2, 3, 32, 32)
    narrow, wide = model.dense_image_embeddings(images, 0), model.dense_image_embeddings(images, (4, 9))
    assert_embeds_everywhere(wide, model.encode_image(images))
    assert not torch.allclose(narrow[:, 0, 0], narrow[:, 3, 3], atol=1e-4)


def assert_embeds_everywhere(dense: torch.Tensor, embeddings: torch.Tensor) -> None:
    torch.testing.assert_close(dense, embeddings[:, None, None].expand_as(dense), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "vision",
    [
        {"pool": "mean"},
        {"pool": "mean", "class_token": True},  # openMaMMUT's
        {"pool": "class", "class_token": True},
        {"pool": "attention"},
        {"pool": "attention", "class_token": True, "stem": "conv"},
    ],
)
@torch.no_grad()
def test_our_towers_pool_everywhere(vision: dict) -> None:
    model = small_model(**vision)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    images = torch.randn(2, 3, 32, 32)
    for radius in (3, 4, 100):
        assert_embeds_everywhere(model.dense_image_embeddings(images, radius), model.encode_image(images))
    narrow = model.dense_image_embeddings(images, 0)
    assert not torch.allclose(narrow[:, 0, 0], narrow[:, 3, 3], atol=1e-4)


@torch.no_grad()
def test_a_blend_of_windows_is_their_mean() -> None:
    model = small_model(pool="attention")
    images = torch.randn(2, 3, 32, 32)
    blend = model.dense_image_embeddings(images, (3, 0, 1))
    mean = torch.stack([model.dense_image_embeddings(images, radius) for radius in (0, 1, 3)]).mean(0)
    torch.testing.assert_close(blend, torch.nn.functional.normalize(mean, dim=-1))
    assert torch.equal(model.dense_image_embeddings(images, (1,)), model.dense_image_embeddings(images, 1))
    for wrong in (-1, (), (1, -2)):
        with pytest.raises(ValueError, match="must be 0 or more"):
            model.dense_image_embeddings(images, wrong)


def test_what_is_no_plain_vit_is_told() -> None:
    with pytest.raises(ValueError, match="timm has no model 'vit_bas'"):
        VisionConfig.model_validate({"timm": "vit_bas"})
    with pytest.raises(ValueError, match="no plain ViT"):
        VisionConfig.model_validate({"timm": "resnet18"})


@pytest.mark.parametrize(
    ("size", "vision", "text"),
    [
        ("tiny", (2e6, 4e6), (1e6, 3e7)),
        ("small", (2e7, 2.4e7), (1e7, 6e7)),
        ("b32", (8.6e7, 8.9e7), (9e7, 1.3e8)),
        ("l14", (3.0e8, 3.1e8), (1.9e8, 2.1e8)),
        ("so400m", (4.1e8, 4.4e8), (3.8e8, 4.2e8)),  # the paper: 400M + 400M
    ],
)
def test_named_sizes_have_their_parameters(size: Size, vision: tuple[float, float], text: tuple[float, float]) -> None:
    words = text_of_size(size)
    config = MammutConfig(vision=vision_of_size(size), text=words, tokenizer="clip")
    with torch.device("meta"):
        model = Mammut(config, ClipTokenizer(words.context_length))
    assert vision[0] < sum(parameter.numel() for parameter in model.visual.parameters()) < vision[1]
    assert text[0] < sum(parameter.numel() for parameter in model.text.parameters()) < text[1]
    if size == "l14":
        assert sum(p.numel() for name, p in model.named_parameters() if name != "logit_bias") == 508_294_913


@torch.no_grad()
def test_a_cls_tower_of_open_clip_starts_a_model_that_sees_as_it_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-S-32-alt").eval()
    save_file(clip.state_dict(), tmp_path / "weights.safetensors")
    name = f"open_clip:ViT-S-32-alt/{tmp_path}/weights.safetensors"
    tower = pretrained_vision(name)
    text = TextConfig(width=256, layers=2, heads=4, context_length=16)
    model = Mammut(MammutConfig(vision=tower.config, text=text, tokenizer="clip"), ClipTokenizer(16)).eval()
    model.visual.load_state_dict(tower.weights)
    images = torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(model.encode_image(images), clip.encode_image(images, normalize=True))
    dense = model.dense_image_embeddings(images, 7)
    torch.testing.assert_close(dense, model.encode_image(images)[:, None, None].expand_as(dense), atol=1e-5, rtol=0)
    assert pretrained_vision(name, 64).config.grid == 2


@torch.no_grad()
def test_a_siglip_tower_of_open_clip_is_timms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-B-32-SigLIP2-256").eval()
    save_file(clip.state_dict(), tmp_path / "weights.safetensors")
    tower = pretrained_vision(f"open_clip:ViT-B-32-SigLIP2-256/{tmp_path}/weights.safetensors")
    assert (tower.config.timm, tower.config.pool, tower.mean) == (
        "vit_base_patch32_siglip_256",
        "attention",
        (0.5,) * 3,
    )
    text = TextConfig(width=768, layers=1, heads=4, context_length=16)
    model = Mammut(MammutConfig(vision=tower.config, text=text, tokenizer="clip"), ClipTokenizer(16)).eval()
    missing, unknown = model.visual.load_state_dict(tower.weights, strict=False)
    assert (missing, unknown) == (["proj"], [])
    model.visual.proj.copy_(torch.eye(768))
    images = torch.randn(1, 3, 256, 256)
    torch.testing.assert_close(
        model.encode_image(images), clip.encode_image(images, normalize=True), atol=1e-5, rtol=1e-4
    )
    dense = open_clip_head(clip.visual, images).everywhere(8)
    assert_embeds_everywhere(dense, clip.encode_image(images, normalize=True))


@torch.no_grad()
def test_a_timm_file_starts_a_tower_at_another_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    save_file(trunk.state_dict(), tmp_path / "model.safetensors")
    tower = pretrained_vision(f"timm:vit_tiny_patch16_224/{tmp_path}/model.safetensors", 96)
    assert (tower.config.image_size, tower.config.grid) == (96, 6)
    assert torch.equal(tower.weights["trunk.blocks.0.attn.qkv.weight"], trunk.blocks[0].attn.qkv.weight)
    assert tower.weights["trunk.pos_embed"].shape == (1, 37, 192)
    with pytest.raises(UserError, match="there is no file"):
        pretrained_vision("timm:vit_tiny_patch16_224/nowhere.safetensors")
    with pytest.raises(UserError, match="timm has no model"):
        pretrained_vision("timm:vit_teeny")


@torch.no_grad()
def test_towers_from_two_places_make_one_model(tmp_path: Path) -> None:
    trunk = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    save_file(trunk.state_dict(), tmp_path / "vision.safetensors")
    teller = small_model()
    save_model(teller, tmp_path / "text")
    part = ModelPart(
        vision_from=f"timm:vit_tiny_patch16_224/{tmp_path}/vision.safetensors",
        text_from=str(tmp_path / "text"),
        image_size=64,
    )
    plan = Recipe(pairs={"a": ""}, stages=[Stage(name="a", mix={"a": 1.0}, samples=200)], model=part)
    model = start_model(plan, {}).eval()
    assert torch.equal(model.encode_text(TEXTS), teller.encode_text(TEXTS))
    assert torch.equal(model.visual.trunk.blocks[0].attn.qkv.weight, trunk.blocks[0].attn.qkv.weight)
    assert model.image_size == 64
    assert pretrained_text(str(tmp_path / "text")).config == teller.config.text
    for wrong in (
        {"start_from": "x", "size": "tiny"},
        {"text_from": "x", "tokenizer": "clip"},
        {"vision_from": "x", "vision": {}},
    ):
        with pytest.raises(ValueError, match="leave"):
            ModelPart.model_validate(wrong)


@torch.no_grad()
def test_a_model_for_larger_images_sees_a_larger_grid() -> None:
    model = small_model(class_token=True)
    larger = resized(model, 64)
    assert larger.image_size == 64
    images = torch.randn(2, 3, 64, 64)
    assert larger.dense_image_embeddings(images, 1).shape == (2, 8, 8, 24)
    assert torch.equal(larger.encode_text(TEXTS), model.encode_text(TEXTS))
    assert resized(model, 32) is model
    with pytest.raises(UserError, match="image_size 33 does not fit"):
        resized(model, 33)


@settings(max_examples=20)
@given(st.integers(2, 9), st.integers(0, 2), st.integers(1, 4))
def test_positions_keep_where_they_are(grid: int, first: int, times: int) -> None:
    x = (torch.arange(grid) + 0.5) / grid
    ramp = torch.stack(torch.meshgrid(x, x, indexing="ij"), dim=-1).flatten(0, 1)  # row, column
    positions = torch.cat([torch.full((first, 2), 9.0), ramp])
    assert torch.equal(resized_positions(positions, first, grid)[:first], positions[:first])
    torch.testing.assert_close(resized_positions(positions, first, grid), positions, atol=1e-5, rtol=0)
    larger = resized_positions(positions, first, grid * times)
    assert len(larger) == first + (grid * times) ** 2
    torch.testing.assert_close(larger[first:].mean(dim=0), torch.tensor([0.5, 0.5]), atol=1e-4, rtol=0)

    whole = cropped_positions(ramp, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    torch.testing.assert_close(whole[0], ramp, atol=1e-5, rtol=0)
    left_top = cropped_positions(ramp, torch.tensor([[0.0, 0.0, 0.5, 1.0]]))[0].reshape(grid, grid, 2)
    assert left_top[..., 1].max() < 0.5 + 0.5 / grid  # columns: the left half
    torch.testing.assert_close(left_top[..., 0], ramp.reshape(grid, grid, 2)[..., 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("every", "has_mlp"), [(2, True), (1, True), (3, False), (2, False)])
@torch.no_grad()
def test_openmammut_goes_out_and_comes_back_bit_by_bit(every: int, has_mlp: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = MammutConfig(
        vision=VisionConfig(image_size=32, patch_size=8, width=32, layers=2, heads=4, class_token=True),
        text=TextConfig(
            context_length=77, width=24, layers=6, heads=4, average_padding=True,
            cross_attention_every=every, mlp_before_cross=has_mlp,
        ),
        tokenizer="clip",
    )  # fmt: skip
    model = Mammut(config, ClipTokenizer(77)).eval()
    save_model(model, tmp_path / "ours")
    out = model_export(str(tmp_path / "ours"), tmp_path / "open")
    back = load_mammut(out)
    assert back.config == config
    for name, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name
    again = model_export(str(out), tmp_path / "again")
    first, second = (load_file(folder / "open_clip_model.safetensors") for folder in (out, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(UserError, match="already holds"):
        model_export(str(out), out)


@torch.no_grad()
def test_openmammut_spreads_its_cross_attention_as_laions_code_does(tmp_path: Path) -> None:
    """Of 4 layers and a ratio of 3 LAION's code makes one block, not two (seen by running it)."""
    torch.manual_seed(0)
    config = MammutConfig(
        vision=VisionConfig(image_size=16, patch_size=8, width=32, layers=1, heads=4, class_token=True),
        text=TextConfig(context_length=77, width=24, layers=4, heads=4, average_padding=True, cross_attention_every=4),
        tokenizer="clip",
    )
    model = Mammut(config, ClipTokenizer(77)).eval()
    save_model(model, tmp_path / "ours")
    out = model_export(str(tmp_path / "ours"), tmp_path / "open")
    stored = json.loads((out / "open_clip_config.json").read_text())
    stored["model_cfg"]["text_cfg"]["cross_attn_ratio"] = 3
    (out / "open_clip_config.json").write_text(json.dumps(stored))
    assert load_mammut(out).config == config
    every_third = config.model_copy(update={"text": config.text.model_copy(update={"cross_attention_every": 3})})
    save_model(Mammut(every_third, ClipTokenizer(77)), tmp_path / "third")
    with pytest.raises(UserError, match="cross-attention every 3 of 4 layers"):
        model_export(str(tmp_path / "third"), tmp_path / "never")


@torch.no_grad()
def test_pads_change_openmammuts_texts_and_not_ours() -> None:
    torch.manual_seed(0)
    vision = VisionConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2)
    tokens = torch.tensor([[49406, 320, 500, 49407]])
    padded = torch.nn.functional.pad(tokens, (0, 5))
    for legacy in (False, True):
        text = TextConfig(context_length=16, width=16, layers=2, heads=2, average_padding=legacy)
        model = Mammut(MammutConfig(vision=vision, text=text, tokenizer="clip"), ClipTokenizer(16)).eval()
        assert torch.allclose(model.encode_text(tokens), model.encode_text(padded), atol=1e-5) != legacy


def test_training_leftovers_are_read_as_weights_and_nothing_else(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> object:
            return (Path.touch, (tmp_path / "exploded",))

    torch.manual_seed(0)
    config = MammutConfig(
        vision=VisionConfig(image_size=16, patch_size=8, width=32, layers=1, heads=4, class_token=True),
        text=TextConfig(context_length=77, width=24, layers=1, heads=4, average_padding=True),
        tokenizer="clip",
    )
    save_model(Mammut(config, ClipTokenizer(77)), tmp_path / "ours")
    out = model_export(str(tmp_path / "ours"), tmp_path / "open")
    weights = load_file(out / "open_clip_model.safetensors")
    (out / "open_clip_model.safetensors").unlink()
    stored = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"epoch": 3, "state_dict": stored}, out / "open_clip_pytorch_model.bin")
    back = load_mammut(out).state_dict()
    assert all(torch.equal(back[name], value) for name, value in weights.items() if name != "logit_scale")
    torch.save({"state_dict": stored, "hello": Bomb()}, out / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_mammut(out)
    assert not (tmp_path / "exploded").exists()


def test_what_openmammut_has_not_is_told(tmp_path: Path) -> None:
    save_model(small_model(pool="attention"), tmp_path / "ours")
    with pytest.raises(
        UserError, match="no class token, attention pooling, masked pads, cross-attention every 2 of 3 layers, another"
    ):
        model_export(str(tmp_path / "ours"), tmp_path / "open")
    assert not (tmp_path / "open").exists()


def test_a_sentencepiece_model_is_a_tokenizer(tmp_path: Path) -> None:
    import sentencepiece

    (tmp_path / "texts.txt").write_text("\n".join(TEXTS * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "texts.txt"), model_prefix=str(tmp_path / "words"), vocab_size=25, minloglevel=2
    )
    tokenizer = named_tokenizer(str(tmp_path / "words.model"), 48)
    assert isinstance(tokenizer, SentencePieceTokenizer)
    assert tokenizer.decode(tokenizer(TEXTS)) == TEXTS
    vision = VisionConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2)
    text = small_text(tokenizer).model_copy(update={"context_length": 48})
    config = MammutConfig(vision=vision, text=text, tokenizer=tokenizer.name)
    model = Mammut(config, tokenizer).eval()
    save_model(model, tmp_path / "model")
    loaded = load_mammut(tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(loaded.encode_text(["a road"]), model.encode_text(["a road"]))
    with pytest.raises(UserError, match="no SentencePiece model"):
        named_tokenizer(str(tmp_path / "texts.model"), 16)
    with pytest.raises(UserError, match="there is no tokenizer"):
        named_tokenizer("words", 16)
