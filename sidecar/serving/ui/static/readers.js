// Files that a person opens: query sets, qrels, runs, shadow logs. Read as they are meant, or refused with the line.

const LARGEST = 200 * 1024 * 1024;
const QUERY_KEYS = { id: ["_id", "qid", "query_id", "id"], text: ["text", "query", "title"] };

/** Read a file as text; gzip is unpacked. Throws an Error with words for people. */
export async function textOf(file) {
  const head = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const packed = head[0] === 0x1f && head[1] === 0x8b;
  const stream = packed ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const parts = [];
  let size = 0;
  try {
    for (const reader = stream.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > LARGEST) throw new RangeError();
      parts.push(decoder.decode(value, { stream: true }));
    }
    parts.push(decoder.decode());
  } catch (error) {
    if (error instanceof RangeError) throw new Error(`${file.name} is too large for a page. Use the command line.`);
    throw new Error(`${file.name} can't be read: it is neither UTF-8 nor gzip of it, or it is damaged.`);
  }
  return parts.join("");
}

/** Yield the lines that are not blank, with their numbers. */
function* linesOf(text) {
  let number = 0;
  for (const line of text.split(/\r?\n/)) {
    number++;
    if (line.trim()) yield [line, number];
  }
}

function wrong(name, number, words) {
  return new Error(`${name}, line ${number}: ${words}`);
}

function parsed(line, name, number) {
  try {
    const found = JSON.parse(line);
    if (found && typeof found === "object" && !Array.isArray(found)) return found;
  } catch {
    // told below
  }
  throw wrong(name, number, "no JSON object");
}

/** Queries of `qid<TAB>text` lines, JSON lines, or plain lines, which are numbered. */
export function queriesIn(text, name) {
  const found = [];
  const seen = new Map();
  const plain = !text.includes("\t") && !text.trimStart().startsWith("{");
  for (const [line, number] of linesOf(text)) {
    const one = plain ? { qid: `q${found.length + 1}`, query: line.trim() } : queryIn(line, name, number);
    if (one === null) continue;
    if (!one.qid || /\s/.test(one.qid)) throw wrong(name, number, "the id is empty or has white space");
    if (!one.query) throw wrong(name, number, "the query is empty");
    if (seen.has(one.qid)) throw wrong(name, number, `the id ${one.qid} is also on line ${seen.get(one.qid)}`);
    seen.set(one.qid, number);
    found.push(one);
  }
  if (!found.length) throw new Error(`${name} holds no query.`);
  return found;
}

function queryIn(line, name, number) {
  if (line.trimStart().startsWith("{")) {
    const record = parsed(line, name, number);
    const [id, text] = ["id", "text"].map((kind) => QUERY_KEYS[kind].find((key) => record[key] !== undefined));
    if (!id || typeof record[text] !== "string") throw wrong(name, number, "no id, or no text");
    return { qid: String(record[id]), query: record[text].trim() };
  }
  const parts = line.split("\t");
  if (parts.length !== 2) throw wrong(name, number, "not qid<TAB>text");
  const isHead = number === 1 && QUERY_KEYS.id.includes(parts[0].trim()) && QUERY_KEYS.text.includes(parts[1].trim());
  return isHead ? null : { qid: parts[0].trim(), query: parts[1].trim() };
}

/** Judgements of TREC qrels (`qid 0 docid grade`) or `qid<TAB>docid<TAB>grade` lines. */
export function qrelsIn(text, name) {
  const found = [];
  const seen = new Map();
  for (const [line, number] of linesOf(text)) {
    const parts = line.trim().split(/\s+/);
    const byTab = line
      .trim()
      .split(/\t/)
      .map((part) => part.trim());
    const spaced = [3, 4].includes(byTab.length) && byTab.length !== parts.length;
    if (spaced || ![3, 4].includes(parts.length)) throw wrong(name, number, "not qid 0 docid grade");
    const [qid, docid, written] = [parts[0], parts.at(-2), parts.at(-1)];
    if (number === 1 && !/\d/.test(written)) continue; // a header
    if (!/^-?\d+(\.0+)?$/.test(written)) throw wrong(name, number, `the grade ${written} is no whole number`);
    const grade = Number(written);
    const key = `${qid}\t${docid}`;
    if ((seen.get(key) ?? grade) !== grade) throw wrong(name, number, `${docid} has two grades for ${qid}`);
    if (!seen.has(key)) found.push({ qid, docid, grade });
    seen.set(key, grade);
  }
  if (!found.length) throw new Error(`${name} holds no judgement.`);
  return found;
}

/** A TREC run: document ids by query, in trec_eval's order (falling score in single precision, ties by falling id). */
export function runIn(text, name) {
  const found = new Map();
  for (const [line, number] of linesOf(text)) {
    const parts = line.trim().split(/\s+/);
    const score = Number(parts[4]);
    if (parts.length !== 6 || !Number.isFinite(score)) throw wrong(name, number, "not qid Q0 docid rank score tag");
    if (!found.has(parts[0])) found.set(parts[0], []);
    found.get(parts[0]).push({ docid: parts[2], score: Math.fround(score) });
  }
  if (!found.size) throw new Error(`${name} holds no hit.`);
  for (const [qid, hits] of found) {
    hits.sort((a, b) => b.score - a.score || (a.docid < b.docid ? 1 : -1));
    found.set(
      qid,
      hits.map((hit) => hit.docid),
    );
  }
  return found;
}

/** The records of a shadow log (SIDECAR_SHADOW_FILE) that hold two orders. */
export function shadowsIn(text, name) {
  const found = [];
  let read = 0;
  for (const [line, number] of linesOf(text)) {
    const record = parsed(line, name, number);
    if (typeof record.qid !== "string" || typeof record.status !== "string")
      throw wrong(name, number, "no shadow record");
    read++;
    if (Array.isArray(record.first_stage) && Array.isArray(record.reranked)) found.push(record);
  }
  if (!read) throw new Error(`${name} holds no record.`);
  return { records: found, others: read - found.length };
}
