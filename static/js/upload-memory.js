// Remembers unfinished uploads in this browser, so that they can go on after a reload.
// A file is known again by its name, size and date; its content is not looked at.

const PREFIX = "framevote-upload:";

export function keyOf(file) {
  return `${PREFIX}${file.size}:${file.lastModified}:${file.name}`;
}

/** Keep where the upload of a file lives, until the server forgets it too. */
export function remember(file, address, expires) {
  const entry = { name: file.name, size: file.size, address, expires };
  safely((storage) => storage.setItem(keyOf(file), JSON.stringify(entry)));
}

export function forget(key) {
  safely((storage) => storage.removeItem(key));
}

/** {key, name, size, address} of what is remembered of this file, or null. */
export function recall(key) {
  return safely((storage) => understood(key, storage.getItem(key))) ?? null;
}

/** Everything that is remembered, without what has expired. */
export function recallAll() {
  const keys = safely((storage) => Object.keys(storage)) ?? [];
  return keys
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => {
      const entry = recall(key);
      if (!entry) forget(key);
      return entry;
    })
    .filter((entry) => entry);
}

function understood(key, text) {
  if (!text) return null;
  try {
    const { name, size, address, expires } = JSON.parse(text);
    if (typeof name !== "string" || typeof address !== "string" || !(size > 0)) return null;
    // Never to another site, whatever is written there.
    if (!address.startsWith("/") || address.startsWith("//")) return null;
    return expires > Date.now() ? { key, name, size, address } : null;
  } catch {
    return null;
  }
}

/** Where a browser has no storage to give, uploads cannot go on after a reload; that is all. */
function safely(use) {
  try {
    return use(window.localStorage);
  } catch {
    return undefined;
  }
}
