// The view of the service: models, adapters, queue, outcomes, latency, OpenSearch. Asked anew while it is shown.

import { hasKey, request } from "./api.js";
import { byId, el, number } from "./dom.js";

const SECONDS = 5;

export class Status {
  constructor() {
    this.timer = 0;
    this.said = el("p", { class: "message", role: "status", hidden: true });
    this.body = el("div", { class: "cards" });
    byId("view-status").replaceChildren(this.said, this.body);
  }

  /** Start or stop to ask. */
  active(on) {
    clearTimeout(this.timer);
    this.on = on;
    if (on) this.refresh();
  }

  async refresh() {
    try {
      this.show(await request("_sidecar/status"));
    } catch (error) {
      this.say(error.message, "error");
    }
    clearTimeout(this.timer);
    if (this.on) this.timer = setTimeout(() => this.refresh(), SECONDS * 1000);
  }

  say(text, kind = "info") {
    this.said.hidden = !text;
    this.said.className = `message ${kind}`;
    this.said.textContent = text;
  }

  show(found) {
    if (this.said.classList.contains("error")) this.say("");
    const focused = document.activeElement?.dataset?.model;
    this.body.replaceChildren(
      card(
        "Service",
        facts([
          ["Version", found.version],
          ["Reranking", found.enabled ? "on" : "switched off"],
          ["Scorer", found.scorer.ready ? "ready" : `not ready: ${found.scorer.reason}`],
          [
            "OpenSearch",
            found.opensearch.reason ? `not ready: ${found.opensearch.reason}` : found.opensearch.about || "ready",
          ],
          ["Passages waiting", String(found.scorer.queued_passages)],
          ["Tokens waiting", String(found.scorer.queued_tokens)],
          ["Scores in the cache", String(found.scorer.cached_scores)],
          ["Scorer replaced", `${found.scorer.restarts} times`],
          ["Circuit breaker", found.scorer.breaker_open ? "open: the scorer is not asked for a while" : "closed"],
        ]),
      ),
      card(
        "Models",
        table(
          ["name", "checkpoint", "adapter of", "fusion", "weights", ""],
          found.models.map((model) => [
            model.name,
            model.checkpoint,
            model.base_model ?? "–",
            model.fusion,
            el("code", {}, (model.identity ?? "not loaded").slice(0, 16)),
            this.reload(model.name),
          ]),
        ),
      ),
      card(
        "Outcomes",
        table(
          ["port", "status", "model", "rule", "count"],
          found.outcomes.map((one) => [one.api, one.status, one.model || "–", one.rule || "–", String(one.count)]),
        ),
      ),
      card(
        "Not reranked, by reason",
        table(
          ["port", "reason", "model", "count"],
          found.fallbacks.map((one) => [one.api, el("code", {}, one.reason), one.model || "–", String(one.count)]),
        ),
      ),
      card(
        "Latency by stage",
        table(
          ["port", "stage", "count", "mean", "half below", "95 % below"],
          found.stages.map((one) => [one.api, one.stage, String(one.count), ms(one.mean), ms(one.p50), ms(one.p95)]),
        ),
      ),
    );
    if (focused) this.body.querySelector(`[data-model="${CSS.escape(focused)}"]`)?.focus();
  }

  reload(name) {
    const work = async () => {
      this.say(`Reading ${name} again …`);
      try {
        await request(`_sidecar/models/${encodeURIComponent(name)}/reload`, { method: "POST" });
        this.say(`${name} is served as it is on disk now.`);
      } catch (error) {
        this.say(error.message, "error");
      }
    };
    const why = hasKey() ? "" : "needs SIDECAR_API_KEY";
    return el(
      "button",
      {
        type: "button",
        class: "plain",
        disabled: Boolean(why),
        title: why,
        "data-model": name,
        "aria-label": `Reload ${name}`,
        onclick: work,
      },
      "Reload",
    );
  }
}

const ms = (seconds) => (seconds === null ? "over 30 s" : `${number(seconds * 1000, 1)} ms`);
const card = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);
const facts = (rows) =>
  el(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );

function table(heads, rows) {
  if (!rows.length) return el("p", { class: "meta" }, "Nothing yet.");
  return el(
    "div",
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": heads.filter(Boolean).join(", ") },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((head) => (head ? el("th", { scope: "col" }, head) : el("td", {}))),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) =>
          el(
            "tr",
            {},
            row.map((cell) => el("td", {}, cell)),
          ),
        ),
      ),
    ),
  );
}
