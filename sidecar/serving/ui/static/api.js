// Requests to the service. The API key and the account are kept in this module's memory only.

let key = "";
let account = "";
let askForKey = async () => false;

/** Set the function that asks a person for the key; it resolves to true once a key was given. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function setKey(text) {
  key = text;
}

/** Set the account for OpenSearch; an empty user name sends none. */
export function setAccount(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  account = user ? `Basic ${btoa(String.fromCharCode(...bytes))}` : "";
}

export const hasAccount = () => account !== "";
export const hasKey = () => key !== "";

/** An answer that is an error: `message` for people, `status`, and `engineStatus` if the search engine refused. */
export class ApiError extends Error {
  constructor(message, status, engineStatus = 0) {
    super(message);
    this.status = status;
    this.engineStatus = engineStatus;
  }
}

/** Send a request and parse the answer; asks for the key where one is needed. Throws `ApiError`. */
export async function request(path, { method = "GET", body, signal, exact = false } = {}) {
  const answer = await send(path, method, body, signal);
  const text = await answer.text();
  const found = parsed(text, exact);
  if (answer.ok) return found;
  if (answer.status === 401 && !found?.engine_status && (await askForKey(key !== ""))) {
    return request(path, { method, body, signal, exact });
  }
  const words = found?.error?.message ?? found?.error ?? found?.message ?? `status ${answer.status}`;
  throw new ApiError(String(words), answer.status, found?.engine_status ?? 0);
}

async function send(path, method, body, signal) {
  const headers = {};
  if (key) headers["X-Sidecar-Api-Key"] = key;
  if (account) headers.Authorization = account;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers, body, signal, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The service does not answer. Is it still running?", 0);
  }
}

/** Parse JSON, null if it is none; `exact` keeps numbers as they are written, where the browser can. */
function parsed(text, exact) {
  const keep = (_, value, context) =>
    typeof value === "number" && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
  try {
    return JSON.parse(text, exact ? keep : undefined);
  } catch {
    return null;
  }
}
