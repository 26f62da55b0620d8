"""What a picture's pixels alone give away: blank, a thing on white, framed, a collage, a map, a chart, watermarked.

Every rule is a simple measure with a threshold; `docs/results.md` has how many images from above they drop, and how
many pictures of each kind they find.
"""

from collections.abc import Iterator

import numpy as np
from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray
from PIL import Image

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.watermarks import check_watermark

Pixels = NDArray[np.int16]  # RGB, 0..255, [h, w, 3]

SIDE, THUMBNAIL_SIDE = 256, 128  # pixels, at most, of what the rules look at
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)

BLANK_CONTRAST = 3.0  # grey levels
WHITE = 245
WHITE_BORDER_SHARE = 0.6
CHART_FLAT_SHARE = 0.55
CHART_CONTRAST = 50.0
# A map: light, in plain areas with sharp edges.
MAP_BRIGHTNESS = 190  # of half of the pixels
MAP_PLAIN_SHARE = 0.12  # of blocks of 4 × 4 pixels
MAP_EDGE_SHARE = 0.03
# A frame: straight lines of one colour along a side, from which the picture sets off sharply.
FRAME_UNIFORM = 8  # levels that 95% of a line keep within
FRAME_WRITING_SHARE = 0.45  # of a line is ground; the rest may be letters
FRAME_STEP = 24
FRAME_SHARES = 0.012, 0.4  # of the picture's height or width
FRAME_STEP_SHARE = 0.6
STRIP_SHARE, STRIP_STEP_SHARE = 0.035, 0.75  # of a single black or white strip
# A collage: a black or white line from side to side between two pictures.
GUTTER_UNIFORM = 16
GUTTER_STEP = 30
GUTTER_STEP_SHARE = 0.6
GUTTER_REACH = 5  # pixels
BLACK_AT_MOST, WHITE_AT_LEAST = 26, 230
# Or a seam where pictures of one size meet, the sharpest step of all from side to side.
SEAM_PLACES = 1 / 2, 1 / 3, 2 / 3  # of the height or width
SEAM_SIDE = 96  # pixels, at least
SEAM_STEP = 12  # grey levels
SEAM_STEP_SHARE = 0.3  # of each third of it: a roof's edge is not as long


