// Sends the chosen videos one after the other, and says what became of each.
// Without this script the form is sent as a whole and the server says the same.

import { Refused, Stopped, Upload } from "./tus.js";
import { forget, keyOf, recall, remember } from "./upload-memory.js";
import { Pace, Row, megabytes, percent, progressWords } from "./upload-row.js";
import { showUnfinished, takeUnfinished } from "./upload-unfinished.js";

const form = document.getElementById("upload-form");
const input = document.getElementById("video-input");
const zone = document.getElementById("drop-zone");
const list = document.getElementById("upload-list");
const done = document.getElementById("upload-done");
const statusLine = document.getElementById("upload-status");
const template = document.getElementById("upload-row");

const maxMegabytes = Number(form.dataset.maxMb);
const maxFiles = Number(form.dataset.maxFiles);
const extensions = form.dataset.extensions.split(",");

/** What may be tried again: logged out, gone, too many at once, no room on the disk. */
const MENDABLE = new Set([401, 403, 404, 410, 429, 507]);

/**
 * Chosen files: {file, row, upload, state, reason, url}. The state is "ready", "queued" when
 * it was asked for, "sending", "checking" (the server has it all), "paused", and in the end
 * "done", "refused", or "failed" when it can be tried again.
 */
const items = [];
let isRunning = false;

input.required = false; // Files may be dropped instead of chosen.
zone.classList.add("is-scripted"); // The list says what is chosen, so the input need not.

input.addEventListener("change", () => {
  add(input.files);
  input.value = "";
});

// On the whole page: a file dropped beside the zone would be opened instead of this page,
// and with the page the list of chosen files would be gone.
for (const type of ["dragenter", "dragover", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const inside = zone.contains(event.target);
    event.dataTransfer.dropEffect = inside ? "copy" : "none";
    zone.classList.toggle("is-over", inside && type !== "drop");
    if (inside && type === "drop") add(event.dataTransfer.files);
  });
}
zone.addEventListener("dragleave", (event) => {
  if (!zone.contains(event.relatedTarget)) zone.classList.remove("is-over");
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  for (const item of items) if (item.state === "ready") queue(item);
  if (countOf("queued") === 0 && !isRunning) {
    say("Choose at least one video first.");
    input.focus();
    return;
  }
  run();
});

window.addEventListener("beforeunload", (event) => {
  if (isRunning) event.preventDefault();
});

showUnfinished({ say, choose: () => input.click() });

function add(files) {
  const refused = [];
  for (const file of files) {
    const item = { file, row: null, upload: null, state: "", reason: "", url: "" };
    item.row = new Row(template, file, {
      onPause: () => pauseOrGoOn(item),
      onEnd: () => remove(item),
    });
    items.push(item);
    list.append(item.row.element);
    change(item, "ready", "Ready");
    const reason = check(file);
    if (reason) {
      refuse(item, reason);
      refused.push(item);
    } else {
      prepare(item);
    }
  }
  list.hidden = items.length === 0;
  say(`${countOf("ready")} ready to upload. ${reasons(refused)}`);
}

/** What the server would say too, without sending anything first. */
function check(file) {
  const name = file.name.toLowerCase();
  if (!extensions.some((extension) => name.endsWith(extension))) {
    return "This is not a video FrameVote knows by its name.";
  }
  if (file.size === 0) return "The file is empty.";
  if (file.size > maxMegabytes * 1024 * 1024) {
    return `The file is larger than the ${maxMegabytes} MB allowed.`;
  }
  if (countOf("ready") > maxFiles) return `At most ${maxFiles} videos can be uploaded at once.`;
  if (items.some((other) => other.upload && keyOf(other.file) === keyOf(file))) {
    return "You chose this file already.";
  }
  return "";
}

