"""GeoPackage and GeoJSON to landmarks: time and peak memory as the number of features grows.

    python benchmarks/feature_tables.py --features 100000 1000000

The tables are made for it: buildings, roads, water and what cannot be seen, with ids and columns named as
OpenStreetMap's keys; one feature in fifty stands in two rows, as in a map that was cut into tiles. Each is read in a
process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DRIVERS = {"gpkg": "GPKG", "geojson": "GeoJSON"}
KINDS = (
    {"building": "house"},
    {"building": "yes", "other_tags": '"building:levels"=>"2","roof:shape"=>"gabled"'},
    {"landuse": "forest", "name": "Wood"},
    {"natural": "water", "other_tags": '"water"=>"pond"'},
    {"amenity": "cafe", "name": "Corner"},
    {"other_tags": '"addr:housenumber"=>"7","addr:street"=>"Alder Street"'},
)


def write_table(path: Path, features: int) -> None:
    """Write `features` rows of polygons of nine corners."""
    import geopandas
    import numpy as np
    import pandas
    import shapely

    number = np.arange(features)
    lon, lat = 10 + number % 2000 * 5e-4, 50 + number // 2000 * 5e-4
    shapes = shapely.buffer(shapely.points(lon, lat), 1e-4, quad_segs=2)
    rows = pandas.DataFrame([KINDS[index] for index in range(len(KINDS))]).iloc[number % len(KINDS)]
    ids = np.where(number % 50 == 1, number - 1, number) + 1_000_000
    rows = rows.reset_index(drop=True).assign(osm_id=ids.astype(str))
    geopandas.GeoDataFrame(rows, geometry=shapes, crs="EPSG:4326").to_file(path, driver=DRIVERS[path.suffix[1:]])


def read_table(path: Path) -> None:
    """Time the reading in this process, and print it with the peak of its memory."""
    from geomammut.landmarks.table import landmarks

    begin = time.monotonic()
    landmarks(path, path.with_suffix(".parquet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(time.monotonic() - begin, 1), "peak_mb": round(peak)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_table(options.read)
        return
    for suffix in DRIVERS:
        for features in options.features:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"map.{suffix}"
                subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r});"
                        f"from feature_tables import *; write_table(Path({str(path)!r}), {features})",
                    ],
                    check=True,
                )
                command = [sys.executable, "-W", "ignore", __file__, "--read", str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                size = path.stat().st_size / 1e6
            print(f"{suffix} of {features:,} features, {size:.0f} MB: {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
