"""The demo place: a procedural stretch of land, written as the files that a user would bring.

Everything follows from a seed. `plan` says what is where; `layout` draws it on sheets, by `network` and `uses`;
`camera` renders the sheets as pixels and classes; `rasters`, `osm_map` and `web` write the files; `make` does it all.
"""

from geomammut.demo.place.make import make_place

__all__ = ["make_place"]
