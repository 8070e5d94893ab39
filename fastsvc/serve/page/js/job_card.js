// One job as a card. Its parts are written anew as it goes on; the elements stay, so that focus stays too.

import { address } from "./api.js";
import { icon, iconButton, make } from "./dom.js";
import { lines } from "./notice.js";
import { clock, number, t } from "./text.js";

/** `actions`: open(job), discard(job). */
export function card(job, actions) {
  const part = (role, tag = "p", properties = {}) => make(tag, { ...properties, data: { role } });
  const title = make("span", { class: "job-title" }, make("span", { class: "name", text: job.name, title: job.name }), part("voice", "span", { class: "voice-name" }));
  const open = make("button", { type: "button", class: "strong", data: { role: "open" }, on: { click: () => actions.open(job) } }, icon("play"), t("jobs.listen"));
  const download = make("a", { class: "button", href: address(`jobs/${job.id}/result`), download: "", data: { role: "download" }, "aria-label": t("jobs.download", { name: job.name }), title: t("jobs.download", { name: job.name }) }, icon("download"));
  const bar = part("progress", "div", { class: "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": t("jobs.progress", { name: job.name }) });
  bar.append(make("div"));
  const cancel = make("button", { type: "button", text: t("jobs.cancel"), data: { role: "cancel" }, on: { click: () => actions.discard(job) } });
  const remove = iconButton("close", t("jobs.remove", { name: job.name }), "remove", () => actions.discard(job));
  const log = make("details", { data: { role: "log" }, open: job.kind === "build" }, make("summary", { text: t("jobs.log") }), make("pre", { tabIndex: 0 }));
  const element = make(
    "article", { class: "job", data: { job: job.id } },
    make("div", { class: "row" }, title, part("state", "span", { class: "state" }), open, download, cancel, remove),
    bar, part("error", "div", { class: "error" }), part("notes", "ul", { class: "notes" }), log,
  );
  update(element, job);
  return element;
}

export function update(element, job) {
  const part = (role) => element.querySelector(`[data-role=${role}]`);
  const waits = job.state === "queued", runs = job.state === "running", done = job.state === "done";
  element.dataset.state = job.state;
  part("voice").textContent = job.kind === "convert" ? (job.speaker_name ?? voiceOf(job.speaker)) : "";
  part("state").textContent = stateText(job);
  part("open").hidden = part("download").hidden = !done || job.kind !== "convert" || !job.result;
  part("cancel").hidden = !waits && !runs;
  part("remove").hidden = waits || runs;
  const bar = part("progress"), share = Math.round(100 * (job.progress ?? 0));
  bar.hidden = !runs;
  bar.setAttribute("aria-valuenow", share);
  bar.firstChild.style.setProperty("width", `${share}%`);
  part("error").hidden = !job.error;
  part("error").replaceChildren(...(job.error ? lines(job.error).filter(Boolean) : []));
  part("notes").replaceChildren(...(job.notes ?? []).map((text) => make("li", { text })));
  writeLog(part("log"), job.log ?? []);
}

function writeLog(details, log) {
  details.hidden = !log.length;
  const text = details.querySelector("pre");
  const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
  text.textContent = log.join("\n");
  if (atEnd) text.scrollTop = text.scrollHeight;
}

function stateText(job) {
  if (job.state === "queued" && job.place) return t("jobs.place", { place: number(job.place) });
  if (job.state === "running") return [stage(job.stage), `${number(100 * (job.progress ?? 0))} %`].filter(Boolean).join(" · ");
  if (job.state === "done" && job.seconds) return clock(job.seconds);
  return t(`jobs.state.${job.state}`);
}

const STAGES = ["loading", "converting", "pictures", "building"];

/** The stage in words; one that this page does not know, as the server names it. */
const stage = (name) => (STAGES.includes(name) ? t(`jobs.stage.${name}`) : (name ?? ""));

/** A mixture as "slt 70 % + bdl 30 %". */
function voiceOf(speaker) {
  if (speaker === null || typeof speaker !== "object") return String(speaker ?? "");
  return Object.entries(speaker).map(([name, share]) => `${name} ${number(100 * share)} %`).join(" + ");
}
