// The state of the page in its address, so that a link shows the same comparison. No key, no account, no judgement.

const SHORT = {
  query: "q",
  index: "index",
  engine: "engine",
  window: "window",
  timeout: "timeout",
  fields: "fields",
  body: "body",
  cut: "cut",
  shown: "shown",
  spans: "spans",
  view: "view",
};
const PARTS = {
  model: "model",
  method: "fusion",
  normalization: "norm",
  weight: "weight",
  rank_constant: "k",
  arithmetic: "arith",
  listwise: "stage2",
};
const NUMBERS = new Set(["window", "timeout", "cut", "shown", "weight", "rank_constant"]);

let waiting = 0;

/** Write the state soon: browsers limit how often the address may change. */
export function writeAddressSoon(state) {
  clearTimeout(waiting);
  waiting = setTimeout(() => writeAddress(state), 200);
}

/** Write the state; empty values are left out. A side's parts are prefixed by `a.` (left) and `b.` (right). */
export function writeAddress(state, replace = true) {
  const parameters = new URLSearchParams();
  const put = (name, value) => value !== null && value !== undefined && value !== "" && parameters.set(name, value);
  for (const [name, short] of Object.entries(SHORT)) put(short, state[name]);
  for (const [side, prefix] of [
    ["left", "a."],
    ["right", "b."],
  ]) {
    for (const [name, short] of Object.entries(PARTS)) put(prefix + short, state[side][name]);
  }
  const address = parameters.size ? `?${parameters}` : location.pathname;
  if (address !== location.search) history[replace ? "replaceState" : "pushState"](null, "", address);
}

/** Read the state that the address names; what it does not name is left out. */
export function readAddress() {
  const parameters = new URLSearchParams(location.search);
  const state = { left: {}, right: {} };
  const take = (target, name, short) => {
    const value = parameters.get(short);
    if (value === null) return;
    if (!NUMBERS.has(name)) target[name] = value;
    else if (Number.isFinite(Number(value)) && value.trim()) target[name] = Number(value);
  };
  for (const [name, short] of Object.entries(SHORT)) take(state, name, short);
  for (const [side, prefix] of [
    ["left", "a."],
    ["right", "b."],
  ]) {
    for (const [name, short] of Object.entries(PARTS)) take(state[side], name, prefix + short);
  }
  return state;
}
