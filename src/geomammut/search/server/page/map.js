// The map: imagery, places found, heat, masks, and the drawing of a box.

const NOTHING = { type: "FeatureCollection", features: [] };
const SPOT = 12; // pixels: what is smaller on the map is shown as a spot

/** Make the map of an archive; throws where MapLibre or WebGL is missing. */
export async function makeMap(about, { onChoose, onPoint, onMove }) {
  const { Map, NavigationControl, ScaleControl } = await import("/page/maplibre/maplibre-gl.mjs");
  const [west, south, east, north] = about.bounds;
  const map = new Map({
    container: "map",
    style: { version: 8, sources: {}, layers: [] },
    bounds: [[west, south], [east, north]],
    fitBoundsOptions: { padding: 40 },
    maxZoom: about.tiles[1] + 3,
    dragRotate: false,
    pitchWithRotate: false,
    attributionControl: false,
    fadeDuration: 150,
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new ScaleControl({}), "bottom-left");
  await new Promise((done) => map.once("load", done));
  addImagery(map, about);
  const geojson = (name) => map.addSource(name, { type: "geojson", data: NOTHING, promoteId: "id" });
  ["masks", "box", "places", "spots"].forEach(geojson);
  const lit = ["any", ["boolean", ["feature-state", "pointed"], false], ["boolean", ["feature-state", "chosen"], false]];
  map.addLayer({ id: "masks", type: "fill", source: "masks", paint: { "fill-color": ["get", "colour"], "fill-opacity": 0.6, "fill-antialias": false } });
  map.addLayer({ id: "box", type: "line", source: "box", paint: { "line-color": "#ffffff", "line-width": 2, "line-dasharray": [3, 2] } });
  map.addLayer({ id: "places-casing", type: "line", source: "places", paint: { "line-color": "#14201b", "line-opacity": 0.6, "line-width": ["case", lit, 6, 4] } });
  map.addLayer({ id: "places", type: "line", source: "places", paint: { "line-color": ["case", lit, "#ffffff", "#ffd54a"], "line-width": ["case", lit, 3.5, 2] } });
  const spots = { "circle-radius": ["case", lit, 7, 5], "circle-color": ["case", lit, "#ffffff", "#ffd54a"], "circle-stroke-color": "#14201b", "circle-stroke-width": 1.5 };
  map.addLayer({ id: "spots", type: "circle", source: "spots", maxzoom: zoomOf(about.size * about.gsd_m, (south + north) / 2), paint: spots });
  map.addLayer({ id: "places-area", type: "fill", source: "places", paint: { "fill-color": "#000000", "fill-opacity": 0 } });
  const hits = ["places-area", "spots"];
  map.on("click", hits, (event) => onChoose(event.features[0].id));
  map.on("mousemove", hits, (event) => { map.getCanvas().style.cursor = "pointer"; onPoint(event.features[0].id); });
  map.on("mouseleave", hits, () => { map.getCanvas().style.cursor = ""; onPoint(null); });
  map.on("moveend", () => onMove(position(map)));
  return new Stage(map);
}

function addImagery(map, about) {
  const [minzoom, maxzoom] = about.tiles;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  map.addLayer({ id: "ground", type: "background", paint: { "background-color": dark ? "#0e1110" : "#d9dcd5" } });
  const tiles = [`${location.origin}/api/tiles/{z}/{x}/{y}`];
  map.addSource("imagery", { type: "raster", tiles, tileSize: 512, minzoom, maxzoom, bounds: about.bounds });
  map.addLayer({ id: "imagery", type: "raster", source: "imagery", paint: { "raster-fade-duration": 150 } });
  const features = about.sources.slice(0, 2000).map(({ bounds }) => ({ type: "Feature", geometry: ring(bounds), properties: {} }));
  map.addSource("rasters", { type: "geojson", data: { type: "FeatureCollection", features } });
  map.addLayer({ id: "rasters", type: "line", source: "rasters", paint: { "line-color": "#7a857f", "line-opacity": 0.7 } });
  const middles = about.sources.slice(0, 2000).map(({ bounds }) => point(bounds, {}));
  const widest = Math.max(...about.sources.map(({ bounds: [, south, , north] }) => (north - south) * 111_000));
  map.addSource("raster-spots", { type: "geojson", data: { type: "FeatureCollection", features: middles } });
  const grey = { "circle-radius": 5, "circle-color": "#7a857f", "circle-stroke-color": "#ffffff", "circle-stroke-width": 1 };
  map.addLayer({ id: "raster-spots", type: "circle", source: "raster-spots", maxzoom: zoomOf(widest, 0), paint: grey });
}

/** The zoom at which so many metres are as wide as a spot. */
function zoomOf(metres, latitude) {
  const around = 40_075_017 * Math.cos((latitude * Math.PI) / 180);
  return Math.min(24, Math.max(0, Math.log2((SPOT * around) / (512 * metres))));
}

/** What is on the map. */
class Stage {
  #map; #states = {}; #heat = null;

  constructor(map) { this.#map = map; }

  get view() {
    const bounds = this.#map.getBounds();
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  }

  showPlaces(hits) {
    this.#states = {};
    for (const source of ["places", "spots"]) this.#map.removeFeatureState({ source });
    // The first stands on top where places overlap.
    const features = hits.map((hit) => ({ type: "Feature", geometry: hit.footprint, properties: { id: hit.id } })).reverse();
    this.#map.getSource("places").setData({ type: "FeatureCollection", features });
    const middles = features.map(({ geometry, properties }) => point(boundsOf(geometry), properties));
    this.#map.getSource("spots").setData({ type: "FeatureCollection", features: middles });
  }

  mark(id, state) {
    const before = this.#states[state];
    if (before === id) return;
    for (const source of ["places", "spots"]) {
      if (before) this.#map.setFeatureState({ source, id: before }, { [state]: false });
      if (id) this.#map.setFeatureState({ source, id }, { [state]: true });
    }
    this.#states[state] = id;
  }

  showBox(bbox) {
    this.#map.getSource("box").setData(bbox ? { type: "Feature", geometry: ring(bbox), properties: {} } : NOTHING);
  }

  showMasks(collection) { this.#map.getSource("masks").setData(collection ?? NOTHING); }

  showHeat(address, bbox) {
    if (this.#heat) {
      this.#map.removeLayer("heat");
      this.#map.removeSource("heat");
      URL.revokeObjectURL(this.#heat);
      this.#heat = null;
    }
    if (!address) return;
    const [west, south, east, north] = bbox;
    const coordinates = [[west, north], [east, north], [east, south], [west, south]];
    this.#map.addSource("heat", { type: "image", url: address, coordinates });
    this.#map.addLayer({ id: "heat", type: "raster", source: "heat", paint: { "raster-fade-duration": 0 } }, "masks");
    this.#heat = address;
  }

  goTo(bbox, { near = false } = {}) {
    const [west, south, east, north] = bbox;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const wide = this.#map.getContainer().clientWidth > 700;
    const padding = wide ? (near ? { top: 90, bottom: 220, left: 60, right: 60 } : 60) : near ? { top: 130, bottom: 20, left: 20, right: 20 } : 30;
    this.#map.fitBounds([[west, south], [east, north]], { padding, maxZoom: this.#map.getMaxZoom() - (near ? 3 : 0), duration: still ? 0 : 600 });
  }

  jumpTo([zoom, latitude, longitude]) { this.#map.jumpTo({ zoom, center: [longitude, latitude] }); }

  /** Let a box be drawn over the map; resolves to it, or to null where that was given up. */
  draw() {
    const layer = document.getElementById("drawing");
    const band = document.getElementById("band");
    layer.hidden = false;
    band.hidden = true;
    return new Promise((done) => {
      const listeners = new AbortController();
      const on = (target, name, listener) => target.addEventListener(name, listener, { signal: listeners.signal });
      const end = (bbox) => { listeners.abort(); layer.hidden = true; done(bbox); };
      const at = (event) => { const box = layer.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
      let from = null;
      on(layer, "pointerdown", (event) => { from = at(event); layer.setPointerCapture(event.pointerId); });
      on(layer, "pointermove", (event) => {
        if (!from) return;
        const to = at(event);
        band.hidden = false;
        band.style.left = `${Math.min(from[0], to[0])}px`;
        band.style.top = `${Math.min(from[1], to[1])}px`;
        band.style.width = `${Math.abs(from[0] - to[0])}px`;
        band.style.height = `${Math.abs(from[1] - to[1])}px`;
      });
      on(layer, "pointerup", (event) => {
        const to = at(event);
        if (!from || Math.abs(from[0] - to[0]) < 5 || Math.abs(from[1] - to[1]) < 5) { from = null; band.hidden = true; return; }
        const corners = [from, to].map((point) => this.#map.unproject(point));
        const [xs, ys] = [corners.map((corner) => corner.lng), corners.map((corner) => corner.lat)];
        end([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
      });
      on(document, "keydown", (event) => { if (event.key === "Escape") end(null); });
      on(document, "stop-drawing", () => end(null));
    });
  }
}

function ring([west, south, east, north]) {
  return { type: "Polygon", coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] };
}

function point([west, south, east, north], properties) {
  return { type: "Feature", geometry: { type: "Point", coordinates: [(west + east) / 2, (south + north) / 2] }, properties };
}

/** West, south, east, north of a footprint. */
export function boundsOf(footprint) {
  const points = footprint.coordinates.flat(footprint.type === "Polygon" ? 1 : 2);
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function position(map) {
  const { lng, lat } = map.getCenter();
  return [Number(map.getZoom().toFixed(2)), Number(lat.toFixed(5)), Number(lng.toFixed(5))];
}
