// Asks for the API key. The key stays in memory; closing the tab forgets it.

import { setKey } from "./api.js";
import { byId, el } from "./dom.js";

let waiting = null;

/** Ask once for all requests that wait; resolves to true once a key was given. */
export function askKey(wrong) {
  waiting ??= ask(wrong).finally(() => {
    waiting = null;
  });
  return waiting;
}

function ask(wrong) {
  const dialog = byId("key-dialog");
  const field = el("input", { id: "key", type: "password", autocomplete: "off", required: true });
  const form = el(
    "form",
    { method: "dialog" },
    el("h2", { id: "key-title" }, "API key"),
    wrong ? el("p", { class: "message error" }, "The service does not accept this key.") : null,
    el("p", {}, "This service has an API key (SIDECAR_API_KEY). The page keeps it in memory until the tab is closed."),
    el("label", { for: "key" }, "Key"),
    field,
    el(
      "div",
      { class: "row" },
      el("button", { class: "primary", value: "ok" }, "Use this key"),
      el("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
    ),
  );
  dialog.replaceChildren(form);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = dialog.returnValue === "ok" && field.value.trim() !== "";
        if (given) setKey(field.value.trim());
        dialog.replaceChildren();
        resolve(given);
      },
      { once: true },
    );
  });
}
