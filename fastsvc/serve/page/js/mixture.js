// Several voices at once: a slider each, and what their weights amount to.

import { find, make } from "./dom.js";
import { on, speakerOf, state } from "./state.js";
import { number, t } from "./text.js";

export function startMixture() {
  on("shares", draw);
  document.addEventListener("textchange", draw);
}

const sumOf = (shares) => [...shares.values()].reduce((total, weight) => total + weight, 0);

/** Speaker id → share; the shares sum to 1. */
export function normalised(shares = state.shares) {
  const sum = sumOf(shares);
  return new Map([...shares].map(([id, weight]) => [id, sum > 0 ? weight / sum : 1 / shares.size]));
}

function draw() {
  find("mix-panel").hidden = !state.mixing;
  if (!state.mixing) return find("mix-list").replaceChildren();
  find("mix-list").replaceChildren(...[...state.shares.keys()].map(row));
  write();
}

function row(id) {
  const name = speakerOf(id)?.name ?? id;
  const slider = make("input", {
    type: "range", min: 0, max: 100, step: 1, value: Math.round(100 * state.shares.get(id)),
    id: `mix-${id}`, data: { role: "mix-weight" },
    on: { input: () => (state.shares.set(id, Number(slider.value) / 100), write()) },
  });
  const share = make("output", { for: slider.id, data: { role: "mix-share" } });
  return make("li", { data: { mix: id } }, make("label", { for: slider.id, text: name }), slider, share);
}

function write() {
  const parts = normalised();
  for (const element of find("mix-list").children) {
    element.querySelector("output").textContent = `${number(100 * parts.get(element.dataset.mix))} %`;
  }
  const sum = 100 * sumOf(state.shares);
  find("mix-sum").textContent = t(sum > 0 ? "mix.sum" : "mix.nothing", { sum: number(sum) });
}
