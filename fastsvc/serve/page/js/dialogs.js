// Questions that hold everything up.

import { find } from "./dom.js";

/** Whether the user says yes to `text`; the button that does it says `yes`. */
export function confirmed(text, yes) {
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = yes;
  return shown(find("confirm-dialog"), () => find("confirm-no").focus()).then((answer) => answer === "yes");
}

/** A new name, or null. */
export async function renamed(name) {
  const field = find("rename");
  field.value = name;
  const answer = await shown(find("rename-dialog"), () => field.select());
  const text = field.value.trim();
  return answer === "yes" && text && text !== name ? text : null;
}

export function startDialogs() {
  find("rename-cancel").addEventListener("click", () => find("rename-dialog").close(""));
}

function shown(dialog, begin) {
  dialog.returnValue = "";
  dialog.showModal();
  begin();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}
