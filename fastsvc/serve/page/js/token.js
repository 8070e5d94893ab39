// The token, where the server asks for one. The server keeps it in a cookie that scripts cannot read.

import { address, whenTokenIsNeeded } from "./api.js";
import { find } from "./dom.js";
import { t } from "./text.js";

let waiting = null; // one dialog, however many questions wait for it

export function startToken() {
  whenTokenIsNeeded(() => (waiting ??= obtain().finally(() => (waiting = null))));
  find("token-dialog").addEventListener("cancel", (event) => event.preventDefault()); // Nothing works without it.
}

function obtain() {
  const dialog = find("token-dialog"), form = find("token-form");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const right = await accepted(find("token").value);
      find("token-wrong").textContent = right ? "" : t("token.wrong");
      if (!right) return find("token").select();
      find("token").value = "";
      dialog.close();
      resolve();
    };
  });
}

/** Hands the token over once, then sees whether the API answers. */
async function accepted(token) {
  try {
    const page = new URL(document.baseURI);
    page.hash = "";
    page.searchParams.set("token", token);
    await fetch(page, { cache: "no-store" });
    return (await fetch(address("limits"), { cache: "no-store" })).status !== 401;
  } catch {
    return false;
  }
}
