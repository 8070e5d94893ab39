// The jobs that this browser has asked for. The server knows them by id; whoever knows an id may see the job.

import { kept, keep } from "./storage.js";

const MOST = 200;

/** Ids, newest first. */
export const rememberedJobs = () => kept("jobs", []);

export function remember(ids) {
  keep("jobs", [...new Set([...ids, ...rememberedJobs()])].slice(0, MOST));
}

export function forget(ids) {
  const gone = new Set(ids);
  keep("jobs", rememberedJobs().filter((id) => !gone.has(id)));
}
