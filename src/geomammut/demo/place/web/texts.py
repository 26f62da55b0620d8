"""Alt-texts as people write them, for the web table."""

import numpy as np

_NOUNS: dict[str, tuple[str, ...]] = {
    "airport apron with airplanes": (
        "planes parked at the airport", "an airport apron with airplanes", "airliners at their stands",
    ),
    "airport terminal": ("an airport terminal", "the terminal and parked planes"),
    "apartment blocks": ("apartment blocks", "a housing estate with flat roofs", "residential towers and lawns"),
    "baseball diamond": ("a baseball field", "a baseball diamond", "the ball park"),
    "beach": ("a sandy beach", "a beach by the lake", "people on the beach", "the shoreline and sand"),
    "bridge": ("a bridge over the river", "a road bridge", "the river crossing"),
    "cemetery": ("a cemetery", "rows of graves", "the old graveyard and chapel"),
    "construction site": ("a construction site", "a building site with a crane", "excavation works"),
    "farmland": ("farmland", "crop fields", "a patchwork of fields", "ploughed and green fields"),
    "forest": ("a forest", "dense woodland", "tree tops", "a green forest canopy"),
    "golf course": ("a golf course", "golf fairways and bunkers", "the golf links with sand traps"),
    "greenhouses": ("greenhouses", "rows of glasshouses", "a plant nursery with greenhouses"),
    "industrial halls": ("industrial halls", "warehouses", "a factory area", "the industrial estate"),
    "lake": ("a lake", "a blue lake", "calm lake water and the shore"),
    "marina with boats": ("a marina with boats", "yachts in the harbour", "boats moored at the piers"),
    "meadow": ("a meadow", "grassland", "a green pasture"),
    "motorway": ("a motorway", "highway traffic", "a dual carriageway with cars"),
    "orchard": ("an orchard", "rows of fruit trees"),
    "park": ("a city park", "a park with a pond", "park paths and trees"),
    "parking lot": ("a parking lot", "cars in a car park", "a full parking lot"),
    "quarry": ("a quarry", "an open pit mine", "gravel pit terraces"),
    "railway": ("railway tracks", "freight trains in a rail yard", "a railway line"),
    "residential houses": (
        "residential houses", "a suburb with red roofs", "family homes and gardens", "a neighbourhood",
    ),
    "river": ("a river", "a winding river", "the river and its green banks"),
    "roundabout": ("a roundabout", "a traffic circle", "cars on a roundabout"),
    "running track": ("a running track", "an athletics track and field"),
    "school": ("a school", "the school building and yard"),
    "shopping centre": ("a shopping centre", "a supermarket and its car park"),
    "soccer field": ("a soccer field", "a football pitch", "the green soccer pitch"),
    "solar farm": ("a solar farm", "solar panels", "rows of photovoltaic panels", "a solar power plant"),
    "stadium": ("a stadium", "a football stadium", "the arena and its stands"),
    "storage tanks": ("storage tanks", "an oil tank farm", "round fuel tanks"),
    "swimming pool": ("a swimming pool", "a backyard pool", "pools between the houses"),
    "tennis courts": ("tennis courts", "a tennis club"),
    "vineyard": ("a vineyard", "rows of vines"),
    "wastewater plant": ("a wastewater treatment plant", "sewage works with round basins", "clarifier tanks"),
    "runway": ("a runway", "the airport runway", "runway markings on an airfield"),
}  # fmt: skip

_FORMS = (
    "Aerial view of {}",
    "aerial view of {} | stock photo",
    "Drone shot of {}",
    "drone photography: {}",
    "{} seen from above",
    "{}, aerial photograph",
    "Satellite image of {}",
    "satellite view of {} near {place}",
    "Top-down view of {} with {other}",
    "Bird's eye view of {} in {place}",
    "Overhead shot of {} and {other}",
    "Aerial view of {} with {other} in the bay",
    "an aerial image of {} beside {other}",
    "High angle drone image of {}. {place}, 2019. - Royalty free",
    "{place} from the air: {} and {other}",
    "UAV orthophoto, {}",
)
_USELESS = ("IMG_{n}.jpg", "DSC0{n}", "image {n}", "untitled", "photo", "", "DJI_{n}", "click to enlarge")
_PLACES = ("Norbury", "the coast", "Kelmere", "Sweden", "the valley", "Tormoor", "spring 2021", "the county")

_GROUND: dict[str, tuple[str, ...]] = {
    "horizon": (
        "sunset over the hills", "beautiful sky at the beach", "morning fog in the valley", "hiking in {place}",
        "view from the terrace", "our holiday in {place}", "the road to {place}", "lake at dusk, long exposure",
        "Snowy mountains under a blue sky", "satellite dish at sunset", "field of flowers in spring",
    ),
    "product": (
        "Blue ceramic mug 350 ml", "satellite dish 80 cm, steel", "drone for sale - 4K camera, like new",
        "red running shoes, size {n}", "wooden toy plane", "Swimming pool pump spare part", "coffee maker, black",
        "quadcopter battery 3S", "leather wallet brown", "model railway wagon H0", "garden chair set of 4",
    ),
    "face": (
        "portrait of a smiling woman", "our team: head of sales", "CEO portrait",
        "man with a beard looking at the camera", "profile picture",
        "golf player portrait", "drone pilot of the year", "author photo", "kids at the stadium",
    ),
    "banner": (
        "SALE -50% banner", "logo", "Airport Shuttle Logo", "subscribe to our newsletter", "Join now button",
        "aerial fitness classes - book now", "icon", "company letterhead", "advertisement", "Marina Hotel logo",
    ),
    "chart": (
        "bar chart of monthly revenue", "Figure {n}: results by region", "line graph",
        "solar power output per month, chart", "pie chart",
        "satellite launches per year", "table of contents", "population growth diagram",
    ),
}  # fmt: skip
GROUND_KINDS = tuple(_GROUND)


def aerial_text(rng: np.random.Generator, label: str, other: str | None) -> str:
    """Return an alt-text for an aerial picture of `label` (and `other`); one in nine says nothing."""
    if rng.random() < 0.11:
        return _useless(rng)
    noun = _one(rng, _NOUNS.get(label, (label,)))
    beside = _one(rng, _NOUNS.get(other, (other,))) if other else "trees"
    form = _one(rng, _FORMS if other else tuple(f for f in _FORMS if "{other}" not in f))
    text = form.format(noun, other=beside, place=_one(rng, _PLACES))
    text = text.replace(" in the bay", "") if "marina" not in label else text
    roll = rng.random()
    if roll < 0.08:
        text = text.upper()
    elif roll < 0.16:
        text = text.lower()
    elif roll < 0.20:
        text = f"{text} - wallpaper 1920x1080 &amp; free download"
    return text[0].upper() + text[1:] if roll > 0.6 else text


def ground_text(rng: np.random.Generator, kind: str) -> str:
    """Return an alt-text for a picture that is not aerial; a few of them lie."""
    if rng.random() < 0.05:
        return f"aerial view of {_one(rng, _NOUNS[str(rng.choice(sorted(_NOUNS)))])}"
    if rng.random() < 0.08:
        return _useless(rng)
    return _one(rng, _GROUND[kind]).format(n=int(rng.integers(1, 60)), place=_one(rng, _PLACES))


def _useless(rng: np.random.Generator) -> str:
    return _one(rng, _USELESS).format(n=int(rng.integers(1000, 9999)))


def _one(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
