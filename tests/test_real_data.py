"""The verbs in a row on real data: RSICD into pairs, a short training, then the benchmarks of the README."""

import json
from pathlib import Path

from geomammut.cli import main

RECIPE = Path(__file__).parents[1] / "recipes" / "rsicd_small.toml"


def test_rsicd_small_from_annotations_to_benchmarks(shared_data: Path, tmp_path: Path) -> None:
    rsicd = shared_data / "rsicd"
    annotations = tmp_path / "some_rsicd.json"
    entries = json.loads((rsicd / "dataset_rsicd.json").read_text(encoding="utf-8"))["images"]
    chosen = [[entry for entry in entries if entry["split"] == split][:160] for split in ("train", "val")]
    annotations.write_text(json.dumps({"images": [*chosen[0], *chosen[1]]}), encoding="utf-8")

    def run(*words: object) -> None:
        assert main([str(word) for word in words]) == 0

    images, pairs, model = rsicd / "images", tmp_path / "pairs", tmp_path / "model"
    run("pairs", "import", "--annotations", annotations, "--images", images, "--split", "train", "-o", pairs)
    run("pairs", "check", pairs)
    few = ("--set", f"pairs.rsicd={pairs}", "--set", "stages.0.samples=256", "--set", "model.vision.layers=2")
    run("train", RECIPE, "-o", model, *few)

    def measured(*words: object) -> dict[str, float]:
        out = tmp_path / "out.json"
        run("eval", *words, "--model", model, "-o", out)
        result = json.loads(out.read_text(encoding="utf-8"))
        assert result["model"] == str(model)
        return dict(result["metrics"])

    recalls = measured("retrieval", "--annotations", annotations, "--images", images, "--split", "val")
    assert 0 < recalls["t2i_r10"] < 60
    for benchmark in ("ucm", "eurosat"):
        metrics = measured("classification", "--images", shared_data / benchmark)
        assert 0 < metrics["top1"] <= metrics["top5"] < 100
