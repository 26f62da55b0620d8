"""What each land use looks like: functions that paint and map one lot on a sheet."""

from collections.abc import Callable

from geomammut.demo.place.shapes import Frame, Points
from geomammut.demo.place.sheet import Sheet
from geomammut.demo.place.uses.airport import airport
from geomammut.demo.place.uses.farming import meadow, orchard
from geomammut.demo.place.uses.golf import golf
from geomammut.demo.place.uses.homes import apartments
from geomammut.demo.place.uses.lake import lake
from geomammut.demo.place.uses.sports import sports, stadium
from geomammut.demo.place.uses.town import cemetery, commercial, construction, industrial, park, school
from geomammut.demo.place.uses.works import greenhouses, quarry, solar_farm, tank_farm, wastewater

# The uses that need no more than their ground; houses, farms and forests also need streets, roads and the river.
LOT_USES: dict[str, Callable[[Sheet, Points, Frame], None]] = {
    "airport": airport,
    "apartments": apartments,
    "cemetery": cemetery,
    "commercial": commercial,
    "construction": construction,
    "golf": golf,
    "greenhouses": greenhouses,
    "industrial": industrial,
    "lake": lake,
    "meadow": meadow,
    "orchard": orchard,
    "park": park,
    "quarry": quarry,
    "school": school,
    "solar farm": solar_farm,
    "sports": sports,
    "stadium": stadium,
    "tank farm": tank_farm,
    "wastewater": wastewater,
}
