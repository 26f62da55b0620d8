// What is asked, kept in the address after #, so that it can be shared and the browser's Back goes back.

const EMPTY = { text: "", without: "", liked: [], disliked: [], bbox: null, since: "", until: "", source: "", k: 24 };

const NAMES = { text: "q", without: "not", since: "since", until: "until", source: "imagery", chip: "place" };

/** Read the state that the address tells; what makes no sense is left out. */
export function readState() {
  const told = new URLSearchParams(location.hash.slice(1));
  const state = { ...structuredClone(EMPTY), chip: "", at: null };
  for (const [key, name] of Object.entries(NAMES)) state[key] = (told.get(name) ?? "").slice(0, 500);
  const ids = (name) => (told.get(name) ?? "").split(",").filter((id) => /^[0-9a-f]{8,64}$/.test(id)).slice(0, 64);
  state.liked = ids("like");
  state.disliked = ids("dislike");
  state.bbox = numbers(told.get("box"), 4);
  state.at = numbers(told.get("at"), 3);
  const k = Number(told.get("k"));
  if (Number.isInteger(k) && k >= 1 && k <= 200) state.k = k;
  for (const key of ["since", "until"]) if (!/^\d{4}-\d\d-\d\d$/.test(state[key])) state[key] = "";
  if (!/^\d+$/.test(state.source)) state.source = "";
  return state;
}

/** Write the state to the address: as a new step of the history, or in the place of the latest. */
export function writeState(state, { step = false } = {}) {
  const told = new URLSearchParams();
  for (const [key, name] of Object.entries(NAMES)) if (state[key]) told.set(name, state[key]);
  if (state.liked.length) told.set("like", state.liked.join(","));
  if (state.disliked.length) told.set("dislike", state.disliked.join(","));
  if (state.bbox) told.set("box", state.bbox.map((value) => value.toFixed(6)).join(","));
  if (state.at) told.set("at", state.at.join(","));
  if (state.k !== EMPTY.k) told.set("k", state.k);
  const address = `#${told.toString().replaceAll("%2C", ",")}`;
  if (address === location.hash) return;
  history[step ? "pushState" : "replaceState"](null, "", address);
}

/** The state as the server is asked; `picture` is one in base64 that the address cannot hold. */
export function queryOf(state, picture) {
  const query = { liked: state.liked, disliked: state.disliked };
  if (state.text) query.text = state.text;
  if (picture) query.image = picture;
  if (state.without) query.without = state.without;
  return query;
}

export function searchOf(state, picture) {
  const asked = { ...queryOf(state, picture), k: state.k };
  if (state.bbox) asked.bbox = state.bbox;
  if (state.since) asked.since = state.since;
  if (state.until) asked.until = state.until;
  if (state.source) asked.sources = [Number(state.source)];
  return asked;
}

function numbers(text, count) {
  const values = (text ?? "").split(",").map(Number);
  return text && values.length === count && values.every(Number.isFinite) ? values : null;
}
