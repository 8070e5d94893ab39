// Messages: errors that stay until they are closed, and words for screen readers.

import { find, iconButton, make } from "./dom.js";
import { t } from "./text.js";

/** Shows {what, why, remedy}, or an Error, at the top. */
export function alertUser(error) {
  const text = make("div", {}, ...lines(error));
  find("alert").replaceChildren(text, iconButton("close", t("dialog.close"), "alert-close", clearAlert));
}

export function clearAlert() {
  find("alert").replaceChildren();
}

/** The lines of an error: what and why, then the remedy. */
export function lines(error) {
  const what = error.what ?? error.message ?? String(error);
  const first = error.why ? `${what}: ${error.why}` : what;
  return [make("p", { class: "what", text: first }), error.remedy ? make("p", { class: "remedy", text: error.remedy }) : null];
}

/** Said by screen readers, not shown. */
export function say(text) {
  find("status").textContent = text;
}
