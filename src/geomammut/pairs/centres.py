"""The points that chips are centred on when they are to show one landmark each, and its surroundings."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from geomammut.errors import UserError
from geomammut.imagery.grid import Centres

JITTER = 0.25  # of a chip's side: the landmark lies in the middle half, not always in the middle
_COLUMNS = ["landmark_id", "category", "min_visible_gsd_m", "geometry"]


def landmark_centres(table: Path, gsd_m: float, seed: int) -> Centres:
    """Return a point inside each landmark that can be seen at `gsd_m`.

    Of the landmarks in one cell of the chips' grid, that of the category which is rarest in the map gets
    the chip: a stadium before a house. The table is read piece by piece; a point and an id are kept.

    Raises:
        UserError: No landmark can be seen at that GSD.
    """
    keys: list[str] = []
    categories: list[str] = []
    points = [np.empty((0, 2))]
    for batch in pq.ParquetFile(table).iter_batches(columns=_COLUMNS):
        visible = batch.filter(pc.greater_equal(batch["min_visible_gsd_m"], gsd_m))
        shapes = shapely.from_wkb(visible["geometry"].to_numpy(zero_copy_only=False))
        points.append(shapely.get_coordinates(shapely.point_on_surface(shapes)))
        keys += visible["landmark_id"].to_pylist()
        categories += visible["category"].to_pylist()
    if not keys:
        raise UserError(f"{table.name} holds no landmark that can be seen at {gsd_m:g} m per pixel; give a finer --gsd")
    lon, lat = np.concatenate(points).T
    _, kind, counts = np.unique(np.array(categories), return_inverse=True, return_counts=True)
    return Centres(lon, lat, keys, counts[kind].astype(np.float64), jitter=JITTER, seed=seed)
