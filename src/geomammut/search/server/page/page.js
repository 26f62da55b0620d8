// The page: what is asked, what was found, and the map beside it.

import { about as askAbout, onToken, search, signIn } from "/page/api.js";
import { boundsOf, makeMap } from "/page/map.js";
import { makePlace } from "/page/place.js";
import { element, markResult, opens, placesFile, showResults } from "/page/results.js";
import { makeSegments } from "/page/segments.js";
import { queryOf, readState, searchOf, writeState } from "/page/state.js";

const part = (id) => document.getElementById(id);
const list = part("results");
let state = readState();
let picture = null; // base64, and a small copy to show: what the address cannot hold
let hits = [];
let stage = null;
let asking = null;
let archive = null;

const place = makePlace({
  query: () => queryOf(state, picture?.content),
  stage: () => stage,
  onSimilar: (id) => vote(id, 1),
  onClose: () => choose(""),
});
makeSegments({ box: () => state.bbox ?? stage?.view ?? archive.bounds, text: () => state.text, stage: () => stage, onShow: () => place.turnHeat(false) });

async function start() {
  onToken(askToken);
  tell("Opening the archive…", { busy: true });
  try {
    archive = await askAbout();
  } catch (error) {
    tell(error.message, { problem: true });
    return;
  }
  const of = archive.sources.length > 1 ? `${archive.sources.length.toLocaleString("en")} rasters` : archive.sources[0].name;
  part("about").textContent = part("about").title = `${archive.chips.toLocaleString("en")} chips of ${of}`;
  part("model").textContent = `model ${archive.model} · ${archive.gsd_m} m`;
  part("source").append(...archive.sources.map(({ id, name }) => element("option", { value: String(id), holds: name })));
  part("of-source").hidden = archive.sources.length < 2;
  const dated = archive.sources.some(({ acquired }) => acquired);
  for (const label of document.querySelectorAll(".dated")) label.hidden = !dated;
  tell("");
  const opened = makeMap(archive, { onChoose: (id) => choose(id, { scroll: true }), onPoint: point, onMove: moved });
  opened.then(
    (made) => {
      stage = made;
      if (state.at) stage.jumpTo(state.at);
      drawState();
      if (hits.length) showFound({ go: !state.at });
    },
    () => {
      part("no-map").textContent = "The map needs WebGL and MapLibre; the search works without it.";
      part("no-map").hidden = false;
    },
  );
  drawState();
  await run({ go: !state.at });
}

/** Ask, and show what was found. */
async function run({ go = true } = {}) {
  asking?.abort();
  const wanted = state.text || picture || state.liked.length;
  part("start").hidden = Boolean(wanted);
  if (!wanted) {
    hits = [];
    tell("");
    showFound({ go: false });
    return;
  }
  asking = new AbortController();
  tell("Searching…", { busy: true });
  try {
    const answer = await search(searchOf(state, picture?.content), asking.signal);
    hits = answer.hits;
    tell(hits.length ? `${hits.length} places in ${Math.max(1, Math.round(answer.seconds * 1000))} ms, the best first` : "Nothing lies within these limits.");
    showFound({ go });
  } catch (error) {
    if (error.name === "AbortError") return;
    hits = [];
    showFound({ go: false });
    tell(error.message, { problem: true });
  }
}

function showFound({ go }) {
  const votes = new Map([...state.liked.map((id) => [id, 1]), ...state.disliked.map((id) => [id, -1])]);
  showResults(list, hits, votes, { onChoose: (id) => choose(id), onPoint: point, onVote: vote, named: archive.sources.length > 1 });
  URL.revokeObjectURL(part("save").href);
  part("save").hidden = !hits.length;
  part("save").href = URL.createObjectURL(placesFile(hits, state.text));
  stage?.showPlaces(hits);
  const chosen = hits.some((hit) => hit.id === state.chip);
  if (state.chip && chosen) choose(state.chip, { go, scroll: true });
  else {
    choose("");
    if (go && stage && hits.length && !state.bbox) stage.goTo(around(hits));
  }
}

function choose(id, { go = true, scroll = false } = {}) {
  const rank = hits.findIndex((hit) => hit.id === id);
  state.chip = rank < 0 ? "" : id;
  writeState(state);
  markResult(list, state.chip, "chosen", { scroll });
  stage?.mark(state.chip || null, "chosen");
  if (rank < 0) {
    place.hide();
    return;
  }
  place.show(hits[rank], rank + 1);
  if (go) stage?.goTo(boundsOf(hits[rank].footprint), { near: true });
}

function point(id) {
  markResult(list, id, "pointed");
  stage?.mark(id, "pointed");
}

function vote(id, way) {
  const was = state.liked.includes(id) ? 1 : state.disliked.includes(id) ? -1 : 0;
  state.liked = state.liked.filter((other) => other !== id);
  state.disliked = state.disliked.filter((other) => other !== id);
  if (way !== was) (way > 0 ? state.liked : state.disliked).push(id);
  changed({ go: false });
}

function moved(at) {
  state.at = at;
  writeState(state);
}

/** The question has changed: note it as a step, and ask. */
function changed({ go = true } = {}) {
  writeState(state, { step: true });
  drawState();
  return run({ go });
}

