// Theme and language: the system's, until they are chosen here.

import { find, setChoices, setLabel } from "./dom.js";
import { keep, kept } from "./storage.js";
import { currentLanguage, LANGUAGES, setLanguage, t } from "./text.js";

const THEMES = ["auto", "light", "dark"];

export function startAppearance() {
  find("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    keep("theme", next);
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    write();
  });
  setChoices(find("language"), Object.entries(LANGUAGES), currentLanguage());
  find("language").addEventListener("change", (event) => setLanguage(event.target.value));
  document.addEventListener("textchange", write);
  write();
}

const theme = () => (THEMES.includes(kept("theme", "auto")) ? kept("theme", "auto") : "auto");

function write() {
  setLabel(find("theme"), t(`theme.${theme()}`));
}
