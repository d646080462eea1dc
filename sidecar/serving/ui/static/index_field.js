// The field for the name of an index, with the names that the chosen engine offers.

import { el } from "./dom.js";

export class IndexField {
  constructor(state, offered) {
    Object.assign(this, { state, offered, listed: [] });
    this.names = el("datalist", { id: "indexes" });
    this.input = el("input", {
      id: "index",
      list: "indexes",
      required: true,
      autocomplete: "off",
      spellcheck: false,
      value: state.index,
      oninput: () => {
        state.index = this.input.value.trim();
      },
    });
    this.offer();
  }

  /** Take the names that OpenSearch lists for this caller; the only one of a cluster goes into an empty field. */
  take(names) {
    this.listed = names;
    this.offer();
    if (this.state.engine === "opensearch" && !this.input.value && names.length === 1) this.set(names[0]);
  }

  /** Put an index of Lucene's into the field if it names none of them, and clear it for OpenSearch. */
  suggest() {
    const names = this.offered.lucene_indexes;
    const lucene = this.state.engine === "lucene";
    if (names.includes(this.state.index) !== lucene) this.set(lucene ? (names[0] ?? "") : "");
    this.offer();
  }

  offer() {
    const names = this.state.engine === "lucene" ? this.offered.lucene_indexes : this.listed;
    this.names.replaceChildren(...names.map((name) => el("option", { value: name })));
  }

  set(name) {
    this.input.value = this.state.index = name;
  }
}
