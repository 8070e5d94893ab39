// The button: what it says, why it waits, and what happens when it is pressed.

import { find } from "./dom.js";
import { chosenFiles, inputsSent } from "./inputs.js";
import { addJobs } from "./jobs.js";
import { alertUser, clearAlert, say } from "./notice.js";
import { options } from "./options.js";
import { on, state } from "./state.js";
import { number, size, t } from "./text.js";
import { Upload } from "./upload.js";
import { chosenNames } from "./voices.js";

const upload = new Upload(write);

export function startConvert() {
  find("setup").addEventListener("submit", (event) => {
    event.preventDefault();
    if (ready() && upload.share === null) convert();
  });
  for (const topic of ["inputs", "engine", "engines", "shares", "limits"]) on(topic, write);
  document.addEventListener("textchange", write);
  write();
}

const ready = () => chosenFiles().length > 0 && state.engine && state.shares.size > 0;

function convert() {
  clearAlert();
  const bytes = chosenFiles().reduce((sum, file) => sum + file.size, 0), most = state.limits?.max_request_bytes;
  if (bytes > most) {
    return alertUser({ what: t("convert.big", { size: size(bytes) }), remedy: t("convert.big.remedy", { size: size(most) }) });
  }
  const form = new FormData();
  form.append("options", JSON.stringify(options()));
  for (const file of chosenFiles()) form.append("file", file, file.name);
  upload.send("jobs", form, (answer) => {
    inputsSent();
    say(t("convert.accepted"));
    addJobs(answer.jobs);
  });
}

function write() {
  const button = find("convert"), count = chosenFiles().length, names = chosenNames(), sent = upload.share;
  const voice = names.length > 1 ? t("convert.mixture") : (names[0] ?? "");
  let text = t("convert.go");
  if (sent !== null && sent < 1) text = t("convert.sending", { share: number(100 * sent) });
  else if (sent !== null) text = t("convert.received");
  else if (ready()) text = count > 1 ? t("convert.several", { count, voice }) : t("convert.one", { voice });
  find("convert-text").textContent = text;
  button.setAttribute("aria-disabled", String(!ready() || sent !== null));
  find("convert-why").textContent = !state.engine ? t("convert.no.engine") : count ? "" : t("convert.no.input");
}
