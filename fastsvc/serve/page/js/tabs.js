// The three tabs; the address says which is open.

import { find } from "./dom.js";
import { tell } from "./state.js";

const NAMES = ["convert", "live", "voices"];

export function startTabs() {
  NAMES.forEach((name, i) => {
    const tab = find(`tab-${name}`);
    tab.addEventListener("click", () => go(name));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: NAMES.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = NAMES[(to + NAMES.length) % NAMES.length];
      go(next);
      find(`tab-${next}`).focus();
    });
  });
  window.addEventListener("hashchange", show);
  show();
}

function go(name) {
  history.replaceState(null, "", `#${name}`);
  show();
}

export const openTab = () => (NAMES.includes(location.hash.slice(1)) ? location.hash.slice(1) : NAMES[0]);

function show() {
  const open = openTab();
  for (const name of NAMES) {
    find(`panel-${name}`).hidden = name !== open;
    find(`tab-${name}`).setAttribute("aria-selected", String(name === open));
    find(`tab-${name}`).tabIndex = name === open ? 0 : -1;
  }
  tell("tab", open);
}