/** Get the upload ready, from where an earlier one stopped if there is one. */
function prepare(item) {
  const { file, row } = item;
  const key = keyOf(file);
  let pace = new Pace();
  item.upload = new Upload(file, {
    endpoint: form.dataset.uploadsUrl,
    metadata: () => ({ filename: file.name, sampling: form.elements.sampling.value }),
    address: recall(key)?.address ?? null,
    on: {
      address: (path, expires) => (path ? remember(file, path, expires) : forget(key)),
      progress: (bytes) => {
        pace.add(bytes);
        row.progress(bytes);
        row.note(progressWords(bytes, file.size, pace.rate()));
      },
      checking: () => change(item, "checking", "Checking the file…"),
      waiting: (seconds, isLine) => {
        pace = new Pace();
        const what = isLine ? "The connection is lost" : "The server is busy";
        change(item, "sending", `${what}. Trying again in ${seconds} s.`);
        say(`${file.name}: ${what.toLowerCase()}. It goes on by itself.`);
      },
      going: () => say(`${file.name} goes on.`),
    },
  });
  const here = takeUnfinished(key);
  if (here) {
    row.progress(here);
    row.note(`Ready. ${percent(here, file.size)}% of ${megabytes(file.size)} is uploaded already.`);
  }
}

function queue(item) {
  change(item, "queued", "Waits for its turn");
}

async function run() {
  if (isRunning) return;
  isRunning = true;
  for (;;) {
    const item = items.find((candidate) => candidate.state === "queued");
    if (!item) break;
    await send(item);
  }
  isRunning = false;
  finish();
}

async function send(item) {
  change(item, "sending", "Begins");
  say(`Uploading ${item.file.name}.`);
  try {
    accept(item, await item.upload.run());
  } catch (error) {
    if (error instanceof Stopped) return; // Whoever stopped it has said so.
    if (!(error instanceof Refused)) {
      refuse(item, "Something went wrong in this page. Load it again.");
      throw error;
    }
    const isMendable = MENDABLE.has(error.status);
    if (!isMendable || error.status === 404 || error.status === 410) {
      item.upload.address = null;
      forget(keyOf(item.file));
    }
    if (!isMendable) item.upload = null;
    refuse(item, error.message, isMendable);
  }
}

function pauseOrGoOn(item) {
  if (item.state === "sending" || item.state === "queued") {
    item.upload.pause();
    change(item, "paused", `Paused at ${item.row.bar.value}%`);
    say(`${item.file.name} is paused.`);
  } else {
    queue(item);
    run();
  }
}

function remove(item) {
  if (["sending", "queued", "paused"].includes(item.state)) {
    item.upload.end();
    forget(keyOf(item.file));
    refuse(item, "You canceled this upload.");
    item.upload = null;
    say(`The upload of ${item.file.name} was canceled.`);
    return;
  }
  items.splice(items.indexOf(item), 1);
  item.row.element.remove();
  list.hidden = items.length === 0;
  input.focus();
}

function finish() {
  const sent = items.filter((item) => item.state === "done");
  const refused = items.filter((item) => item.state === "refused" || item.state === "failed");
  const waiting = countOf("paused") + countOf("ready");
  if (sent.length === 1 && refused.length + waiting === 0) {
    window.location.assign(sent[0].url);
  } else if (sent.length > 0 && refused.length + waiting === 0) {
    window.location.assign(form.dataset.listUrl);
  } else {
    done.hidden = sent.length === 0;
    const paused = countOf("paused") ? `, ${countOf("paused")} paused` : "";
    if (sent.length + refused.length > 0) {
      say(`${sent.length} uploaded, ${refused.length} not${paused}. ${reasons(refused)}`);
    }
  }
}

function accept(item, submission) {
  item.state = "done";
  item.upload = null;
  item.url = `${form.dataset.listUrl}${submission}/`;
  item.row.link(item.url);
  forget(keyOf(item.file));
}

function refuse(item, sentence, isMendable = false) {
  item.reason = sentence;
  change(item, isMendable ? "failed" : "refused", `Not uploaded. ${sentence}`);
}

function change(item, state, note) {
  item.state = state;
  item.row.show(state, note);
}

/** For who cannot see the rows: which files were refused, and why. */
function reasons(refused) {
  return refused.map((item) => `${item.file.name} not uploaded: ${item.reason}`).join(" ");
}

function say(text) {
  statusLine.textContent = text;
}

function countOf(state) {
  return items.filter((item) => item.state === state).length;
}
