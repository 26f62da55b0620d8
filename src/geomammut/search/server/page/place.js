// The card of the chosen place, and the heat of the query over it.

import { chipPicture, heat } from "/page/api.js";
import { boundsOf } from "/page/map.js";
import { element, rarity } from "/page/results.js";

const part = (id) => document.getElementById(id);

/** Make the card; `query` gives what is asked, `stage` the map or null. */
export function makePlace({ query, stage, onSimilar, onClose }) {
  let hit = null;
  let asking = null;

  part("similar").addEventListener("click", () => onSimilar(hit.id));
  part("place").querySelector(".close").addEventListener("click", () => onClose());
  part("heat").addEventListener("click", () => turnHeat(part("heat").getAttribute("aria-pressed") !== "true"));

  function turnHeat(on) {
    part("heat").setAttribute("aria-pressed", String(on));
    showHeat();
  }

  async function showHeat() {
    asking?.abort();
    stage()?.showHeat(null);
    part("heat-scale").hidden = true;
    part("heat").classList.remove("busy");
    if (!hit || !stage() || part("heat").getAttribute("aria-pressed") !== "true") return;
    asking = new AbortController();
    const bbox = boundsOf(hit.footprint);
    part("heat").classList.add("busy");
    try {
      const { picture, low, high } = await heat({ ...query(), bbox }, asking.signal);
      stage().showHeat(URL.createObjectURL(picture), bbox);
      part("heat-low").textContent = low.toFixed(2);
      part("heat-high").textContent = high.toFixed(2);
      part("heat-scale").title = "cosine of the query and what the model sees there";
      part("heat-scale").hidden = false;
    } catch (error) {
      if (error.name === "AbortError") return;
      part("heat-low").textContent = error.message;
      part("heat-scale").hidden = false;
    }
    part("heat").classList.remove("busy");
  }

  return {
    turnHeat,
    show(chosen, rank) {
      hit = chosen;
      part("place").hidden = false;
      part("place-picture").src = chipPicture(hit.id);
      part("place-title").textContent = `Place ${rank}`;
      const [west, south, east, north] = boundsOf(hit.footprint);
      const facts = {
        Rarity: hit.unusual < 2 ? rarity(hit.unusual) : `${rarity(hit.unusual)} chips scores as high`,
        Imagery: hit.source.name,
        Acquired: hit.acquired?.slice(0, 16).replace("T", " ") ?? "not said",
        At: `${((south + north) / 2).toFixed(5)}, ${((west + east) / 2).toFixed(5)}`,
        Cosine: hit.score.toFixed(3) + (hit.merged ? `, and ${hit.merged} overlapping` : ""),
      };
      part("place-facts").replaceChildren(
        ...Object.entries(facts).flatMap(([name, value]) => [element("dt", { holds: name }), element("dd", { holds: value, title: value })]),
      );
      showHeat();
    },
    hide() {
      hit = null;
      part("place").hidden = true;
      showHeat();
    },
  };
}
