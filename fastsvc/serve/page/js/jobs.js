// The list of jobs: those under way, and this browser's history.

import { address, ask } from "./api.js";
import { find, icon, make } from "./dom.js";
import { follow, jobsOf, over, unfollow, whenJobChanges } from "./follow.js";
import { forget, remember, rememberedJobs } from "./history.js";
import { card, update } from "./job_card.js";
import { alertUser, say } from "./notice.js";
import { on, tell } from "./state.js";
import { number, t } from "./text.js";

const jobs = new Map(); // id → job, newest batch first
let awaited = null; // the batch whose first result is shown when it is there
let open = null; // the id of the job that is compared

export function startJobs() {
  whenJobChanges(changed);
  find("jobs-clear").addEventListener("click", () => [...jobs.values()].filter(over).forEach(discard));
  on("open", (job) => ((open = job.id), markOpen()));
  document.addEventListener("textchange", draw);
}

/** Asks for the jobs of earlier visits; those that expired are forgotten. */
export async function loadHistory() {
  const ids = rememberedJobs();
  if (!ids.length) return draw();
  let found;
  try {
    found = new Map((await jobsOf(ids)).map((job) => [job.id, job]));
  } catch (error) {
    alertUser(error);
    return;
  }
  forget(ids.filter((id) => !found.has(id)));
  for (const id of ids) if (found.has(id)) jobs.set(id, found.get(id));
  follow([...found.values()]);
  draw();
}

/** Jobs that were accepted just now, to the top of the list. */
export function addJobs(accepted) {
  remember(accepted.map((job) => job.id));
  const before = [...jobs];
  jobs.clear();
  for (const job of accepted) jobs.set(job.id, job);
  for (const [id, job] of before) if (!jobs.has(id)) jobs.set(id, job);
  awaited = accepted.find((job) => job.kind === "convert")?.batch ?? awaited;
  follow(accepted);
  draw();
}

function changed(job) {
  const before = jobs.get(job.id);
  if (!before) return; // It was removed here.
  jobs.set(job.id, job);
  const element = document.querySelector(`[data-job="${job.id}"]`);
  if (element) update(element, job);
  writeBatch(job.batch);
  writeTitle();
  if (over(job) && !over(before)) finished(job);
  tell("job", job);
}

function finished(job) {
  say(t(`jobs.said.${job.state}`, { name: job.name }));
  if (job.state === "done" && job.batch === awaited) {
    awaited = null;
    tell("open", job);
  }
  writeClear();
}

/** DELETE cancels what is under way, and removes what is over; the latter leaves the list. */
async function discard(job) {
  const remove = over(jobs.get(job.id) ?? job);
  try {
    await ask(`jobs/${job.id}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) return alertUser(error);
  }
  if (!remove) return;
  jobs.delete(job.id);
  unfollow(job.id);
  forget([job.id]);
  draw();
  tell("removed", job);
}

const actions = { open: (job) => tell("open", jobs.get(job.id)), discard };

function draw() {
  const groups = { convert: new Map(), build: new Map() };
  for (const job of jobs.values()) {
    const group = groups[job.kind] ?? groups.convert;
    group.set(job.batch, [...(group.get(job.batch) ?? []), job]);
  }
  const drawn = (batches) => [...batches].map(([batch, members]) => section(batch, members));
  find("jobs").replaceChildren(...drawn(groups.convert));
  find("builds").replaceChildren(...drawn(groups.build));
  find("jobs-empty").hidden = groups.convert.size > 0;
  for (const batch of groups.convert.keys()) writeBatch(batch);
  markOpen();
  writeClear();
  writeTitle();
}

function markOpen() {
  for (const element of document.querySelectorAll("[data-job]")) element.classList.toggle("open", element.dataset.job === open);
}

/** A batch: its jobs, and for several files a line with the archive of all results. */
function section(batch, members) {
  const several = members.length > 1 && members[0].kind === "convert";
  const zip = make("a", { class: "button", data: { role: "zip" }, href: address(`batches/${batch}/results.zip`), download: "" }, icon("download"), t("jobs.zip"));
  const head = several ? make("div", { class: "batch-head" }, make("span", { class: "hint", data: { role: "batch-count" } }), zip) : null;
  return make("div", { class: several ? "batch several" : "batch", data: { batch } }, head, ...members.map((job) => card(job, actions)));
}

function writeBatch(batch) {
  const section = document.querySelector(`[data-batch="${batch}"]`);
  const zip = section?.querySelector("[data-role=zip]");
  if (!zip) return;
  const members = [...jobs.values()].filter((job) => job.batch === batch);
  const done = members.filter((job) => job.state === "done").length;
  section.querySelector("[data-role=batch-count]").textContent = t("jobs.count", { done, count: members.length });
  zip.hidden = !done || !members.every(over);
}

/** The window's title tells how far the work is, for those who look at another tab meanwhile. */
function writeTitle() {
  const running = [...jobs.values()].filter((job) => !over(job));
  const share = running.reduce((sum, job) => sum + (job.progress ?? 0), 0) / Math.max(1, running.length);
  document.title = running.length ? `${number(100 * share)} % · fastsvc` : "fastsvc";
}

function writeClear() {
  find("jobs-clear").hidden = ![...jobs.values()].some((job) => over(job) && job.kind === "convert");
}

/** Whether a job of this engine is under way. */
export const busy = (engine) => [...jobs.values()].some((job) => job.engine === engine && !over(job));
