"""From plan to sheets: lays out each district of the demo place by its land uses."""

from functools import cached_property

import numpy as np
import shapely

from geomammut.demo.place.network import Network, lay_network
from geomammut.demo.place.plan import DISTRICT_M, Cell, District, Lot, Plan
from geomammut.demo.place.shapes import Box, Points, ring
from geomammut.demo.place.sheet import GROUND, Sheet
from geomammut.demo.place.uses import LOT_USES
from geomammut.demo.place.uses.farming import farmland, pivot_fields
from geomammut.demo.place.uses.forest import forest
from geomammut.demo.place.uses.homes import residential


class Layout:
    """Lays out districts on demand; each depends only on the plan and its own generator."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._sheets: dict[Cell, Sheet] = {}

    @cached_property
    def network(self) -> Network:
        return lay_network(self.plan)

    @cached_property
    def _corridor_bounds(self) -> Points:
        lines = self.network.corridors
        return np.array([[*(p.min(axis=0) - w), *(p.max(axis=0) + w)] for p, w in lines])

    def near(self, i: int, j: int) -> list[Sheet]:
        """Return the sheets that can reach into grid square (i, j), the network's among them."""
        sheets = [
            self.sheet(cell)
            for cell, district in sorted(self.plan.districts.items())
            if i - 1 <= cell[0] + district.span[0] - 1
            and cell[0] <= i + 1
            and j - 1 <= cell[1] + district.span[1] - 1
            and cell[1] <= j + 1
        ]
        return [*sheets, self.network.sheet]

    def forget_above(self, row: int) -> None:
        """Drop sheets that end above a row of the grid, to keep memory small."""
        for cell in [c for c in self._sheets if c[1] + self.plan.districts[c].span[1] <= row]:
            del self._sheets[cell]

    def sheet(self, cell: Cell) -> Sheet:
        if cell not in self._sheets:
            self._sheets[cell] = self._lay(self.plan.districts[cell])
        return self._sheets[cell]

    def _lay(self, district: District) -> Sheet:
        plan = self.plan
        (i, j), (wide, tall) = district.cell, district.span
        quad = plan.quad(i * DISTRICT_M, j * DISTRICT_M, (i + wide) * DISTRICT_M, (j + tall) * DISTRICT_M)
        sheet = Sheet(plan.rng(5, i, j), (*quad.min(axis=0), *quad.max(axis=0)))
        sheet.fill(GROUND, quad, sheet.pick((100, 116, 66), (114, 122, 74), (124, 126, 82)), "grass")
        sheet.take_all_but(quad)
        low, high = quad.min(axis=0), quad.max(axis=0)
        bounds = self._corridor_bounds
        close = (bounds[:, 0] < high[0]) & (bounds[:, 2] > low[0]) & (bounds[:, 1] < high[1]) & (bounds[:, 3] > low[1])
        roads = [self.network.corridors[k] for k in np.flatnonzero(close)]
        for points, width in roads:
            sheet.take_line(points, width)
        window = shapely.box(low[0] - 40, low[1] - 40, high[0] + 40, high[1] + 40)
        rivers = [shapely.intersection(shapely.Polygon(outline), window) for outline in self.network.river]
        rivers = [river for river in rivers if not shapely.is_empty(river)]
        for river in rivers:
            for part in shapely.get_parts(shapely.buffer(river, 8)):
                sheet.take(ring(part))
        for lot in district.lots:
            self._lay_lot(sheet, district, lot, roads, rivers)
        return sheet

    def _lay_lot(
        self,
        sheet: Sheet,
        district: District,
        lot: Lot,
        roads: list[tuple[Points, float]],
        rivers: list[shapely.Geometry],
    ) -> None:
        plan = self.plan
        ground = plan.quad(lot.x0, lot.y0, lot.x1, lot.y1)
        frame = plan.frame(lot)
        if lot.use in LOT_USES:
            LOT_USES[lot.use](sheet, ground, frame)
            return
        if lot.use == "residential":
            residential(sheet, ground, [plan.world(street) for street in district.streets])
            return
        taken = [shapely.LineString(points).buffer(width / 2 + 1, quad_segs=2) for points, width in roads]
        taken += [shapely.buffer(river, 10) for river in rivers]
        usable = shapely.difference(shapely.Polygon(ground), shapely.union_all(taken))
        if lot.use == "forest":
            forest(sheet, usable, frame)
        elif sheet.rng.random() < 0.12 and not rivers:
            pivot_fields(sheet, usable, frame)
        else:
            fields = [plan.quad(*box) for box in _split(sheet.rng, (lot.x0, lot.y0, lot.x1, lot.y1))]
            farmland(sheet, usable, frame, fields)


def _split(rng: np.random.Generator, box: Box) -> list[Box]:
    """Cut a rectangle into fields of 0.5 to 6 ha or so."""
    x0, y0, x1, y1 = box
    if (x1 - x0) * (y1 - y0) < 15000 or ((x1 - x0) * (y1 - y0) < 60000 and rng.random() < 0.45):
        return [box]
    share = float(rng.uniform(0.32, 0.68))
    if (x1 - x0 > y1 - y0) == (rng.random() < 0.8):
        cut = x0 + share * (x1 - x0)
        return _split(rng, (x0, y0, cut, y1)) + _split(rng, (cut, y0, x1, y1))
    cut = y0 + share * (y1 - y0)
    return _split(rng, (x0, y0, x1, cut)) + _split(rng, (x0, cut, x1, y1))
