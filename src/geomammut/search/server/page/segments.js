// "Segment what I see": classes named by words, over the box or the view.

import { segment } from "/page/api.js";
import { element, opens } from "/page/results.js";

const part = (id) => document.getElementById(id);

/** Make the panel; `box` gives the area, `text` the query, `stage` the map; `onShow` is told when classes cover it. */
export function makeSegments({ box, text, stage, onShow }) {
  let asked = null;
  let geojsonAddress = null;

  opens(part("segments-open"), part("segments-body"), () => {
    // What was searched for is the class that is wanted most.
    const words = text().replaceAll(/[,|]/g, " ").trim();
    if (words && !part("classes").value.includes(words)) part("classes").value = `${words}, ${part("classes").value}`;
    part("classes").focus();
  });

  function clear() {
    asked = null;
    stage()?.showMasks(null);
    part("legend").replaceChildren();
    part("downloads").hidden = true;
    part("segments-clear").hidden = true;
    part("segments-status").textContent = "";
  }

  function tell(words, { problem = false, busy = false } = {}) {
    part("segments-status").textContent = words;
    part("segments-status").className = problem ? "problem" : busy ? "busy" : "";
  }

  part("segments-clear").addEventListener("click", clear);
  part("segments-body").addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
    const submit = part("segments-body").querySelector("[type=submit]");
    submit.disabled = true;
    tell("Looking at every patch…", { busy: true });
    const wanted = { classes: part("classes").value.trim().replace(/,\s*$/, ""), bbox: box() };
    try {
      const blob = await segment(wanted.classes, wanted.bbox, "geojson");
      const collection = JSON.parse(await blob.text());
      asked = wanted;
      stage()?.showMasks(coloured(collection));
      onShow();
      showLegend(collection);
      if (geojsonAddress) URL.revokeObjectURL(geojsonAddress);
      geojsonAddress = URL.createObjectURL(blob);
      part("as-geojson").href = geojsonAddress;
      part("downloads").hidden = false;
      part("segments-clear").hidden = false;
      tell("");
    } catch (error) {
      tell(error.message, { problem: true });
    }
    submit.disabled = false;
  });

  part("as-tif").addEventListener("click", async () => {
    try {
      const address = URL.createObjectURL(await segment(asked.classes, asked.bbox, "tif"));
      element("a", { href: address, download: "segments.tif" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      tell(error.message, { problem: true });
    }
  });
}

function coloured(collection) {
  const colours = new Map(collection.classes.map(({ name, colour }) => [name, colour]));
  for (const feature of collection.features) feature.properties.colour = colours.get(feature.properties.class);
  return collection;
}

function showLegend(collection) {
  const areas = new Map(collection.classes.map(({ name }) => [name, 0]));
  for (const { properties } of collection.features) areas.set(properties.class, areas.get(properties.class) + properties.area_m2);
  const whole = [...areas.values()].reduce((sum, area) => sum + area, 0) || 1;
  part("legend").replaceChildren(
    ...collection.classes.map(({ name, colour }) => {
      const swatch = element("i", { "aria-hidden": "true" });
      swatch.style.background = colour;
      return element("li", { holds: [swatch, name, element("span", { holds: `${((100 * areas.get(name)) / whole).toFixed(1)} %` })] });
    }),
  );
}
