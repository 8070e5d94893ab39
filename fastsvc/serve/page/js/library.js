// The voices tab: engines are built or installed from files, renamed and deleted.

import { ask } from "./api.js";
import { confirmed, renamed } from "./dialogs.js";
import { find, icon, iconButton, make } from "./dom.js";
import { acceptFiles } from "./drop.js";
import { loadEngines, reason } from "./engines.js";
import { addJobs } from "./jobs.js";
import { alertUser, clearAlert, say } from "./notice.js";
import { on, state } from "./state.js";
import { number, size, t } from "./text.js";
import { Upload } from "./upload.js";

const NETWORKS = ["content", "vocoder"]; // parts of the form with these names
const upload = new Upload(write);
let files = [];

export function startLibrary() {
  acceptFiles(find("panel-voices"), find("upload-choose"), find("upload-files"), (chosen) => {
    if (state.limits?.uploads === false) return;
    files = chosen;
    const first = chosen.find((file) => !/\.(index|ya?ml|json)$/i.test(file.name)) ?? chosen[0];
    find("upload-name").value = first.name.replace(/(\.fsvc)?\.[^.]+$/i, "");
    write();
  });
  find("upload").addEventListener("submit", (event) => {
    event.preventDefault();
    if (files.length && upload.share === null) sendFiles();
  });
  on("limits", write);
  on("engines", drawEngines);
  on("job", (job) => job.kind === "build" && job.state === "done" && loadEngines());
  document.addEventListener("textchange", () => (write(), drawEngines()));
}

function sendFiles() {
  clearAlert();
  const form = new FormData();
  form.append("name", find("upload-name").value.trim());
  for (const file of files) form.append("file", file, file.name);
  for (const network of NETWORKS) for (const file of find(`upload-${network}`).files) form.append(network, file, file.name);
  upload.send("engines", form, (job) => {
    addJobs([job]);
    files = [];
    find("upload").reset();
    say(t("upload.accepted"));
  });
}

function write() {
  const allowed = state.limits?.uploads !== false, sent = upload.share;
  find("upload").hidden = !allowed;
  find("upload-off").hidden = allowed;
  find("upload-list").replaceChildren(...files.map((file) =>
    make("li", {}, icon("wave"), make("span", { class: "name", text: file.name }), make("span", { class: "hint", text: size(file.size) }))));
  find("upload-start").textContent = sent === null ? t("upload.start") : t("upload.sending", { share: number(100 * sent) });
  find("upload-start").disabled = !files.length || sent !== null;
}

function drawEngines() {
  find("engine-list").replaceChildren(...state.engines.map(row));
}

function row(engine) {
  const facts = [
    engine.family,
    engine.speakers.length && t(engine.speakers.length === 1 ? "engines.voice" : "engines.voices", { count: engine.speakers.length }),
    engine.rate_hz && `${number(engine.rate_hz / 1000, 1)} kHz`,
    engine.size_bytes && size(engine.size_bytes),
  ];
  const marks = [engine.bundled ? t("engines.bundled") : null, engine.state === "ready" ? t("engines.ready") : null];
  const badges = marks.filter(Boolean).map((text) => make("span", { class: "badge", text }));
  const error = engine.state === "broken" ? make("p", { class: "wrong", text: reason(engine.error) }) : null;
  const text = make("div", { class: "grow" },
    make("p", { class: "name" }, engine.name, ...badges),
    make("p", { class: "hint", text: facts.filter(Boolean).join(" · ") }), error);
  const rename = iconButton("pencil", t("engines.rename", { name: engine.name }), "rename", () => renameEngine(engine));
  const remove = iconButton("bin", t("engines.delete", { name: engine.name }), "delete", () => deleteEngine(engine));
  return make("li", { data: { engine: engine.id } }, text, ...(engine.removable ? [rename, remove] : []));
}

async function renameEngine(engine) {
  const name = await renamed(engine.name);
  if (name) await change(engine, { method: "PATCH", json: { name } });
}

async function deleteEngine(engine) {
  const sure = await confirmed(t("engines.sure", { name: engine.name }), t("engines.delete.yes"));
  if (sure) await change(engine, { method: "DELETE" });
}

async function change(engine, request) {
  clearAlert();
  try {
    await ask(`engines/${engine.id}`, request);
  } catch (error) {
    alertUser(error);
  }
  await loadEngines();
}
