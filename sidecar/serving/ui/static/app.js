// The page: starts the parts, keeps the state, and runs searches.

import { readAddress, writeAddress, writeAddressSoon } from "./address.js";
import { ApiError, onKeyNeeded, request, setAccount } from "./api.js";
import { Controls, chosenRanking } from "./controls.js";
import { byId, el, say } from "./dom.js";
import { Copies } from "./copies.js";
import { Files } from "./files.js";
import { Judging } from "./judging.js";
import { askKey } from "./key.js";
import { Results } from "./results.js";
import { Status } from "./status.js";

const VIEWS = ["search", "files", "status"];

// The service finds spans in so many hits of a ranking at most.
const MOST_WITH_SPANS = 100;

const EXAMPLES = [
  "start a function some seconds later",
  "ask for a password without showing what is typed",
  "show a web page to the user",
];

class App {
  constructor(offered) {
    this.offered = offered;
    this.state = initialState(offered);
    this.results = new Results(this);
    this.controls = new Controls(this.state, offered, (what, more) => this.changed(what, more));
    this.judging = new Judging(this);
    this.files = new Files(this);
    this.status = new Status();
    const copies = new Copies(this);
    this.results.ontaken = () => copies.show();
    for (const name of VIEWS) byId(`tab-${name}`).addEventListener("click", () => this.show(name));
    if (VIEWS.includes(this.state.view)) this.show(this.state.view);
    byId("query").value = this.state.query ?? "";
    byId("query").addEventListener("input", () => {
      this.state.query = byId("query").value;
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    addEventListener("popstate", () => location.reload());
    this.showEmpty();
    this.listIndexes();
    if (this.state.index && (this.state.query || this.state.body)) this.search();
    else byId("query").focus();
  }

  changed(what, more) {
    if (what === "account") {
      setAccount(more.user, more.password);
      this.listIndexes();
    } else if (what === "engine") this.listIndexes();
    else if (["model", "listwise"].includes(what) && !this.results.hasScores()) this.search();
    else if (what === "spans" && !this.results.hasSpans()) this.search();
    else this.results.arrange();
    writeAddressSoon(this.state);
  }

  /** Offer the indexes that this caller may list. Without a list a person types the name; the search says the rest. */
  async listIndexes() {
    if (this.state.engine !== "opensearch") return;
    const listing = (this.listing = {});
    try {
      const found = await request("v1/compare/indexes");
      if (this.listing === listing) this.controls.index.take(found.opensearch_indexes);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /** Show one of the views. */
  show(view) {
    for (const name of VIEWS) {
      byId(`view-${name}`).hidden = name !== view;
      byId(`tab-${name}`).setAttribute("aria-pressed", String(name === view));
    }
    this.status.active(view === "status");
    if (view === "files") this.files.refresh();
    if (view !== "search") this.results.close(false);
    this.state.view = view === "search" ? "" : view;
    writeAddressSoon(this.state);
  }

  /** Name the ranking that a side shows. One with stage two is of its own fusion; others are computed here. */
  rankingOf(name) {
    const { model, listwise } = this.state[name];
    return listwise === "on" ? `${name} ${model}` : model;
  }

  /** The rankings that the service has to compute, by name. */
  rankings() {
    const found = new Map();
    for (const name of ["right", "left"]) {
      const side = this.state[name];
      const own = side.listwise === "on" ? chosenRanking(side, this.offered) : { model: side.model };
      if (side.model) found.set(this.rankingOf(name), own);
    }
    return found;
  }

  /** The body of the request for what is chosen. */
  asked() {
    const { state } = this;
    const words = state.body?.trim() ? { body: JSON.parse(state.body) } : { query: state.query };
    const fields = (state.fields ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean);
    return {
      engine: state.engine,
      index: state.index,
      ...words,
      window: state.window,
      ...(state.timeout && { timeout_ms: state.timeout }),
      ...(fields.length && { document_fields: fields }),
      ...(state.spans && { spans: { hits: Math.min(state.shown, MOST_WITH_SPANS) } }),
      rankings: [...this.rankings().values()],
    };
  }

  async search() {
    let body;
    try {
      body = JSON.stringify(this.asked());
    } catch {
      return say("The search body is not valid JSON.", "error");
    }
    if (!this.state.body?.trim() && !this.state.query?.trim()) return say("Type a query.", "error");
    if (!this.state.index) return say("Name an index.", "error");
    this.running?.abort();
    const running = (this.running = new AbortController());
    const started = performance.now();
    const names = [...this.rankings().keys()];
    document.body.classList.add("searching");
    byId("results").setAttribute("aria-busy", "true");
    say("Searching and scoring …", "quiet");
    writeAddress(this.state, false);
    try {
      const data = await request("v1/compare", { method: "POST", body, signal: running.signal });
      say("");
      this.results.take(data, names, started);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      this.results.clear();
      say(wordsOf(error), "error");
    } finally {
      if (this.running === running) {
        document.body.classList.remove("searching");
        byId("results").removeAttribute("aria-busy");
      }
    }
  }

  showEmpty() {
    const examples = this.offered.lucene_indexes.includes("python") ? EXAMPLES : [];
    const ask = (text) => {
      byId("query").value = this.state.query = text;
      this.search();
    };
    byId("empty").replaceChildren(
      el(
        "p",
        {},
        "Search an index, and see what the reranker makes of the first hits: which rise, which fall, and why.",
      ),
      ...examples.map((text) => el("button", { type: "button", class: "example", onclick: () => ask(text) }, text)),
    );
  }
}

function wordsOf(error) {
  if (error.engineStatus === 401) return `${error.message} Enter an account of OpenSearch below the query.`;
  if (error.status === 429) return `The service is overloaded: ${error.message}. Try again in a moment.`;
  return error.message;
}

function initialState(offered) {
  const found = readAddress();
  const model = offered.models[0].name;
  const known = (name) => offered.models.some((one) => one.name === name);
  const engine = offered.engines.includes(found.engine) ? found.engine : offered.engines[0];
  const state = {
    index: engine === "lucene" ? offered.lucene_indexes[0] : "",
    window: offered.window,
    shown: 10,
    ...found,
    spans: found.spans === "1" ? "1" : "",
    engine,
  };
  if (!known(state.right.model)) state.right.model = model;
  if (!known(state.left.model)) state.left.model = "";
  if (!offered.generator) state.left.listwise = state.right.listwise = "";
  else if (offered.generator.by_default) state.right.listwise ??= "on";
  return state;
}

async function start() {
  onKeyNeeded(askKey);
  try {
    globalThis.sidecarPage = new App(await request("v1/compare"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, "error");
  }
}

start();
