// News of jobs that are not over. Events come over one connection, as a browser has six for all its tabs; jobs of other
// batches are asked for.

import { address, ask } from "./api.js";

const ASK_MS = 1500, QUIET_MS = 6000, IDS_A_QUESTION = 50;
export const over = (job) => ["done", "failed", "cancelled"].includes(job.state);
const followed = new Map(); // id → {job, at: when it was heard of last, ms}
let report = () => {}, events = null, batch = null, timer = 0;

/** The jobs of these ids that the server still knows. Raises ApiError. */
export async function jobsOf(ids) {
  const jobs = [];
  for (let at = 0; at < ids.length; at += IDS_A_QUESTION) {
    jobs.push(...(await ask(`jobs?ids=${ids.slice(at, at + IDS_A_QUESTION).join(",")}`)).jobs);
  }
  return jobs;
}

/** `run(job)` hears of every change. */
export function whenJobChanges(run) {
  report = run;
}

export function follow(jobs) {
  for (const job of jobs) if (!over(job)) note(job);
  listen();
}

export function unfollow(id) {
  followed.delete(id);
  listen();
}

const note = (job) => followed.set(job.id, { job, at: Date.now() });

function heard(job) {
  if (over(job)) followed.delete(job.id);
  else note(job);
  report(job);
  if (over(job)) listen();
}

/** Events of the batch that was followed first; a timer for all others. */
function listen() {
  const current = [...followed.values()].map(({ job }) => job);
  if (batch && !current.some((job) => job.batch === batch)) quit();
  if (!batch && current.length) {
    batch = current[0].batch;
    events = new EventSource(address(`batches/${batch}/events`));
    events.addEventListener("job", (event) => heard(JSON.parse(event.data)));
    events.onerror = () => {
      // While it reconnects, or when it will not, the timer serves.
      if (events?.readyState === EventSource.CLOSED) quit();
      schedule();
    };
  }
  schedule();
}

function quit() {
  events?.close();
  events = batch = null;
}

/** Jobs that events do not reach, or have not for a while. */
function unheard() {
  const silent = events?.readyState !== EventSource.OPEN, early = Date.now() - QUIET_MS;
  return [...followed.values()].filter(({ job, at }) => silent || job.batch !== batch || at < early).map(({ job }) => job);
}

function schedule() {
  if (!timer && followed.size) timer = setTimeout(look, ASK_MS);
}

async function look() {
  timer = 0;
  const ids = unheard().map((job) => job.id).slice(0, IDS_A_QUESTION);
  if (ids.length) {
    try {
      const jobs = await jobsOf(ids);
      const known = new Set(jobs.map((job) => job.id));
      for (const id of ids) if (!known.has(id)) followed.delete(id);
      jobs.forEach(heard);
    } catch {
      // The server may be away for a moment: the next look shows.
    }
  }
  listen();
}
