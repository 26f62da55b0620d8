"""The server's addresses: each parses, asks `Answers`, and answers."""

import io
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPBearer
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.model.interface import VisionLanguageModel
from geomammut.search.archive import Archive
from geomammut.search.server.answers import Answers
from geomammut.search.server.api_page import api_page
from geomammut.search.server.guard import COOKIE, Guard, RefusedError, cookie_of, same
from geomammut.search.server.measures import Measured
from geomammut.search.server.messages import (
    About,
    Answer,
    Embedding,
    Heat,
    ImageInstance,
    Instances,
    Key,
    Predictions,
    Problem,
    Search,
    Segments,
    TextInstance,
)
from geomammut.search.server.page_files import page_files
from geomammut.search.server.tiles import MAX_ZOOM

_KEPT = {"Cache-Control": "private, max-age=86400"}
_WHY = {
    400: "It makes no sense, or asks too much",
    401: "A token is needed",
    403: "Asked by another site, or by another name",
    404: "There is no such thing",
    413: "The body is too large",
    422: "It is not of the form described here",
    429: "Too many requests",
    503: "Too many are waiting",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why} for status, why in _WHY.items()
}


def create_app(archive: Archive, model: VisionLanguageModel, token: str | None = None) -> ASGIApp:
    """Return the application that `geomammut serve` runs.

    Args:
        archive: What is searched.
        model: The one that it was made with.
        token: What clients must know; None where only this machine can ask.
    """
    answers = Answers(archive, model)
    app = FastAPI(
        title="GeoMaMMUT search",
        summary="Ask an archive of imagery in words, by pictures, and by places that were liked.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=_PROBLEMS,
    )
    _add_errors(app)
    _add_page(app)
    # Only described here: `Guard` asks for it.
    asks = [] if token is None else [Security(HTTPBearer(auto_error=False))]
    app.include_router(_api(answers), dependencies=asks)
    _add_session(app, token)
    measured = Measured(Guard(app, token, ("/api/", "/metrics")), answers.lines, len(archive))

    @app.get("/health")
    async def health() -> dict[str, str | int]:
        """Say that the server works."""
        return {"status": "ok", "chips": len(archive)}

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        content, media_type = measured.text()
        return Response(content, media_type=media_type)

    return measured


def _api(answers: Answers) -> APIRouter:
    api = APIRouter()

    @api.get("/api/archive")
    async def archive() -> About:
        """Tell what the archive is of."""
        return answers.about()

    @api.post("/api/search")
    async def search(asked: Search) -> Answer:
        """Find the places that fit best, the best first."""
        return await answers.search(asked)

    @api.post("/api/embeddings")
    async def embeddings(asked: TextInstance | ImageInstance | Instances) -> Embedding | Predictions:
        """Embed a text, a picture, or several: `{"text": …}`, `{"image": …}` or `{"instances": […]}`."""
        if isinstance(asked, Instances):
            return Predictions(predictions=await answers.embeddings(asked.instances))
        return (await answers.embeddings([asked]))[0]

    @api.get("/api/chips/{id}", response_class=Response, responses=_picture("image/jpeg"))
    async def chip(id: Annotated[str, Path(pattern=r"^[0-9a-f]{8,64}$")]) -> Response:
        """Give a chip's picture, JPEG."""
        return Response(await answers.chip(id), media_type="image/jpeg", headers=_KEPT)

    @api.get("/api/tiles/{zoom}/{column}/{row}", response_class=Response, responses=_picture("image/png", "image/jpeg"))
    async def tile(
        zoom: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
        column: Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)],
        row: Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)],
    ) -> Response:
        """Give a map tile of the imagery (web mercator, 512 pixels), transparent where there is none."""
        made = await answers.tile(zoom, column, row)
        content, media_type = made or (_NOTHING, "image/png")
        return Response(content, media_type=media_type, headers=_KEPT)

    @api.post("/api/heatmap", response_class=Response, responses=_picture("image/png"))
    async def heatmap(asked: Heat) -> Response:
        """Show where in a box the query fits: a picture for the map, least and largest cosine in `X-Scores`."""
        content, low, high = await answers.heat(asked)
        return Response(content, media_type="image/png", headers={"X-Scores": f"{low:.4f} {high:.4f}"})

    @api.post("/api/segment", response_class=Response, responses=_picture("application/geo+json", "image/tiff"))
    async def segment(asked: Segments) -> Response:
        """Divide what lies in a box into classes named by words: polygons (GeoJSON) or a mask (GeoTIFF)."""
        content = await answers.segments(asked)
        media_type = "image/tiff" if asked.format == "tif" else "application/geo+json"
        name = f'attachment; filename="segments.{asked.format}"'
        return Response(content, media_type=media_type, headers={"Content-Disposition": name})

    return api


def _add_session(app: FastAPI, token: str | None) -> None:
    @app.post("/api/session", status_code=204, include_in_schema=False)
    async def session(key: Key, request: Request) -> Response:
        if token is not None and not same(key.token, token):
            raise RefusedError(401, "this is not the token")
        answer = Response(status_code=204)
        if token is not None:
            secure = request.url.scheme == "https"
            answer.set_cookie(COOKIE, cookie_of(token), httponly=True, samesite="strict", secure=secure)
        return answer


def _add_page(app: FastAPI) -> None:
    files = page_files()

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return files["page.html"].answer(request)

    @app.get("/page/{name:path}", include_in_schema=False)
    async def page_file(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files[name].answer(request)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        return app.openapi()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(api_page(app.openapi()))


def _add_errors(app: FastAPI) -> None:
    """Tell whatever is wrong in one line of JSON."""

    def refuse(status: int, why: str, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": " ".join(why.split())[:500]}, status, headers)

    @app.exception_handler(UserError)
    async def users_mistake(_: Request, error: UserError) -> Response:
        return refuse(400, str(error))

    @app.exception_handler(KeyError)
    async def unknown(_: Request, error: KeyError) -> Response:
        return refuse(404, "there is no such chip in this archive")

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return refuse(422, f"the body is no JSON: {first['ctx']['error']}, at character {first['loc'][-1]}")
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return refuse(422, f"{place}: {first['msg']}" if place else str(first["msg"]))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        why = {404: "there is nothing at this address", 405: "this address is not asked in this way"}
        told = error.detail if isinstance(error, RefusedError) else why.get(error.status_code, error.detail)
        return refuse(error.status_code, told, error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        return refuse(500, "this is our fault; the server's log tells more")


def _picture(*media_types: str) -> dict[int | str, dict[str, Any]]:
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in media_types}
    return {200: {"content": content, "description": "As asked for"}}


def _nothing() -> bytes:
    written = io.BytesIO()
    Image.new("RGBA", (1, 1)).save(written, "PNG")
    return written.getvalue()


_NOTHING = _nothing()
