"""The verb `heatmap`: where in an image a text fits."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window as PixelWindow

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.images import read_rgb
from geomammut.files import whole_file
from geomammut.localization.rasters import Written, opened, picture_shape, write_cog
from geomammut.localization.scoring import scored
from geomammut.localization.unfinished_rows import UnfinishedRows
from geomammut.model.load import load_model
from geomammut.model.pooling_head import Window, radii

# Dark violet through red to pale yellow, readable over imagery and by the colour-blind.
_HEAT = np.array([[20, 11, 52], [101, 21, 110], [186, 54, 85], [249, 142, 9], [252, 255, 164]], np.float32)


def heatmap(model: str, image: Path, text: str, out: Path, *, window: Window = 1, seed: int = 0) -> Path:
    """Show where in an image a text fits. A killed run goes on when it is called again.

    Args:
        model: What `load_model` takes.
        image: A picture, or a raster of any size.
        text: What to look for.
        out: `.png` for an overlay on the image (at most 4096 pixels a side, colours from the 2nd to the
            98th percentile of its scores), or `.tif` for the scores themselves: a cloud-optimized GeoTIFF of
            float32 cosines, the image's CRS and transform kept, NaN where it has no data. For probabilities
            see `segment`.
        window: Radius of the Smooth-Attention window, in patches, or several that are averaged.
        seed: There because every verb has it; nothing here is random.

    Returns:
        `out`.

    Raises:
        UserError: No text, no such image or model, or another kind of output.
    """
    out = Path(out)
    if not text.strip():
        raise UserError("the text is empty; say what to look for, such as --text 'a stadium'")
    check_output(out, (".png", ".tif", ".tiff"), window)
    with opened(Path(image)) as raster:
        loaded = load_model(model)

        def keep(scores: NDArray[np.float32], valid: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
            return {"heat": np.where(valid, scores, np.nan)}

        texts = encode_texts(loaded, [text])
        with scored(loaded, raster, texts, window, out, {"heat": ("float32", 1)}, keep) as rows:
            if out.suffix.lower() == ".png":
                _write_overlay(raster, rows, out)
            else:
                whole = rows.folder / "heat.tif"
                what = Written("float32", np.nan, [text])
                write_cog(whole, raster, what, lambda first, count: rows.read("heat", first, count))
                whole.replace(out)
    return out


def check_output(out: Path, suffixes: tuple[str, ...], window: Window) -> None:
    """Raise UserError for an output of another kind, or a window that is none; make the output's folder."""
    if out.suffix.lower() not in suffixes:
        raise UserError(f"cannot write {out}: its name must end in {' or '.join(suffixes)}")
    try:
        radii(window)
    except ValueError as error:
        raise UserError(str(error)) from error
    out.parent.mkdir(parents=True, exist_ok=True)


def _write_overlay(raster: rasterio.DatasetReader, rows: UnfinishedRows, out: Path) -> None:
    height, width = picture_shape(raster)
    down = ((np.arange(height) + 0.5) * raster.height / height).astype(int)
    across = ((np.arange(width) + 0.5) * raster.width / width).astype(int)
    heat = np.stack([rows.read("heat", int(row), 1)[0, 0, across] for row in down])
    whole = PixelWindow(0, 0, raster.width, raster.height)
    picture = overlay(read_rgb(raster, whole, heat.shape), heat)
    with whole_file(out) as partial:
        Image.fromarray(picture).save(partial)


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Lay heat over a picture, more opaque where it is hotter.

    Args:
        pixels: uint8 [H, W, 3].
        heat: [H, W], of any range, shown from its 2nd to its 98th percentile; NaN is left bare.

    Returns:
        uint8 [H, W, 3].
    """
    colour, opacity = heat_colours(heat)
    mixed: NDArray[np.uint8] = np.round(pixels * (1 - opacity) + colour * opacity).astype(np.uint8)
    return mixed


def heat_colours(heat: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the colours of heat [H, W] as `overlay` lays it: 0..255 [H, W, 3], and opacity 0..1 [H, W, 1]."""
    shown = heat[np.isfinite(heat)]
    low, high = np.percentile(shown, [2, 98]) if shown.size else (0.0, 1.0)
    level = ((heat - low) / max(float(high - low), 1e-9)).clip(0, 1)
    bare = ~np.isfinite(level)
    level = np.where(bare, 0, level)
    steps = np.linspace(0, 1, len(_HEAT))
    colour = np.stack([np.interp(level, steps, _HEAT[:, channel]) for channel in range(3)], axis=-1)
    opacity = np.where(bare, 0, 0.25 + 0.5 * level)[..., None]
    return colour, opacity