def check_picture(image: Image.Image) -> None:
    """Raise Dropped if a decoded RGB picture is of a kind that no image from above is."""
    small = shrunk(image, SIDE)
    check_statistics(np.asarray(shrunk(small, THUMBNAIL_SIDE)))
    pixels = np.asarray(small).astype(np.int16)
    check_frame(pixels)
    check_collage(pixels)
    check_seams(small)
    check_map(_middle(image, SIDE))
    check_watermark(small)


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Return an RGB picture of at most `side` pixels a side."""
    if max(image.size) <= side:
        return image
    width, height = shrunk_size(image.size, side)
    result = ImageData(width, height, PixelType.U8x3)
    kernel = ResizeAlg.convolution(FilterType.box if max(image.size) >= 2 * side else FilterType.catmull_rom)
    # Pillow's own takes four times as long.
    Resizer().resize(ImageData(*image.size, PixelType.U8x3, image.tobytes()), result, ResizeOptions(kernel))
    return Image.frombytes("RGB", (width, height), bytes(result.get_buffer()))


def shrunk_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the width and height of a picture shrunk to at most `side` pixels a side."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def check_statistics(thumbnail: NDArray[np.uint8]) -> None:
    """Raise Dropped if `thumbnail` (RGB [h, w, 3], at most THUMBNAIL_SIDE a side) is no image from above.

    Three simple measures: the range of grey levels (blank), the share of near-white pixels along the border
    (a thing on a white background), and the share of pixels equal to their right and lower neighbours in an
    image that has contrast (charts, text, logos; a calm sea is as flat, but has none).
    """
    grey = thumbnail.astype(np.float32) @ GREY
    darkest, brightest = np.percentile(grey, (1, 99))
    contrast = float(brightest - darkest)
    if contrast < BLANK_CONTRAST:
        raise Dropped("blank", f"contrast {contrast:.1f}")
    white: NDArray[np.bool_] = np.all(thumbnail >= WHITE, axis=2)
    margin = max(2, round(0.05 * min(white.shape)))
    inner = white[margin:-margin, margin:-margin]
    border_share = float(white.sum() - inner.sum()) / (white.size - inner.size)
    if border_share >= WHITE_BORDER_SHARE:
        raise Dropped("white background", f"{border_share:.0%} of the border is white")
    to_right = np.abs(np.diff(grey, axis=1))[:-1]
    to_below = np.abs(np.diff(grey, axis=0))[:, :-1]
    flat_share = float(((to_right <= 1.5) & (to_below <= 1.5)).mean())
    if contrast >= CHART_CONTRAST and flat_share >= CHART_FLAT_SHARE:
        raise Dropped("chart or text", f"{flat_share:.0%} of it is flat")


def check_map(image: Image.Image) -> None:
    """Raise Dropped if a piece of a picture, as fine as the picture is, looks drawn: light, plain, with sharp edges."""
    brightness = image.convert("L").histogram()
    if sum(brightness[:MAP_BRIGHTNESS]) > sum(brightness[MAP_BRIGHTNESS:]) or min(image.size) < 8:
        return
    pixels = np.asarray(image).astype(np.int16)
    to_right = np.abs(np.diff(pixels, axis=1)).max(axis=2)[:-1]
    to_below = np.abs(np.diff(pixels, axis=0)).max(axis=2)[:, :-1]
    steps = np.maximum(to_right, to_below)
    height, width = (size // 4 * 4 for size in steps.shape)
    blocks = steps[:height, :width].reshape(height // 4, 4, width // 4, 4).max(axis=(1, 3))
    plain, edges = float((blocks <= 4).mean()), float((steps > 24).mean())
    if plain >= MAP_PLAIN_SHARE and edges >= MAP_EDGE_SHARE:
        raise Dropped("map or drawing", f"{plain:.0%} of it is plain, {edges:.0%} edges")


def check_frame(pixels: Pixels) -> None:
    """Raise Dropped if a picture has strips of one colour on two opposite sides, or a black or white one on any.

    Letters may stand on a strip: the captions of agencies and papers do.
    """
    strips = [_strip(side) for side in _sides(pixels)]
    framed = [FRAME_SHARES[0] <= share < FRAME_SHARES[1] and step >= FRAME_STEP_SHARE for share, step, _ in strips]
    if (framed[0] and framed[1]) or (framed[2] and framed[3]):
        raise Dropped("frame")
    for share, step, extreme in strips:
        if extreme and STRIP_SHARE <= share < FRAME_SHARES[1] and step >= STRIP_STEP_SHARE:
            raise Dropped("frame", "a black or white strip along a side")


def _sides(pixels: Pixels) -> Iterator[Pixels]:
    """Yield the picture with its top, bottom, left and right first."""
    turned = pixels.transpose(1, 0, 2)
    yield from (pixels, pixels[::-1], turned, turned[::-1])


def _strip(pixels: Pixels) -> tuple[float, float, bool]:
    """Return of the strip along the first line: its share of the picture, the share of its inner edge where the
    picture sets off from it, and whether it is black or white."""
    colour = np.median(pixels[0], axis=0).astype(np.int16)
    if (np.abs(pixels[0] - colour).max(axis=1) > FRAME_UNIFORM).mean() > 0.05:
        return 0.0, 0.0, False
    away = np.abs(pixels[: len(pixels) // 2 + 2] - colour).max(axis=2)
    ground = (away[: len(pixels) // 2] <= FRAME_UNIFORM + 4).mean(axis=1) >= FRAME_WRITING_SHARE
    lines = len(ground) if ground.all() else int(np.argmin(ground))
    edge = np.maximum(away[min(lines, len(away) - 1)], away[min(lines + 1, len(away) - 1)])
    extreme = bool((colour <= BLACK_AT_MOST).all() or (colour >= WHITE_AT_LEAST).all())
    return lines / len(pixels), float((edge > FRAME_STEP).mean()), extreme


def check_collage(pixels: Pixels) -> None:
    """Raise Dropped if a black or white line from side to side divides a picture."""
    red, green, blue = pixels.transpose(2, 0, 1)  # `all(axis=2)` takes ten times as long
    black = np.maximum(np.maximum(red, green), blue) <= BLACK_AT_MOST
    white = np.minimum(np.minimum(red, green), blue) >= WHITE_AT_LEAST
    for turned, extremes in (
        (pixels, (black, white)),
        (pixels.transpose(1, 0, 2), (black.T, white.T)),
    ):
        count = len(turned)
        lines = np.arange(count)
        plain = np.logical_or(*(extreme.mean(axis=1) > 0.5 for extreme in extremes))
        for line in lines[plain & (lines >= 0.15 * count) & (lines < 0.85 * count)]:
            colour = np.median(turned[line], axis=0).astype(np.int16)
            if (np.abs(turned[line] - colour).max(axis=1) > GUTTER_UNIFORM).mean() > 0.1:
                continue
            beside = (max(line - GUTTER_REACH, 0), min(line + GUTTER_REACH, count - 1))
            steps = [float((np.abs(turned[other] - colour).max(axis=1) > GUTTER_STEP).mean()) for other in beside]
            if min(steps) >= GUTTER_STEP_SHARE:
                raise Dropped("collage", f"a line at {line / count:.0%}")


def check_seams(image: Image.Image) -> None:
    """Raise Dropped if pictures of one size seem to meet in a picture, side by side or one above the other."""
    if min(image.size) < SEAM_SIDE:
        return
    grey = np.asarray(image.convert("L")).astype(np.int16)
    for turned in (grey, grey.T):
        steps = np.abs(turned[3:] - turned[:-3])  # over three pixels: a seam was blurred when the picture was shrunk
        strength = np.minimum(steps, 60).mean(axis=1)
        for place in SEAM_PLACES:
            first = round(place * len(turned)) - 3
            seam = first + int(strength[first : first + 4].argmax())
            if strength[seam] <= max(strength[: seam - 3].max(), strength[seam + 4 :].max()):
                continue
            beside = np.maximum(steps[seam - 5 : seam - 2].max(axis=0), steps[seam + 3 : seam + 6].max(axis=0))
            sharp = steps[seam] > np.maximum(beside, SEAM_STEP)
            if min(third.mean() for third in np.array_split(sharp, 3)) >= SEAM_STEP_SHARE:
                raise Dropped("collage", f"a seam at {place:.0%}")


def _middle(image: Image.Image, side: int) -> Image.Image:
    width, height = min(side, image.width), min(side, image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
