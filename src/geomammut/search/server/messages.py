"""What the server is asked and what it answers, in JSON."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_HITS = 200
MAX_LIKED = 64
MAX_INSTANCES = 32

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"[0-9A-Za-z]", examples=["storage tanks"])]
Base64 = Annotated[
    str,
    Field(min_length=4, max_length=11_000_000, pattern=r"^[A-Za-z0-9+/]+={0,2}$", description="A picture file, base64"),
]
ChipId = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$", examples=["0123456789abcdef0123"])]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Box = Annotated[
    tuple[Longitude, Latitude, Longitude, Latitude],
    Field(description="West, south, east, north in degrees", examples=[(6.9, 50.9, 7.0, 51.0)]),
]


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Problem(Message):
    """Why a request was refused, in one line."""

    error: str


class TextInstance(Message):
    text: Text


class ImageInstance(Message):
    image: Base64


Instance = TextInstance | ImageInstance


class Instances(Message):
    instances: Annotated[list[Instance], Field(min_length=1, max_length=MAX_INSTANCES)]


class Embedding(Message):
    embedding: list[float]


class Predictions(Message):
    predictions: list[Embedding]


class Query(Message):
    """What is wanted: words, a picture, chips that were liked, in any mixture; and what is not."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["text"], "properties": {"text": {"type": "string"}}},
                {"required": ["image"], "properties": {"image": {"type": "string"}}},
                {"required": ["liked"], "properties": {"liked": {"type": "array", "minItems": 1}}},
            ],
            "examples": [{"text": "storage tanks"}],
        }
    )

    text: Text | None = None
    image: Base64 | None = None
    without: Annotated[Text | None, Field(description="What is not wanted, in words")] = None
    liked: Annotated[list[ChipId], Field(max_length=MAX_LIKED, description="Chips like what is wanted")] = []
    disliked: Annotated[list[ChipId], Field(max_length=MAX_LIKED, description="Chips that are not")] = []

    @model_validator(mode="after")
    def something_is_wanted(self) -> "Query":
        if not (self.text or self.image or self.liked):
            raise ValueError("nothing is asked for; give text, image or liked")
        return self


class Search(Query):
    bbox: Box | None = None
    since: Annotated[date | None, Field(description="Acquired then or later")] = None
    until: Annotated[date | None, Field(description="Acquired then or earlier")] = None
    sources: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=1000, description="Their ids")] = []
    k: Annotated[int, Field(ge=1, le=MAX_HITS)] = 24


class SourceName(Message):
    id: int
    name: str


class Found(Message):
    """A place. `unusual`: one chip in so many of this archive scores as high. `merged`: chips that overlap it."""

    id: str
    score: float
    unusual: float
    footprint: dict[str, Any]
    source: SourceName
    acquired: str | None
    gsd_m: float
    merged: int


class Answer(Message):
    hits: list[Found]
    seconds: float


class Heat(Query):
    bbox: Box


class Segments(Message):
    classes: Annotated[
        str,
        Field(
            min_length=3,
            max_length=2000,
            description="Names divided by commas, synonyms by bars",
            examples=["building|house roofs, road, water"],
        ),
    ]
    bbox: Box
    format: Literal["geojson", "tif"] = "geojson"


class Source(Message):
    id: int
    name: str
    bounds: tuple[float, float, float, float]
    gsd_m: float
    acquired: str | None


class About(Message):
    """What the archive is of. `tiles`: the zooms at which its imagery has map tiles of 512 pixels."""

    chips: int
    bounds: tuple[float, float, float, float]
    model: str
    embed_dim: int
    size: int
    gsd_m: float
    sources: list[Source]
    tiles: tuple[int, int]
    area_m: float
    version: str


class Key(Message):
    token: Annotated[str, Field(max_length=500)]
