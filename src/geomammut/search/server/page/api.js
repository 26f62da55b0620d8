// Asks the server; a problem becomes an Error whose message is the server's one line.

let askToken = () => Promise.reject(new Error("a token is needed"));

/** Tell what to do where a token is asked for: a function that resolves once one was given. */
export function onToken(ask) {
  askToken = ask;
}

async function request(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer; is it still running?");
  }
  if (answer.status === 401 && path !== "/api/session") {
    await askToken();
    return request(path, options);
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `the server answered ${answer.status}`);
  }
  return answer;
}

function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

export const about = async () => (await request("/api/archive")).json();
export const search = async (asked, signal) => (await post("/api/search", asked, signal)).json();
export const signIn = (token) => post("/api/session", { token });
export const chipPicture = (id) => `/api/chips/${id}`;

/** Where a query fits in a box: a picture's address, and the least and largest cosine. */
export async function heat(asked, signal) {
  const answer = await post("/api/heatmap", asked, signal);
  const [low, high] = answer.headers.get("X-Scores").split(" ").map(Number);
  return { picture: await answer.blob(), low, high };
}

/** Classes in a box: a Blob of GeoJSON or GeoTIFF. */
export async function segment(classes, bbox, format) {
  return (await post("/api/segment", { classes, bbox, format })).blob();
}
