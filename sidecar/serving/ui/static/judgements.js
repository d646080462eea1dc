// Judgements of one index: a grade from 0 to 3 for a query and a document. They stay in the browser's storage.

const STORE = "sidecar.judgements";
export const GRADES = [0, 1, 2, 3];

/** The judgements of an index. `queries` maps a query's text to its id and its grades by document id. */
export class Judgements {
  constructor(place) {
    this.place = place;
    this.queries = new Map();
    this.texts = new Map();
    this.ids = new Map();
    const kept = stored()[place] ?? { queries: [], texts: [] };
    for (const { qid, query, grades } of kept.queries) this.queries.set(query, { qid, grades: new Map(grades) });
    for (const [docid, text] of kept.texts) this.texts.set(docid, text);
  }

  /** Give the queries of a set their ids; a judged query takes the id of the set. */
  name(queries) {
    this.ids = new Map(queries.map(({ qid, query }) => [query, qid]));
    for (const [query, own] of this.queries) own.qid = this.ids.get(query) ?? own.qid;
  }

  grades(query) {
    return this.queries.get(query)?.grades ?? new Map();
  }

  /** Set a grade, or remove it (null). Returns false if the browser can't keep it. */
  set(query, hit, grade) {
    const own = this.of(query);
    if (grade === null) own.grades.delete(hit.docid);
    else own.grades.set(hit.docid, grade);
    if (!own.grades.size) this.queries.delete(query);
    this.texts.set(hit.docid, { title: hit.title, text: hit.text });
    return this.keep();
  }

  /** Add grades of a file; queries are known by the ids of the loaded set. Returns how many grades have no query. */
  add(judged) {
    const named = new Map([...this.ids].map(([query, qid]) => [qid, query]));
    for (const [query, own] of this.queries) named.set(own.qid, query);
    let unknown = 0;
    for (const { qid, docid, grade } of judged) {
      if (named.has(qid)) this.of(named.get(qid)).grades.set(docid, grade);
      else unknown++;
    }
    this.keep();
    return unknown;
  }

  clear() {
    this.queries.clear();
    this.texts.clear();
    this.keep();
  }

  get count() {
    return [...this.queries.values()].reduce((sum, own) => sum + own.grades.size, 0);
  }

  of(query) {
    if (!this.queries.has(query))
      this.queries.set(query, { qid: this.ids.get(query) ?? this.freeId(), grades: new Map() });
    return this.queries.get(query);
  }

  freeId() {
    const taken = new Set([...this.ids.values(), ...[...this.queries.values()].map((own) => own.qid)]);
    let number = taken.size + 1;
    while (taken.has(`q${number}`)) number++;
    return `q${number}`;
  }

  keep() {
    const queries = [...this.queries].map(([query, { qid, grades }]) => ({ qid, query, grades: [...grades] }));
    try {
      localStorage.setItem(STORE, JSON.stringify({ ...stored(), [this.place]: { queries, texts: [...this.texts] } }));
      return true;
    } catch {
      return false;
    }
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}
