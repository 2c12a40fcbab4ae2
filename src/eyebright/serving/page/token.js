// The server's token: asked for when the server wants one, kept for this tab only, forgotten with it.

import { byId } from "./dom.js";

const KEY = "eyebright-token";
let kept = null; // where the browser allows no storage
let asking = null;

/** The token, or null. */
export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? kept;
  } catch {
    return kept;
  }
}

function keep(value) {
  kept = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // It is kept in memory until the page is left.
  }
}

/** Asks the person once, however many requests were refused: true where they gave a token, false where they would not. */
export function askForToken({ refused }) {
  asking ??= opened(refused).finally(() => {
    asking = null;
  });
  return asking;
}

function opened(refused) {
  const dialog = byId("token-dialog");
  const field = byId("token-field");
  const wrong = byId("token-wrong");
  wrong.hidden = !refused;
  field.setAttribute("aria-invalid", String(refused));
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = dialog.returnValue === "given" ? field.value.trim() : "";
        field.value = "";
        if (given) keep(given);
        resolve(given !== "");
      },
      { once: true },
    );
  });
}

/** Connects the dialog's form; called once. */
export function prepareTokenDialog() {
  const dialog = byId("token-dialog");
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (byId("token-field").value.trim()) dialog.close("given");
  });
  byId("token-cancel").addEventListener("click", () => dialog.close());
}