/** Show the state in the form and on the map. */
function drawState() {
  for (const name of ["text", "without", "since", "until", "source"]) part(name).value = state[name];
  part("k").value = String(state.k);
  if (!part("k").value) part("k").append(element("option", { selected: true, holds: String(state.k) }));
  const drop = (label, change, holds = []) => {
    const button = element("button", { type: "button", holds: [...holds, label] });
    button.setAttribute("aria-label", `Remove: ${label}`);
    button.addEventListener("click", () => { change(); changed(); });
    return element("li", { holds: button });
  };
  const chosen = [];
  if (picture) chosen.push(drop("a picture", () => { picture = null; }, [element("img", { src: picture.shown, alt: "" })]));
  if (state.bbox) chosen.push(drop("in the box", () => { state.bbox = null; }));
  if (state.without) chosen.push(drop(`but not ${state.without}`, () => { state.without = ""; }));
  if (state.since) chosen.push(drop(`since ${state.since}`, () => { state.since = ""; }));
  if (state.until) chosen.push(drop(`until ${state.until}`, () => { state.until = ""; }));
  if (state.source) chosen.push(drop(archive?.sources[state.source]?.name ?? "one raster", () => { state.source = ""; }));
  if (state.liked.length) chosen.push(drop(`${state.liked.length} liked`, () => { state.liked = []; }));
  if (state.disliked.length) chosen.push(drop(`${state.disliked.length} not liked`, () => { state.disliked = []; }));
  part("chosen").replaceChildren(...chosen);
  stage?.showBox(state.bbox);
  document.title = state.text ? `${state.text} – GeoMaMMUT` : "GeoMaMMUT search";
}

function readForm() {
  for (const name of ["text", "without", "since", "until", "source"]) state[name] = part(name).value.trim();
  state.k = Number(part("k").value);
}

part("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const before = state.text;
  readForm();
  // What was liked of one question says nothing of the next.
  if (before && state.text !== before) [state.liked, state.disliked] = [[], []];
  changed();
});
for (const name of ["without", "since", "until", "source", "k"]) {
  part(name).addEventListener("change", () => { readForm(); changed(); });
}
opens(part("more"), part("limits"));
for (const button of document.querySelectorAll(".examples button")) {
  button.addEventListener("click", () => { state.text = button.textContent; changed(); });
}

part("draw").addEventListener("click", async () => {
  if (!stage) return;
  if (part("draw").getAttribute("aria-pressed") === "true") {
    document.dispatchEvent(new Event("stop-drawing"));
    return;
  }
  part("draw").setAttribute("aria-pressed", "true");
  const bbox = await stage.draw();
  part("draw").setAttribute("aria-pressed", "false");
  if (bbox) limitTo(bbox);
});
part("view").addEventListener("click", () => stage && limitTo(stage.view));

function limitTo(bbox) {
  const clip = (value, most) => Math.max(-most, Math.min(most, value));
  state.bbox = [clip(bbox[0], 180), clip(bbox[1], 90), clip(bbox[2], 180), clip(bbox[3], 90)];
  readForm();
  changed({ go: false });
}

part("picture").addEventListener("change", () => takePicture(part("picture").files[0]));
document.addEventListener("paste", (event) => takePicture(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); takePicture(event.dataTransfer.files[0]); });

/** Ask by a picture file, made small here. */
async function takePicture(file) {
  if (!file?.type.startsWith("image/")) return;
  try {
    const decoded = await createImageBitmap(file);
    const shrink = Math.min(1, 768 / Math.max(decoded.width, decoded.height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(decoded.width * shrink)), Math.max(1, Math.round(decoded.height * shrink)));
    canvas.getContext("2d").drawImage(decoded, 0, 0, canvas.width, canvas.height);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })).arrayBuffer());
    const content = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    picture = { content, shown: `data:image/jpeg;base64,${content}` };
  } catch {
    tell("This is no picture that can be read.", { problem: true });
    return;
  }
  part("picture").value = "";
  readForm();
  changed();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    part("text").select();
  } else if (event.key === "Escape" && !typing && part("drawing").hidden) choose("");
});
addEventListener("popstate", () => {
  const { at } = state;
  state = { ...readState(), at };
  drawState();
  run({ go: false });
});

function tell(words, { problem = false, busy = false } = {}) {
  part("status").textContent = words;
  part("status").className = problem ? "problem" : busy ? "busy" : "";
}

let token = null;

/** Ask for the archive's token, once however many requests want it. */
function askToken() {
  token ??= new Promise((done) => {
    part("ask").showModal();
    part("ask").addEventListener("cancel", (event) => event.preventDefault());
    part("ask-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await signIn(part("token").value);
        part("token").value = "";
        part("ask").close();
        token = null;
        done();
      } catch (error) {
        part("ask-problem").textContent = error.message;
      }
    });
  });
  return token;
}

function around(found) {
  const boxes = found.map((hit) => boundsOf(hit.footprint));
  const of = (index, pick) => pick(...boxes.map((box) => box[index]));
  return [of(0, Math.min), of(1, Math.min), of(2, Math.max), of(3, Math.max)];
}

start();
