// A face, a mark or any place on a timeline moves the player to its moment, and the
// player shows where it is. Whatever has data-seek has a moment. The listeners sit on
// the document, because the result may replace the progress at any time.

const NEARBY_SECONDS = 0.25;

/** [{time, links}], by time; put together when it is first needed. */
let moments = null;
let lit = [];

document.addEventListener("htmx:afterSettle", () => {
  moments = null;
});

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const time = timeOf(event);
  const player = document.getElementById("player");
  if (time === null || !player) return;
  event.preventDefault();
  if (player.error) {
    bringIntoView(document.getElementById("player-failed"));
    return;
  }
  player.pause();
  player.currentTime = time;
  bringIntoView(player);
  show(time);
});

// Errors and time updates of media elements do not bubble; they can be captured.
document.addEventListener("error", (event) => {
  if (event.target.id === "player") giveUp(event.target);
}, true);

document.addEventListener("timeupdate", (event) => {
  if (event.target.id === "player") show(event.target.currentTime);
}, true);

// The error of a player that came with the page may be older than this script.
const early = document.getElementById("player");
if (early?.error) giveUp(early);

function giveUp(player) {
  player.hidden = true;
  document.getElementById("player-failed").hidden = false;
}

/** The moment that was clicked on, in seconds; null when it was something else. */
function timeOf(event) {
  const link = event.target.closest("[data-seek]");
  if (link) return Number(link.dataset.seek);
  const timeline = event.target.closest("[data-length]");
  if (!timeline) return null;
  const box = timeline.getBoundingClientRect();
  const inset = Number(timeline.dataset.inset) / 100;
  const share = ((event.clientX - box.left) / box.width - inset) / (1 - 2 * inset);
  return Number(timeline.dataset.length) * Math.min(Math.max(share, 0), 1);
}

function bringIntoView(element) {
  const box = element.getBoundingClientRect();
  if (box.bottom >= 80 && box.top <= window.innerHeight - 80) return;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
}

/** Light up the faces and marks nearest to this moment, and move the line of each timeline. */
function show(time) {
  for (const link of lit) link.classList.remove("is-here");
  lit = nearest(time);
  for (const link of lit) link.classList.add("is-here");
  for (const timeline of document.querySelectorAll("[data-length]")) {
    const inset = Number(timeline.dataset.inset);
    const share = Math.min(time / Number(timeline.dataset.length), 1);
    const x = `${(inset + (100 - 2 * inset) * share).toFixed(2)}%`;
    const line = timeline.querySelector(".playhead");
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    line.removeAttribute("visibility");
  }
}

function nearest(time) {
  moments ??= allMoments();
  let low = 0;
  let high = moments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle].time < time) low = middle + 1;
    else high = middle;
  }
  const apart = (moment) => Math.abs(moment.time - time);
  const around = moments.slice(Math.max(low - 1, 0), low + 1);
  const [first] = around.sort((a, b) => apart(a) - apart(b));
  return first && apart(first) < NEARBY_SECONDS ? first.links : [];
}

function allMoments() {
  const byTime = new Map();
  for (const link of document.querySelectorAll("[data-seek]")) {
    const time = Number(link.dataset.seek);
    if (!byTime.has(time)) byTime.set(time, []);
    byTime.get(time).push(link);
  }
  return [...byTime].map(([time, links]) => ({ time, links })).sort((a, b) => a.time - b.time);
}
