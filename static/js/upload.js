// Sends the chosen videos one by one with progress, and says what became of each.
// Without this script the form is sent as a whole and the server says the same.

const form = document.getElementById("upload-form");
const input = document.getElementById("video-input");
const zone = document.getElementById("drop-zone");
const list = document.getElementById("upload-list");
const button = document.getElementById("upload-button");
const done = document.getElementById("upload-done");
const statusLine = document.getElementById("upload-status");
const template = document.getElementById("upload-row");

const maxMegabytes = Number(form.dataset.maxMb);
const maxFiles = Number(form.dataset.maxFiles);
const extensions = form.dataset.extensions.split(",");

/**
 * Chosen files: {file, row, state, reason, url, request}. The state is "ready", "sending",
 * "checking" (the server has it all), and in the end "done" or "refused".
 */
const items = [];
let sending = false;

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
  sendAll();
});

window.addEventListener("beforeunload", (event) => {
  if (sending) event.preventDefault();
});

function add(files) {
  const refused = [];
  for (const file of files) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector(".upload-name").textContent = file.name;
    row.querySelector(".upload-size").textContent = megabytes(file.size);
    row.querySelector(".upload-progress").setAttribute("aria-label", `Upload of ${file.name}`);
    const item = { file, row, state: "ready", reason: "", url: "", request: null };
    row.querySelector(".upload-cancel").addEventListener("click", () => remove(item));
    items.push(item);
    list.append(row);
    label(item, "Remove");
    note(item, "Ready");
    const refusal = check(file);
    if (refusal) {
      refuse(item, refusal);
      refused.push(item);
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
  return "";
}

async function sendAll() {
  const ready = items.filter((item) => item.state === "ready");
  if (sending) return;
  if (ready.length === 0) {
    say("Choose at least one video first.");
    input.focus();
    return;
  }
  sending = true;
  button.disabled = true;
  for (const item of ready) {
    if (item.state !== "ready") continue; // Removed while another was sent.
    say(`Uploading ${item.file.name}.`);
    await send(item);
  }
  sending = false;
  button.disabled = false;
  finish();
}

function send(item) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const bar = item.row.querySelector(".upload-progress");
    const began = performance.now();
    item.state = "sending";
    item.request = request;
    label(item, "Cancel");

    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const share = event.loaded / event.total;
      const seconds = (performance.now() - began) / 1000;
      bar.value = Math.round(share * 100);
      const rate = seconds > 0.3 ? `, ${megabytes(event.loaded / seconds)}/s` : "";
      note(item, `${bar.value}%${rate}`);
    });
    request.upload.addEventListener("load", () => {
      // The server has it all and goes on with it, whether we wait for the answer or not.
      item.state = "checking";
      item.row.querySelector(".upload-cancel").disabled = true;
      note(item, "Checking the file…");
    });
    request.addEventListener("load", () => {
      const answer = request.response;
      if (request.status === 201 && answer?.url) accept(item, answer.url);
      else refuse(item, answer?.error?.sentence ?? explain(request.status));
      resolve();
    });
    request.addEventListener("error", () => {
      refuse(item, "The connection broke. Nothing was kept; choose the file again to retry.");
      resolve();
    });
    request.addEventListener("abort", () => {
      refuse(item, "You canceled this upload.");
      resolve();
    });

    const data = new FormData();
    data.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    data.append("sampling", form.elements.sampling.value);
    data.append("video", item.file, item.file.name);
    request.open("POST", form.action);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    request.send(data);
  });
}

function finish() {
  const sent = items.filter((item) => item.state === "done");
  const refused = items.filter((item) => item.state === "refused");
  if (sent.length === 1 && refused.length === 0) {
    window.location.assign(sent[0].url);
  } else if (sent.length > 0 && refused.length === 0) {
    window.location.assign(form.dataset.listUrl);
  } else {
    done.hidden = sent.length === 0;
    say(`${sent.length} uploaded, ${refused.length} not. ${reasons(refused)}`);
  }
}

function accept(item, url) {
  item.state = "done";
  item.url = url;
  item.row.classList.add("is-done");
  item.row.querySelector(".upload-progress").value = 100;
  const link = document.createElement("a");
  link.href = url;
  link.textContent = "Uploaded. Follow the analysis";
  item.row.querySelector(".upload-note").replaceChildren(link);
  item.row.querySelector(".upload-cancel").remove();
}

function refuse(item, sentence) {
  item.state = "refused";
  item.reason = sentence;
  item.row.classList.add("is-refused");
  item.row.querySelector(".upload-progress").hidden = true;
  note(item, `Not uploaded. ${sentence}`);
  label(item, "Remove");
}

/** For who cannot see the rows: which files were refused, and why. */
function reasons(refused) {
  return refused.map((item) => `${item.file.name} not uploaded: ${item.reason}`).join(" ");
}

function remove(item) {
  if (item.state === "sending") {
    item.request.abort();
    return;
  }
  items.splice(items.indexOf(item), 1);
  item.row.remove();
  list.hidden = items.length === 0;
  input.focus();
}

function explain(status) {
  if (status === 403) return "The page is too old or you were logged out. Load it again.";
  if (status === 413) return "The server does not take files this large.";
  return `The server could not take the file (status ${status}). Try again in a moment.`;
}

function note(item, text) {
  item.row.querySelector(".upload-note").textContent = text;
}

function label(item, text) {
  const cancel = item.row.querySelector(".upload-cancel");
  cancel.disabled = false;
  cancel.textContent = text;
  cancel.setAttribute("aria-label", `${text} ${item.file.name}`);
}

function say(text) {
  statusLine.textContent = text;
}

function countOf(state) {
  return items.filter((item) => item.state === state).length;
}

function megabytes(bytes) {
  const size = bytes / 1024 / 1024;
  if (bytes > 0 && size < 0.1) return "under 0.1 MB";
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} MB`;
}
