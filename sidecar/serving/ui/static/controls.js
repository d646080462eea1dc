// What a person chooses: engine, index, models, fusions, window. Every change ends in `changed(what)`.

import { byId, el, number } from "./dom.js";
import { METHODS, NORMALIZATIONS, modelShare, takesNormalization } from "./fusion.js";
import { IndexField } from "./index_field.js";

export const FIRST_STAGE = "";

/** The fusion that a side asks for, written out; the model's own (or the settings') where it names no method. */
export function fusionOf(side, offered) {
  const model = offered.models.find((one) => one.name === side.model) ?? offered.models[0];
  const own = offered.fusion ?? model.fusion;
  if (!side.method) return own;
  return {
    method: side.method,
    normalization: side.normalization || "min_max",
    weight: side.weight ?? null,
    rank_constant: side.rank_constant || 60,
    arithmetic: side.arithmetic || "exact",
  };
}

/** A fusion as `ext.rerank` and the API write it. */
export function requested(fusion) {
  const { method, normalization, weight, rank_constant } = fusion;
  if (method === "rerank" || method === "adaptive") return { method, ...(method === "adaptive" && { normalization }) };
  const scale = method === "rrf" ? { rank_constant } : { normalization };
  return { method, ...scale, ...(weight !== null && { weight }) };
}

/** The ranking that a side asks for, as the API writes it. */
export function chosenRanking(side, offered) {
  return {
    ...(side.model !== FIRST_STAGE && { model: side.model }),
    ...(side.method && { fusion: requested(fusionOf(side, offered)) }),
    ...(offered.generator && { listwise: side.listwise === "on" }),
  };
}

export class Controls {
  constructor(state, offered, changed) {
    Object.assign(this, { state, offered, changed });
    this.sides = {};
    this.buildChoices();
    this.buildMore();
    byId("controls").replaceChildren(
      this.buildSide("left", "Left"),
      this.buildSide("right", "Right"),
      this.buildShared(),
    );
    this.refresh();
  }

  buildChoices() {
    const { state, offered } = this;
    const engines = offered.engines.map((name) =>
      el("option", { value: name }, name === "lucene" ? "Lucene" : "OpenSearch"),
    );
    this.index = new IndexField(state, offered);
    this.engine = el(
      "select",
      {
        id: "engine",
        onchange: () => {
          state.engine = this.engine.value;
          this.index.suggest();
          this.changed("engine");
        },
      },
      engines,
    );
    this.window = el("input", {
      id: "window",
      type: "number",
      min: 1,
      max: 10000,
      required: true,
      oninput: () => {
        state.window = this.window.valueAsNumber || offered.window;
      },
    });
    this.timeout = el("input", {
      id: "timeout",
      type: "number",
      min: 1,
      max: 600000,
      placeholder: "default",
      value: state.timeout ?? "",
      oninput: () => {
        state.timeout = this.timeout.valueAsNumber || null;
      },
    });
    byId("choices").replaceChildren(
      labelled("Engine", this.engine),
      labelled("Index", this.index.input),
      this.index.names,
      labelled("Window", this.window, "narrow"),
      labelled("Budget, ms", this.timeout, "narrow"),
    );
    this.engine.value = state.engine;
    this.window.value = state.window;
  }

  buildMore() {
    const { state } = this;
    const field = (name, rows, help) =>
      el("textarea", {
        id: `${name}-text`,
        rows,
        value: state[name] ?? "",
        spellcheck: false,
        placeholder: help,
        oninput: (event) => {
          state[name] = event.target.value;
        },
      });
    this.body = field("body", 4, '{"query": {"match": {"text": "…"}}}');
    this.fields = el("input", {
      id: "fields-text",
      value: state.fields ?? "",
      placeholder: this.offered.document_fields.join(", "),
      spellcheck: false,
      oninput: () => {
        state.fields = this.fields.value;
      },
    });
    this.user = el("input", { id: "user", autocomplete: "off" });
    this.password = el("input", { id: "password", type: "password", autocomplete: "off" });
    const set = () => this.changed("account", { user: this.user.value, password: this.password.value });
    this.user.addEventListener("change", set);
    this.password.addEventListener("change", set);
    byId("more-fields").replaceChildren(
      labelled("Search body of OpenSearch, in place of the query", this.body, "wide"),
      labelled("Document fields that the model reads, with commas between", this.fields, "wide"),
      labelled("OpenSearch user", this.user),
      labelled("Password (kept in memory only)", this.password),
    );
  }

