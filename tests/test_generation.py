"""Captions written token by token: the cache, greedy, beams, nucleus; overfitting until captions come back."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomammut.evaluation.retrieval import retrieval_metrics
from geomammut.model.generation import DecoderCache, beam_search, nucleus, sample
from geomammut.model.mammut import Mammut
from geomammut.training.data import Batch
from geomammut.training.recipe import OptimizerPart, Recipe, Stage
from geomammut.training.step import new_learner, train_step
from test_model import TEXTS, small_model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_cache_gives_the_logits_of_the_whole_text(images: torch.Tensor) -> None:
    model = small_model()
    tokens = model.tokenizer(TEXTS)
    expected = model.caption_logits(images, tokens)
    cache = DecoderCache(model.text, model.image_memory(model.visual.tokens(images)))
    for place in range(expected.shape[1]):
        torch.testing.assert_close(cache.next_logits(tokens[:, place]), expected[:, place], atol=1e-5, rtol=1e-5)


def log_probability(model: Mammut, image: torch.Tensor, ids: list[int]) -> float:
    """Return the mean log-probability a token of start + ids, by the whole pass."""
    tokens = torch.tensor([[model.config.text.start_token, *ids]])
    steps = model.caption_logits(image[None], tokens)[0].log_softmax(dim=-1)
    return sum(float(steps[place, token]) for place, token in enumerate(ids)) / len(ids)


@torch.no_grad()
def test_wide_beams_find_the_likeliest_text_of_all(images: torch.Tensor) -> None:
    model = small_model()
    # So few words that all texts of three tokens can be tried.
    words = [model.config.text.end_token, 20, 21, 22]
    banned = torch.ones(model.config.text.vocab_size, dtype=torch.bool)
    banned[words] = False
    model.text.text_projection[:, banned] = 0.0
    model.text.text_projection[:, ~banned] *= 20
    model.text.ln_final.bias.fill_(1.0)
    model.text.text_projection[:, banned] -= 10.0
    memory = model.image_memory(model.visual.tokens(images))
    found = beam_search(model.text, memory, 3, 64)
    end = model.config.text.end_token
    for image, row in zip(images, found.tolist(), strict=True):
        texts = [
            ids[: ids.index(end) + 1] if end in ids else ids for ids in map(list, itertools.product(words, repeat=3))
        ]
        best = max(log_probability(model, image, ids) for ids in texts)
        own = row[1:]
        own = own[: own.index(end) + 1] if end in own else own
        assert log_probability(model, image, own) == pytest.approx(best, abs=1e-4)


@torch.no_grad()
def test_greedy_takes_the_likeliest_token_and_stops_after_the_end(images: torch.Tensor) -> None:
    model = small_model()
    memory = model.image_memory(model.visual.tokens(images))
    tokens = sample(model.text, memory, 10, None, 1.0, 0)
    likeliest = model.caption_logits(images, tokens).argmax(dim=-1)
    end = model.config.text.end_token
    for row, expected in zip(tokens[:, 1:].tolist(), likeliest.tolist(), strict=True):
        length = row.index(end) + 1 if end in row else len(row)
        assert row[:length] == expected[:length]
        assert set(row[length:]) <= {end}


@torch.no_grad()
def test_draws_follow_the_seed(images: torch.Tensor) -> None:
    model = small_model()
    one, two, again = (model.generate(images, top_p=0.9, temperature=2.0, seed=seed) for seed in (1, 2, 1))
    assert one == again != two
    assert model.generate(images, top_p=1e-6) == model.generate(images)
    with pytest.raises(ValueError, match="do not go together"):
        model.generate(images, beams=2, top_p=0.5)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.01, 1.0))
def test_a_nucleus_is_the_smallest_likeliest_set(seed: int, top_p: float) -> None:
    logits = 3 * torch.randn(1, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plain = logits.softmax(dim=-1)[0]
    kept = nucleus(logits, top_p)[0]
    inside = kept > 0
    assert float(kept.sum()) == pytest.approx(1.0)
    assert float(plain[inside].sum()) >= top_p - 1e-9
    assert float(plain[inside].sum() - plain[inside].min()) < top_p
    if not bool(inside.all()):
        assert float(plain[inside].min()) >= float(plain[~inside].max())
    torch.testing.assert_close(kept[inside], plain[inside] / plain[inside].sum())


def test_64_pairs_are_learnt_by_heart() -> None:
    generator = torch.Generator().manual_seed(0)
    colours, things = ["red", "green", "blue", "white"], ["roof", "field", "lake", "road"]
    places = ["beside a wood", "near a hill", "by a farm", "at a bend"]
    captions = [f"a {colour} {thing} {place}" for colour, thing, place in itertools.product(colours, things, places)]
    images = torch.randn(64, 3, 32, 32, generator=generator)
    model = small_model(captions)
    stage = Stage(name="only", mix={"a": 1.0}, samples=64)
    plan = Recipe(pairs={"a": ""}, stages=[stage], batch_size=64, precision="float32", optimizer=OptimizerPart(lr=3e-3))
    learner = new_learner(model.train(), plan)
    batch = Batch(images, captions, [[each] for each in captions], [[] for _ in captions], ["a"] * 64)
    for _ in range(150):
        figures = train_step(learner, batch)
    assert figures["loss"] < 0.1
    model.eval()
    with torch.no_grad():
        metrics = retrieval_metrics(
            model.encode_image(images), model.encode_text(captions), torch.stack([torch.arange(64)] * 2, dim=1).numpy()
        )
        assert metrics["i2t_r1"] == metrics["t2i_r1"] == 100.0
        assert model.generate(images) == captions
        assert model.generate(images[:8], beams=3) == captions[:8]
