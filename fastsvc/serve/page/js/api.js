// The server's API: asked, and its errors as {what, why, remedy}.

import { t } from "./text.js";

const API = new URL("api/v1/", document.baseURI);

export const address = (path) => new URL(path, API).href;

/** The address of a WebSocket beside the API. */
export function socketAddress(path) {
  const at = new URL(path, API);
  at.protocol = at.protocol === "https:" ? "wss:" : "ws:";
  return at.href;
}

/** What the server, or the way to it, says is wrong. `status` 0: the server was not reached. */
export class ApiError extends Error {
  constructor(status, { what, why = "", remedy = "" }) {
    super(why ? `${what}: ${why}` : what);
    Object.assign(this, { status, what, why, remedy });
  }
}

let obtainToken = null;

/** `ask()` returns a promise that is resolved once the server may be asked again. */
export function whenTokenIsNeeded(ask) {
  obtainToken = ask;
}

/** JSON of an answer. Raises ApiError. A 401 asks for the token, then the question is repeated. */
export async function ask(path, { method = "GET", json, signal } = {}) {
  const options = { method, signal, headers: { Accept: "application/json" } };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(address(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreached();
  }
  if (answer.status === 401 && obtainToken) {
    await obtainToken();
    return ask(path, { method, json, signal });
  }
  const text = await answer.text();
  if (!answer.ok) throw failure(answer.status, text);
  return text ? JSON.parse(text) : null;
}

/** Sends a form; `progress(share)` as it leaves. fetch does not tell how much was sent, so this is XMLHttpRequest. */
export function send(path, form, progress = () => {}) {
  const request = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    request.open("POST", address(path));
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(unreached());
    request.onload = async () => {
      if (request.status >= 200 && request.status < 300) return resolve(JSON.parse(request.responseText));
      if (request.status !== 401 || !obtainToken) return reject(failure(request.status, request.responseText));
      await obtainToken();
      send(path, form, progress).then(resolve, reject);
    };
    request.send(form);
  });
}

function unreached() {
  return new ApiError(0, { what: t("error.unreached"), remedy: t("error.unreached.remedy") });
}

function failure(status, text) {
  try {
    const { error } = JSON.parse(text);
    if (error?.what) return new ApiError(status, error);
  } catch {
    // Not one of our answers: a proxy's page, perhaps.
  }
  return new ApiError(status, { what: t("error.status", { status }), remedy: t("error.status.remedy") });
}