  buildSide(name, label) {
    const side = this.state[name];
    const models = this.offered.models.map((one) => el("option", { value: one.name }, one.name));
    if (name === "left") models.unshift(el("option", { value: FIRST_STAGE }, "first stage"));
    const change = (part, value, what = "fusion") => {
      side[part] = value;
      this.changed(what);
    };
    const model = select(models, (value) => change("model", value, "model"));
    const method = select([el("option", { value: "" }, "the model's own"), ...METHODS.map(option)], (value) =>
      this.chooseMethod(side, value),
    );
    const normalization = select(NORMALIZATIONS.map(option), (value) => change("normalization", value));
    const arithmetic = select(["exact", "opensearch"].map(option), (value) => change("arithmetic", value));
    const weight = el("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      oninput: () => this.chooseWeight(side, weight.valueAsNumber),
    });
    const constant = el("input", {
      type: "number",
      min: 1,
      max: 10000,
      oninput: () => constant.validity.valid && change("rank_constant", constant.valueAsNumber || 60),
    });
    const shown = el("output", {});
    const listwise = select(this.generators(), (value) => change("listwise", value, "listwise"));
    const parts = {
      method: labelled("Fusion", method),
      weight: labelled("Model's weight", weight, "slider", shown),
      normalization: labelled("Normalisation", normalization),
      constant: labelled("k", constant, "narrow"),
      arithmetic: labelled("Arithmetic", arithmetic),
      ...(this.offered.generator && { listwise: labelled("Stage two", listwise) }),
    };
    this.sides[name] = { listwise, model, method, normalization, arithmetic, weight, constant, shown, parts };
    return el(
      "fieldset",
      { class: `side ${name}` },
      el("legend", {}, label),
      labelled("Model", model),
      ...Object.values(parts),
    );
  }

  generators() {
    const { generator } = this.offered;
    if (!generator) return [];
    const name = `${generator.name}, first ${generator.depth}`;
    return [el("option", { value: "off" }, "none"), el("option", { value: "on" }, name)];
  }

  buildShared() {
    const { state } = this;
    this.cut = el("input", {
      type: "range",
      id: "cut",
      min: 1,
      step: 1,
      oninput: () => {
        state.cut = this.cut.valueAsNumber;
        this.changed("fusion");
      },
    });
    this.cutShown = el("output", {});
    this.shown = select([10, 25, 50, 100, 1000].map(option), (value) => {
      state.shown = Number(value);
      this.changed("shown");
    });
    this.spans = el("input", {
      type: "checkbox",
      id: "spans",
      onchange: () => {
        state.spans = this.spans.checked ? "1" : "";
        this.changed("spans");
      },
    });
    return el(
      "fieldset",
      { class: "side shared" },
      el("legend", {}, "Both"),
      labelled("Rerank the first", this.cut, "slider", this.cutShown),
      labelled("Show", this.shown, "narrow"),
      el("label", { class: "switch" }, this.spans, " Show the sentences that answer"),
    );
  }

  chooseMethod(side, method) {
    Object.assign(side, { method, weight: null, normalization: "", rank_constant: null, arithmetic: "" });
    this.changed("fusion");
  }

  /** A weight makes a fusion without one linear. */
  chooseWeight(side, weight) {
    const fusion = fusionOf(side, this.offered);
    const fits = !["rerank", "adaptive"].includes(fusion.method);
    Object.assign(side, fits ? fusion : { method: "linear", normalization: "min_max", arithmetic: "exact" }, {
      weight,
    });
    this.changed("fusion");
  }

  /** Show the state; `shares` are the weights computed for each side's list, `count` how many hits there are. */
  refresh(shares = {}, count = 0) {
    for (const [name, own] of Object.entries(this.sides)) {
      const side = this.state[name];
      const fusion = fusionOf(side, this.offered);
      const share = shares[name] ?? modelShare(fusion);
      own.model.value = side.model;
      own.method.value = side.method ?? "";
      own.listwise.value = side.listwise === "on" ? "on" : "off";
      own.method.options[0].textContent = `the model's own: ${fusionOf({ model: side.model }, this.offered).method}`;
      own.normalization.value = fusion.normalization;
      own.arithmetic.value = fusion.arithmetic;
      own.constant.value = fusion.rank_constant;
      own.weight.value = share ?? (fusion.method === "rerank" ? 1 : 0.5);
      own.shown.textContent = weightWords(fusion, share);
      const off = side.model === FIRST_STAGE && name === "left";
      for (const part of Object.values(own.parts)) part.hidden = off;
      if (off) continue;
      own.parts.normalization.hidden = !takesNormalization(fusion);
      own.parts.constant.hidden = fusion.method !== "rrf";
      own.parts.arithmetic.hidden = ["rerank", "adaptive"].includes(fusion.method) || !side.method;
    }
    this.cut.max = Math.max(1, count);
    this.cut.value = Math.min(this.state.cut ?? count, count);
    this.cutShown.textContent = this.cut.value;
    this.shown.value = this.state.shown;
    this.spans.checked = Boolean(this.state.spans);
  }
}

function weightWords(fusion, share) {
  if (share !== null) return number(share, 2);
  return { rerank: "1", rrf: "equal" }[fusion.method] ?? "";
}

const option = (value) => el("option", { value }, String(value));

function select(options, chosen) {
  return el("select", { onchange: (event) => chosen(event.target.value) }, options);
}

let labels = 0;

/** A field with its label above it, and perhaps an output beside the label. */
function labelled(text, field, kind = "", output = null) {
  field.id ||= `field-${++labels}`;
  return el(
    "div",
    { class: `field ${kind}` },
    el("label", { for: field.id }, text, output ? [" ", output] : null),
    field,
  );
}
