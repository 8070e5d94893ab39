// The page's words: text.json holds them by language and key.

import { kept, keep } from "./storage.js";

export const LANGUAGES = { en: "English", de: "Deutsch", zh: "中文" };
const TAGS = { en: "en", de: "de", zh: "zh-Hans" };
let texts = {};
let language = "en";

/** Reads all languages; the one of last time, else the browser's, else English. */
export async function loadText() {
  const answer = await fetch(new URL("../text.json", import.meta.url));
  texts = await answer.json();
  const wanted = [kept("language", ""), ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
  language = wanted.find((code) => code in LANGUAGES) ?? "en";
  applyText();
}

/** The text of a key, with {name} replaced by values.name. */
export function t(key, values = {}) {
  const text = texts[language]?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

export const currentLanguage = () => language;

/** Changes the language; "textchange" tells those parts of the page that write their own text. */
export function setLanguage(code) {
  language = code;
  keep("language", code);
  applyText();
  document.dispatchEvent(new Event("textchange"));
}

/** data-text: content; data-label: accessible name and tooltip; data-hint: placeholder. */
function applyText() {
  document.documentElement.lang = TAGS[language];
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = t(element.dataset.hint);
  for (const element of document.querySelectorAll("[data-label]")) {
    const label = t(element.dataset.label);
    element.setAttribute("aria-label", label);
    if (element.tagName === "BUTTON" || element.tagName === "SELECT") element.title = label;
  }
}

/** A number as this language writes it. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(TAGS[language], { maximumFractionDigits: digits }).format(value);
}

/** "+3", "−2", "0". */
export function signed(value, digits = 1) {
  const format = new Intl.NumberFormat(TAGS[language], { maximumFractionDigits: digits, signDisplay: "exceptZero" });
  return format.format(value).replace("-", "−");
}

/** A moment (ISO 8601) as weekday and time of the day. */
export function moment(text) {
  const format = { weekday: "short", hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat(TAGS[language], format).format(new Date(text));
}

/** Seconds as 1:02:03 or 2:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 0.05)); // 7.99 s are eight, as people count
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60)];
  const padded = rest.padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
}

/** Bytes as kB, MB or GB. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes, unit = 0;
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${number(value, value < 10 && unit ? 1 : 0)} ${units[unit]}`;
}
