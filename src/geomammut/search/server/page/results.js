// The cards of places found.

import { chipPicture } from "/page/api.js";

/** Make an element: its class, what it holds, and its attributes. */
export function element(name, { holds = [], ...attributes } = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key === "className" ? "class" : key, value);
  }
  made.append(...[holds].flat());
  return made;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Let a button open and close what belongs to it; `onOpen` is told. */
export function opens(button, body, onOpen = () => {}) {
  button.addEventListener("click", () => {
    body.hidden = !body.hidden;
    button.setAttribute("aria-expanded", String(!body.hidden));
    if (!body.hidden) onOpen();
  });
}

/** The places as a file of GeoJSON, as `geomammut search` writes it. */
export function placesFile(hits, asked) {
  const features = hits.map(({ id, footprint, source, ...told }, index) => (
    { type: "Feature", id, geometry: footprint, properties: { rank: index + 1, source: source.name, ...told } }
  ));
  return new Blob([JSON.stringify({ type: "FeatureCollection", asked, features })], { type: "application/geo+json" });
}

/** How unusual a score is for this archive, in words. */
export function rarity(unusual) {
  if (unusual < 2) return "as most places";
  const digits = unusual < 10 ? 0 : Math.max(0, Math.floor(Math.log10(unusual)) - 1);
  const rounded = Math.round(unusual / 10 ** digits) * 10 ** digits;
  return `1 in ${rounded.toLocaleString("en")}`;
}

/** Show the places; `votes` tells 1 or -1 of those judged, `named` whether rasters are to be told apart. */
export function showResults(list, hits, votes, on) {
  list.replaceChildren(...hits.map((hit, index) => card(hit, index, votes.get(hit.id) ?? 0, on)));
}

function card(hit, index, vote, { onChoose, onPoint, onVote, named }) {
  const words = [named && hit.source.name, hit.acquired?.slice(0, 10), hit.merged && `+${hit.merged} alike`].filter(Boolean).join(" · ");
  const choose = element("button", {
    type: "button",
    className: "hit",
    title: `cosine ${hit.score.toFixed(3)}: ${rarity(hit.unusual)} chips of this archive scores as high`,
    holds: [
      element("img", { src: chipPicture(hit.id), alt: "", loading: "lazy", width: "180", height: "180" }),
      element("b", { holds: rarity(hit.unusual) }),
      element("span", { holds: words }),
    ],
  });
  choose.setAttribute("aria-label", [`Place ${index + 1}`, rarity(hit.unusual), words].filter(Boolean).join(", "));
  choose.addEventListener("click", () => onChoose(hit.id));
  const item = element("li", {
    "data-id": hit.id,
    holds: [
      choose,
      element("span", { className: "rank", "aria-hidden": "true", holds: String(index + 1) }),
      element("div", {
        className: "votes",
        holds: [
          voteButton("up", `More like place ${index + 1}`, vote > 0, () => onVote(hit.id, 1)),
          voteButton("down", `Less like place ${index + 1}`, vote < 0, () => onVote(hit.id, -1)),
        ],
      }),
    ],
  });
  item.classList.toggle("disliked", vote < 0);
  item.addEventListener("mouseenter", () => onPoint(hit.id));
  item.addEventListener("mouseleave", () => onPoint(null));
  return item;
}

function voteButton(way, label, pressed, onClick) {
  const button = element("button", { type: "button", className: way, title: label, holds: icon(way) });
  button.setAttribute("aria-label", label);
  button.setAttribute("aria-pressed", String(pressed));
  button.addEventListener("click", onClick);
  return button;
}

/** Mark a card as chosen or pointed at. */
export function markResult(list, id, mark, { scroll = false } = {}) {
  for (const item of list.children) {
    const is = item.dataset.id === id;
    item.classList.toggle(mark, is);
    if (is && scroll) item.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }
}
