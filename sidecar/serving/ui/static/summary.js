// The line above the columns: what became of the reranking, why, and where the time went.

import { el, milliseconds } from "./dom.js";

const STAGES = { fetch: "first stage", score: "scoring", fuse: "fusion", listwise: "stage two", other: "the rest" };

/** Describe an answer: the status of each ranking, the stages of the first as a bar, and the engine's warning. */
export function summary(data, elapsed) {
  const statuses = data.rankings.map((ranking) => statusOf(ranking));
  const stages = stagesOf(data);
  const warning = data.warning ? el("p", { class: "message warning" }, data.warning) : null;
  return el(
    "div",
    { class: "summary" },
    el("div", { class: "statuses" }, statuses),
    bar(stages),
    el("p", { class: "meta" }, `${data.hits.length} hits · ${milliseconds(elapsed)} until they were shown`),
    warning,
  );
}

function statusOf(ranking) {
  const late = ["too_slow", "partly_scored", "first_stage_too_slow"].includes(ranking.reason);
  const advice = late ? ". Search again, or give it a larger budget." : "";
  const lacking = ranking.without_spans;
  const spans = lacking ? `; ${lacking} hits without sentences: the time did not suffice` : "";
  const words = (ranking.words ? `: ${ranking.words}${advice}` : "") + spans;
  return el(
    "p",
    { class: `status ${ranking.status}` },
    el("strong", {}, ranking.status),
    ` ${ranking.model}${words}`,
    ranking.reason ? el("code", {}, ranking.reason) : null,
  );
}

function stagesOf(data) {
  const times = { fetch: data.seconds.fetch, score: 0, fuse: 0 };
  for (const ranking of data.rankings) {
    for (const [name, seconds] of Object.entries(ranking.seconds)) times[name] = (times[name] ?? 0) + seconds;
  }
  const known = Object.values(times).reduce((sum, value) => sum + value, 0);
  return { ...times, other: Math.max(0, data.seconds.total - known) };
}

function bar(stages) {
  const parts = Object.entries(stages).filter(([, seconds]) => seconds > 0);
  const total = parts.reduce((sum, [, seconds]) => sum + seconds, 0) || 1;
  const pieces = parts.map(([name, seconds]) => {
    const piece = el("span", { class: `stage ${name}` });
    piece.style.setProperty("flex-grow", Math.max(0.004, seconds / total));
    return piece;
  });
  const words = parts.map(([name, seconds]) =>
    el("li", { class: name }, `${STAGES[name] ?? name} ${milliseconds(seconds)}`),
  );
  return el(
    "div",
    { class: "times" },
    el("div", { class: "bar", "aria-hidden": "true" }, pieces),
    el("ul", { class: "legend" }, words),
  );
}
