// One file's way to the server through tus 1.0.0 (https://tus.io/protocols/resumable-upload):
// in pieces, and on again from where it was after a broken connection, a pause or a reload.

const VERSION = "1.0.0";
const PIECE_BYTES = 8 * 1024 * 1024;
const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 30;
const SILENCE_MS = 30_000; // Longer than that, and the connection is dead though nobody said so.
const CHECKING_MS = 10 * 60_000; // The server reads a large file once more before it answers.

/** Conflicts and locks end by themselves, as the failures of servers and proxies may. */
const PASSING = new Set([0, 408, 409, 423, 425, 500, 502, 503, 504]);
const GONE = new Set([404, 410]);

/** What the site calls the cookie depends on whether it is served over HTTPS. */
const CSRF_COOKIE = document.querySelector("[data-csrf-cookie]").dataset.csrfCookie;

/** The server will not take this file, and asking again would not help. */
export class Refused extends Error {
  constructor(sentence, { code = "", status = 0 } = {}) {
    super(sentence);
    this.code = code;
    this.status = status;
  }
}

/** `pause` or `end` was called. */
export class Stopped extends Error {}

/** The request may go well another time, after so many seconds if the server says so. */
class Failed extends Error {
  constructor({ status, retryAfter }) {
    super(`status ${status}`);
    this.isLine = status === 0; // Nothing came back at all.
    this.least = retryAfter;
  }
}

export class Upload {
  /**
   * `address` is where an earlier upload of this file may go on. `on` has functions that are
   * told: `address(path, expires)` where the upload lives, or null when that is no more;
   * `progress(bytes)`; `checking()` when the server has it all; `waiting(seconds, isLine)`
   * after a failure; `going()` when it goes on after that.
   */
  constructor(file, { endpoint, metadata, address = null, on }) {
    this.file = file;
    this.endpoint = endpoint;
    this.metadata = metadata;
    this.address = address;
    this.on = on;
    this.offset = 0;
    this.isInStep = false; // Whether `offset` is surely the server's.
    this.isNew = false;
    this.submission = null;
    this.stopped = false;
    this.request = null;
    this.wake = () => {};
  }

  /** Upload to the end; the id of the submission. Throws Refused or Stopped. */
  async run() {
    this.stopped = false;
    let failures = 0;
    while (!this.submission) {
      try {
        if (this.stopped) throw new Stopped();
        await this.#step();
        if (failures > 0) this.on.going();
        failures = 0;
      } catch (error) {
        if (this.stopped) throw new Stopped();
        if (!(error instanceof Failed)) throw error;
        this.isInStep = false;
        await this.#checkFile();
        failures += 1;
        await this.#wait(failures, error);
      }
    }
    return this.submission;
  }

  /** Stop sending; `run` goes on later. */
  pause() {
    this.stopped = true;
    this.request?.abort();
    this.wake();
  }

  /** Stop, and have the server remove what it has. */
  async end() {
    this.pause();
    if (this.address) await terminate(this.address);
  }

  async #step() {
    if (!this.address) await this.#begin();
    else if (!this.isInStep) await this.#ask();
    else await this.#send();
  }

  async #begin() {
    const answer = await this.#talk("POST", this.endpoint, {
      "Upload-Length": this.file.size,
      "Upload-Metadata": encoded(this.metadata()),
    });
    // Of the address only the path: a proxy may have hidden the host's real name.
    this.address = new URL(answer.getResponseHeader("Location"), document.baseURI).pathname;
    this.offset = 0;
    this.isInStep = true;
    this.isNew = true;
    this.#tell(answer);
  }

  async #ask() {
    try {
      this.#heed(await this.#talk("HEAD", this.address));
    } catch (error) {
      if (!GONE.has(error.status) || this.isNew) throw error;
      // What an earlier visit left was removed meanwhile, so this begins anew.
      this.address = null;
      this.on.address(null);
    }
  }

  async #send() {
    const start = this.offset;
    const end = Math.min(start + PIECE_BYTES, this.file.size);
    const headers = { "Upload-Offset": start, "Content-Type": "application/offset+octet-stream" };
    const answer = await this.#talk("PATCH", this.address, headers, {
      body: this.file.slice(start, end),
      progress: (loaded) => this.on.progress(Math.min(start + loaded, end)),
      sent: () => end === this.file.size && this.on.checking(),
    });
    this.#heed(answer);
  }

  #heed(answer) {
    this.offset = Number(answer.getResponseHeader("Upload-Offset"));
    this.submission = answer.getResponseHeader("FrameVote-Submission");
    this.isInStep = true;
    this.on.progress(this.offset);
    if (!this.submission) this.#tell(answer);
  }

  #tell(answer) {
    this.on.address(this.address, Date.parse(answer.getResponseHeader("Upload-Expires")));
  }

  async #talk(method, address, headers = {}, sending = {}) {
    return talk(method, address, headers, {
      ...sending,
      started: (request) => {
        this.request = request;
      },
    });
  }

  /** A file that was moved or changed fails like a broken connection, but for ever. */
  async #checkFile() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Refused("The file cannot be read any more. Choose it again.");
    }
  }

  async #wait(failures, { isLine, least }) {
    const longest = Math.min(FIRST_WAIT_S * 2 ** (failures - 1), LONGEST_WAIT_S);
    // Not everybody at the same moment.
    const seconds = Math.max(least, longest * (0.75 + Math.random() / 4));
    this.on.waiting(Math.ceil(seconds), isLine);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      window.addEventListener("online", this.wake, { once: true });
    });
    window.removeEventListener("online", this.wake);
    this.wake = () => {};
  }
}

