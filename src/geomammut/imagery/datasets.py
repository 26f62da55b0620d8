"""Rasters opened with GDAL, from files and from the network."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from geomammut.imagery.addresses import VSI_PREFIXES

# A request is given up for good after some minutes; a raster's neighbours on a server are not asked for.
_NETWORK = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
}


@contextmanager
def open_dataset(
    dataset: str, drivers: Sequence[str] | None = None, overview: int | None = None
) -> Iterator[DatasetReader]:
    """Open a raster, patiently where it is on the network.

    Args:
        dataset: A path, GDAL address or virtual raster (XML).
        drivers: Names of the GDAL drivers that may open it, the likeliest first; None for all.
        overview: Which of its overviews, from 0, the finest; None for the raster itself.

    Raises:
        RasterioError: It cannot be opened.
    """
    with ExitStack() as stack:
        if any(prefix in dataset for prefix in VSI_PREFIXES.values()):
            stack.enter_context(rasterio.Env(**_NETWORK))
        yield stack.enter_context(_opened(dataset, drivers, overview))


def is_virtual(dataset: str) -> bool:
    """Return whether a dataset is a virtual raster's XML itself, and no address of a file."""
    return dataset.lstrip().startswith("<")


def _opened(dataset: str, drivers: Sequence[str] | None, overview: int | None) -> DatasetReader:
    level = {} if overview is None else {"overview_level": overview}
    for driver in (drivers or (None,))[:-1]:
        try:
            return rasterio.open(dataset, driver=driver, **level)
        except RasterioError:
            continue
    return rasterio.open(dataset, driver=(drivers or (None,))[-1], **level)
