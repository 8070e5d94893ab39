// Keys that work everywhere on the page, except where they mean something to what has the focus.

import { isOpen, playPause, seekBy, swapSides, zoomBy, zoomFit } from "./compare.js";
import { find } from "./dom.js";
import { clearAlert } from "./notice.js";
import { openTab } from "./tabs.js";

const SEEK_S = 2;
const PLAYER = {
  " ": playPause, x: swapSides, X: swapSides, ArrowLeft: () => seekBy(-SEEK_S), ArrowRight: () => seekBy(SEEK_S),
  "+": () => zoomBy(1), "=": () => zoomBy(1), "-": () => zoomBy(-1), 0: zoomFit,
};

export function startKeys() {
  find("shortcuts").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && openTab() === "convert") {
      event.preventDefault();
      return find("setup").requestSubmit();
    }
    if (event.key === "Escape") return clearAlert();
    if (event.ctrlKey || event.metaKey || event.altKey || taken(event)) return;
    const run = event.key === "?" ? help : openTab() === "convert" ? (event.key === "/" ? search : isOpen() && PLAYER[event.key]) : null;
    if (!run) return;
    event.preventDefault();
    run();
  });
}

const help = () => find("keys-dialog").showModal();
const search = () => find("voice-search").focus();

/** Whether the focused element uses this key itself. */
function taken({ key, target }) {
  if (target.id === "position") return false; // Its own steps are hundredths of a second.
  if (target.matches("input[type=search], input[type=text], input[type=number], input[type=password], select, textarea")) return true;
  if (target.matches("[role=listbox], [role=tab]")) return key.startsWith("Arrow") || key === " ";
  if (target.matches("input[type=range], input[type=radio]")) return key.startsWith("Arrow");
  if (target.matches("button, a, summary, input[type=checkbox]")) return key === " ";
  return false;
}
