// Uploads that an earlier visit of this page began: what is here of them, and the way on.
// The browser does not let the page open a file by itself, so the person is asked for it.

import { look, terminate } from "./tus.js";
import { forget, recallAll } from "./upload-memory.js";
import { megabytes, percent } from "./upload-row.js";

const section = document.getElementById("unfinished");
const list = document.getElementById("unfinished-list");
const template = document.getElementById("unfinished-row");

/** {element, offset} of what is shown, by the key of its file. */
const shown = new Map();

/** Keys of files that were chosen, perhaps before the server had answered. */
const taken = new Set();

/** Ask the server about everything that is remembered, and show what it still has. */
export async function showUnfinished({ say, choose }) {
  for (const entry of recallAll()) {
    let found;
    try {
      found = await look(entry.address);
    } catch {
      continue; // Not reachable now; choosing the file goes on all the same.
    }
    // What is not there now may belong to who logs in later; it is forgotten when it expires.
    if (found?.submission) forget(entry.key);
    else if (found && !taken.has(entry.key)) show(entry, found.offset, { say, choose });
  }
  if (shown.size > 0) say(`Unfinished from an earlier visit: ${shown.size}.`);
}

/** The file was chosen: no need to ask for it any longer. How many bytes of it are here. */
export function takeUnfinished(key) {
  taken.add(key);
  const offset = shown.get(key)?.offset ?? 0;
  hide(key);
  return offset;
}

function show({ key, name, size, address }, offset, { say, choose }) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.querySelector(".upload-name").textContent = name;
  row.querySelector(".upload-note").textContent =
    `${percent(offset, size)}% of ${megabytes(size)} is uploaded`;
  const [go, discard] = row.querySelectorAll("button");
  go.setAttribute("aria-label", `Choose ${name} again to go on`);
  go.addEventListener("click", choose);
  discard.setAttribute("aria-label", `Discard ${name}`);
  discard.addEventListener("click", () => {
    terminate(address);
    forget(key);
    hide(key);
    say(`${name} was discarded.`);
    document.getElementById("video-input").focus();
  });
  list.append(row);
  shown.set(key, { element: row, offset });
  section.hidden = false;
}

function hide(key) {
  shown.get(key)?.element.remove();
  shown.delete(key);
  section.hidden = shown.size === 0;
}
