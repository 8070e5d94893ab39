// Elements: found by id, and made.

export const find = (id) => document.getElementById(id);

/** An element. `properties`: class, role, text, data {…}, style {…}, on {event: handler}, aria-…, or any property. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") setStyle(element, value);
    else if (name === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Style by script: the policy of the page forbids style attributes in markup, not this. */
export function setStyle(element, style) {
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
}

const SVG = "http://www.w3.org/2000/svg";

/** A drawing of index.html's <symbol id="i-NAME">. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  drawing.append(use);
  return drawing;
}

/** Exchanges the drawing inside a button. */
export function setIcon(element, name) {
  element.querySelector("use").setAttribute("href", `#i-${name}`);
}

/** Names a button that shows a drawing alone, for screen readers and for the mouse. */
export function setLabel(element, label) {
  element.setAttribute("aria-label", label);
  element.title = label;
}

/** A button that shows a drawing alone; `label` is its name. */
export function iconButton(name, label, role, run) {
  const properties = { type: "button", class: "quiet", title: label, "aria-label": label, data: { role }, on: { click: run } };
  return make("button", properties, icon(name));
}

/** Fills a <select> with [value, text] pairs and keeps its choice where that is still offered. */
export function setChoices(select, pairs, chosen = select.value) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => String(value) === String(chosen))) select.value = chosen;
}