/** How much of an earlier upload is here: {offset, submission}, null when it is gone. */
export async function look(address) {
  try {
    const answer = await talk("HEAD", address);
    return {
      offset: Number(answer.getResponseHeader("Upload-Offset")),
      submission: answer.getResponseHeader("FrameVote-Submission"),
    };
  } catch (error) {
    if (GONE.has(error.status)) return null;
    throw error;
  }
}

/** Have the server remove an upload; it may still be busy with its last piece. */
export async function terminate(address) {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    try {
      await talk("DELETE", address);
      return;
    } catch (error) {
      if (!(error instanceof Failed)) return; // It is gone already.
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
  // Then it runs out by itself.
}

/** One request; its answer, or Refused or Failed. */
function talk(method, address, headers = {}, { body = null, progress, sent, started } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer = 0;
    const giveUpAfter = (milliseconds) => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), milliseconds);
    };
    request.upload.addEventListener("progress", (event) => {
      giveUpAfter(SILENCE_MS);
      progress?.(event.loaded);
    });
    request.upload.addEventListener("load", () => {
      giveUpAfter(CHECKING_MS);
      sent?.();
    });
    request.addEventListener("loadend", () => {
      clearTimeout(timer);
      const { status } = request;
      if (status >= 200 && status < 300) resolve(request);
      else if (PASSING.has(status) || retryAfter(request)) {
        reject(new Failed({ status, retryAfter: retryAfter(request) }));
      } else reject(refusal(request));
    });
    request.open(method, address);
    request.setRequestHeader("Tus-Resumable", VERSION);
    if (method !== "HEAD") request.setRequestHeader("X-CSRFToken", csrfToken());
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    started?.(request);
    giveUpAfter(SILENCE_MS);
    request.send(body);
  });
}

/** Seconds; 0 where the server names none. */
function retryAfter(request) {
  return Number(request.getResponseHeader("Retry-After")) || 0;
}

function refusal(request) {
  const { status } = request;
  let error = {};
  try {
    error = JSON.parse(request.responseText).error ?? {};
  } catch {
    // A proxy's page, or the empty answer to HEAD.
  }
  return new Refused(sentence(status, error), { code: error.code, status });
}

function sentence(status, { code, message }) {
  if (status === 401 || code === "csrf_failed") {
    return "The page is too old or you were logged out. Load it again.";
  }
  if (GONE.has(status)) return "What was uploaded is not on the server any more. Try again.";
  if (message) return message;
  if (status === 413) return "The server does not take files this large.";
  return `The server could not take the file (status ${status}). Try again in a moment.`;
}

/** Read anew for every request: a log-in in another tab changes it. */
function csrfToken() {
  const cookie = document.cookie.split("; ").find((one) => one.startsWith(`${CSRF_COOKIE}=`));
  return cookie?.slice(CSRF_COOKIE.length + 1) ?? "";
}

function encoded(metadata) {
  return Object.entries(metadata)
    .map(([key, value]) => `${key} ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`)
    .join(",");
}
