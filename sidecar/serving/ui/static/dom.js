// Elements made in code. Texts become text nodes, so no markup of a document is ever read as markup.

/** Make an element: properties, `on…` listeners, `aria…`/`data…` attributes, children (elements, texts, null). */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name.includes("-") || ["role", "for", "dir", "colspan", "scope", "list"].includes(name)) {
      node.setAttribute(name, value);
    } else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== ""));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an SVG element with these attributes. */
export function svg(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Show some text in the message line; an empty one hides it. */
export function say(text, kind = "info") {
  const line = byId("message");
  line.hidden = !text;
  line.className = `message ${kind}`;
  line.textContent = text;
}

/** Write a number with as many digits as a person compares. */
export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(2) : value.toFixed(size >= 100 ? 1 : digits);
}

export const milliseconds = (seconds) =>
  `${seconds * 1000 < 10 ? (seconds * 1000).toFixed(1) : Math.round(seconds * 1000)} ms`;

/** Give the browser a file to save. */
export function save(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
