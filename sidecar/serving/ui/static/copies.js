// The search as others send it: OpenSearch body, curl, Python; and the engine's own responses in both orders.

import { request } from "./api.js";
import { chosenRanking } from "./controls.js";
import { byId, el, say } from "./dom.js";

export class Copies {
  constructor(app) {
    this.app = app;
    this.open = false;
  }

  /** Show the section for the answer that is shown. */
  show() {
    const code = el("pre", { tabIndex: 0, class: "code" });
    const note = el("p", { class: "meta" });
    const choose = (name) => {
      const { text, words } = this.made()[name];
      code.textContent = text;
      note.textContent = words;
    };
    const names = Object.keys(this.made());
    const select = el(
      "select",
      { id: "copy-kind", onchange: (event) => choose(event.target.value) },
      names.map((name) => el("option", { value: name }, name)),
    );
    const copy = el("button", { type: "button", class: "plain", onclick: () => this.copy(code.textContent) }, "Copy");
    const raw = el("div", { class: "raws" });
    byId("copies").replaceChildren(
      this.details("Use this search elsewhere", () => choose(select.value), [
        el("div", { class: "row" }, el("label", { for: "copy-kind" }, "As "), select, copy),
        note,
        code,
      ]),
      this.details("Raw responses, in both orders", () => this.fetch(raw), [raw]),
    );
  }

  details(title, opened, children) {
    const found = el("details", {}, el("summary", {}, title), children);
    found.addEventListener("toggle", () => found.open && opened());
    return found;
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch {
      say("The browser does not allow copying here. Select the text instead.", "warning");
    }
  }

  made() {
    const { state, offered } = this.app;
    const body = this.app.asked();
    const ranking = chosenRanking(state.right, offered);
    const window = state.cut && state.cut < state.window ? state.cut : state.window;
    const compare = { ...body, window, rankings: [ranking] };
    const own = {
      "curl, /v1/compare": {
        text: curl(`${origin()}/v1/compare`, compare),
        words: "The request that this page sends.",
      },
    };
    if (this.results.data.engine === "lucene") {
      const query = new URLSearchParams({ query: this.results.data.query, hits: state.shown });
      const url = `${origin()}/v1/${encodeURIComponent(state.index)}/search?${query}`;
      return {
        ...own,
        "curl, Pyserini's API": {
          text: `curl ${quoted(url)}`,
          words: "With the model and the fusion of the settings.",
        },
      };
    }
    const { path, body: sent } = this.results.data.request;
    const fields = body.document_fields && { document_fields: body.document_fields };
    const rerank = { ...ranking, window, ...fields, ...(body.spans && { spans: true }) };
    const search = { ...sent, size: Math.min(state.shown, sent.size ?? 10), ext: { ...sent.ext, rerank } };
    const port = offered.proxy_port;
    const url = `${location.protocol}//${location.hostname}:${port}`;
    return {
      "OpenSearch body": {
        text: JSON.stringify(search, null, 2),
        words: `POST ${path} to the sidecar's OpenSearch port (${port}).`,
      },
      curl: { text: curl(url + path, search), words: "To the sidecar's OpenSearch port." },
      Python: { text: python(url, state.index, search), words: "opensearch-py; True, False and None are Python's." },
      ...own,
    };
  }

  get results() {
    return this.app.results;
  }

  /** Fetch the engine's responses, with numbers as they are written. */
  async fetch(place) {
    const { state, offered } = this.app;
    const asked = { ...this.app.asked(), rankings: [chosenRanking(state.right, offered)], responses: true };
    place.replaceChildren(el("p", { class: "meta" }, "Asking …"));
    try {
      const body = JSON.stringify(asked);
      const found = await request("v1/compare", { method: "POST", body, exact: true });
      const shown = [
        ["First stage", found.response],
        ["Reranked", found.rankings[0].response],
      ];
      place.replaceChildren(
        ...shown.map(([title, response]) =>
          el(
            "section",
            {},
            el("h3", {}, title),
            el("pre", { class: "code", tabIndex: 0 }, JSON.stringify(response, null, 2)),
          ),
        ),
      );
    } catch (error) {
      place.replaceChildren(el("p", { class: "message error" }, error.message));
    }
  }
}

const origin = () => location.origin;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(url, body) {
  return `curl ${quoted(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`;
}

/** Write a value as Python does. */
export function pythonValue(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, one]) => `${JSON.stringify(key)}: ${pythonValue(one)}`)
    .join(", ")}}`;
}

function python(url, index, body) {
  return [
    "from opensearchpy import OpenSearch",
    "",
    `client = OpenSearch(${JSON.stringify(url)})`,
    `response = client.search(index=${JSON.stringify(index)}, body=${pythonValue(body)})`,
    'for hit in response["hits"]["hits"]:',
    '    print(hit["_id"], hit["_score"])',
    "",
  ].join("\n");
}
