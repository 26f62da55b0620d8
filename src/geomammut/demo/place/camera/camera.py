"""The camera: puts canopies on forests and shadows on the ground, then sun, haze, lens and sensor.

Painted at half a metre, seen at one metre.
"""

import math

import numpy as np
from PIL import Image

from geomammut.demo.place.camera.light import Light, shadows, shifted
from geomammut.demo.place.camera.paint import Layers, paint
from geomammut.demo.place.camera.textures import SCALE, TEXTURE, Bytes, Floats, Textures
from geomammut.demo.place.plan import DISTRICT_M, Plan
from geomammut.demo.place.sheet import Sheet
from geomammut.demo.place.surfaces import CLASS_INDEX, SURFACE_INDEX, SURFACES

BORDER_M = 40  # what is painted around a tile, so that shadows fall into it


class Camera:
    """Renders tiles of one place; light and colour change slowly over it, by districts."""

    def __init__(self, plan: Plan, textures: Textures) -> None:
        self.textures = textures
        rng = plan.rng(4)
        nodes = plan.count + 1
        self._gain = rng.uniform(0.94, 1.24, (nodes, nodes)).astype(np.float32)
        self._warmth = rng.uniform(-0.07, 0.07, (nodes, nodes)).astype(np.float32)
        self._haze = (rng.beta(1.2, 5, (nodes, nodes)) * 0.34).astype(np.float32)
        self._season = rng.beta(0.9, 1.6, (nodes, nodes)).astype(np.float32)
        self._vivid = rng.uniform(0.62, 0.98, (nodes, nodes)).astype(np.float32)
        self._sun = rng.uniform(0, 2 * np.pi, 4)
        self._tilt = 2 * np.pi / plan.side

    def light(self, x: float, y: float) -> Light:
        """Return the sun over a point: it stands somewhere in the south, as on flights of different hours."""
        wave = math.sin(x * self._tilt * 1.3 + self._sun[0]) + math.sin(y * self._tilt * 1.7 + self._sun[1])
        climb = math.sin(x * self._tilt * 0.9 + self._sun[2]) + math.sin(y * self._tilt * 1.2 + self._sun[3])
        return Light(math.pi / 2 + 0.45 * wave, math.radians(46 + 6 * climb))

    def tile(self, i: int, j: int, sheets: list[Sheet]) -> tuple[Bytes, Bytes]:
        """Return the pixels [480, 480, 3] and land classes [480, 480] of one grid square."""
        left, top = i * DISTRICT_M - BORDER_M, j * DISTRICT_M - BORDER_M
        side = DISTRICT_M + 2 * BORDER_M
        light = self.light(left + side / 2, top + side / 2)
        layers = paint(sheets, left, top, side, light)
        surface = np.asarray(layers.surface)
        height, colour = self._grow(surface, layers, left, top)
        dark = shadows(height, light)
        relief = self._relief(height, surface, light)
        seen = slice(BORDER_M - 1, side - BORDER_M + 1)  # one more on each side, for the lens
        lit = _halve(np.where(dark, 0, 255).astype(np.uint8))[seen, seen].astype(np.float32) / np.float32(255)
        shade = _halve(relief)[seen, seen].astype(np.float32) / np.float32(128)
        pixels = np.asarray(colour.reduce(SCALE))[seen, seen].astype(np.float32)
        ground = surface[::SCALE, ::SCALE][seen, seen]
        pixels = self._expose(pixels, ground, lit, shade, i, j)
        classes: Bytes = _CLASS_OF[ground[1:-1, 1:-1]]
        return self._sense(pixels, i, j), classes

    def _grow(self, surface: Bytes, layers: Layers, left: int, top: int) -> tuple[Bytes, Image.Image]:
        """Put the canopy's height and colour on forested ground."""
        height = layers.height
        colour = layers.colour
        side = surface.shape[0]
        rows = (np.arange(side) + top * SCALE) % TEXTURE
        cols = (np.arange(side) + left * SCALE) % TEXTURE
        pixels: Bytes | None = None
        for name in ("deciduous", "conifer"):
            wooded = surface == SURFACE_INDEX[name]
            if wooded.any():
                spot = np.ix_(rows, cols)
                np.maximum(height, self.textures.heights[name][spot], out=height, where=wooded)
                shift = self.textures.hues[name][spot][wooded].astype(np.float32) / 128
                pixels = np.asarray(colour).copy() if pixels is None else pixels
                hued = pixels[wooded] * np.stack([shift**1.5, shift, shift**0.7], axis=-1)
                pixels[wooded] = np.clip(hued, 0, 255).astype(np.uint8)
        return height, colour if pixels is None else Image.fromarray(pixels)

    def _relief(self, height: Bytes, surface: Bytes, light: Light) -> Bytes:
        """Shade crowns by their own slope toward the sun; 128 is flat ground."""
        sx, sy = round(2 * math.cos(light.azimuth)), round(2 * math.sin(light.azimuth))
        here, there = shifted(height.shape, sx, sy)
        rise = np.zeros(height.shape, dtype=np.int16)
        rise[here] = height[here].astype(np.int16) - height[there]
        strength = _RELIEF[surface]
        shade: Bytes = np.clip(128 + np.clip(rise, -24, 16) * strength, 0, 255).astype(np.uint8)
        return shade

    def _field(self, nodes: Floats, i: int, j: int, size: int) -> Floats:
        """Return a slowly changing quantity over a tile, [size, size]."""
        t = np.linspace(0, 1, size, dtype=np.float32)
        upper = nodes[j, i] * (1 - t) + nodes[j, i + 1] * t
        lower = nodes[j + 1, i] * (1 - t) + nodes[j + 1, i + 1] * t
        field: Floats = upper[None, :] * (1 - t)[:, None] + lower[None, :] * t[:, None]
        return field

    def _expose(self, pixels: Floats, ground: Bytes, lit: Floats, shade: Floats, i: int, j: int) -> Floats:
        size = pixels.shape[0]
        texture = self._crop(self.textures.grain, i, j, size) * _GRAIN[ground]
        texture += self._crop(self.textures.blotch, i, j, size) * _BLOTCH[ground]
        bright = self._field(self._gain, i, j, size) * (1 + texture) * shade
        season = self._field(self._season, i, j, size) * _VEGETATION[ground]
        warmth = self._field(self._warmth, i, j, size)
        grey = pixels.mean(axis=-1)
        vivid = self._field(self._vivid, i, j, size)
        haze = self._field(self._haze, i, j, size)
        # Sky light is bluish and remains in the shadows; the sun's is slightly warm.
        for band, (sky, sun, turn, heat, veil) in enumerate(
            ((0.30, 0.72, 0.34, 1.0, 188.0), (0.34, 0.68, 0.10, 0.1, 198.0), (0.42, 0.60, -0.02, -1.0, 212.0))
        ):
            plane = grey + (pixels[..., band] - grey) * vivid
            plane *= (sky + sun * lit) * bright * (1 + turn * season) * (1 + heat * warmth)
            plane += (veil - plane) * haze
            pixels[..., band] = plane
        return pixels

    def _sense(self, pixels: Floats, i: int, j: int) -> Bytes:
        """Blur by the lens and add the sensor's noise."""
        core = 0.64 * pixels[1:-1] + 0.18 * (pixels[:-2] + pixels[2:])
        core = 0.64 * core[:, 1:-1] + 0.18 * (core[:, :-2] + core[:, 2:])
        core += 2.2 * self._crop(self.textures.noise, 3 * i + j, i + 5 * j, core.shape[0])
        seen: Bytes = np.clip(core, 0, 255).astype(np.uint8)
        return seen

    def _crop(self, texture: Floats, i: int, j: int, size: int) -> Floats:
        rows = (np.arange(size) + j * DISTRICT_M) % TEXTURE
        cols = (np.arange(size) + i * DISTRICT_M) % TEXTURE
        crop: Floats = texture[rows[:, None], cols[None, :]]
        return crop


def _halve(values: Bytes) -> Bytes:
    return np.asarray(Image.fromarray(values).reduce(SCALE))


_GRAIN = np.array([s.grain for s in SURFACES.values()], dtype=np.float32)
_BLOTCH = np.array([s.blotch for s in SURFACES.values()], dtype=np.float32)
_VEGETATION = np.array([s.vegetation for s in SURFACES.values()], dtype=np.float32)
_RELIEF = np.array([s.relief * 5.0 for s in SURFACES.values()], dtype=np.float32)
_CLASS_OF = np.array([CLASS_INDEX[s.land_class] if s.land_class else 0 for s in SURFACES.values()], dtype=np.uint8)
