// A face or a mark on a timeline moves the player to its moment. The listeners
// sit on the document, because the result may replace the progress at any time.

const NEARBY_SECONDS = 0.25;

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const link = event.target.closest("[data-seek]");
  const player = document.getElementById("player");
  if (!link || !player || player.error) return;
  event.preventDefault();
  seek(player, Number(link.dataset.seek));
  highlight(link.dataset.face);
});

// Errors and time updates of media elements do not bubble; they can be captured.
document.addEventListener("error", (event) => {
  if (event.target.id !== "player") return;
  event.target.hidden = true;
  document.getElementById("player-failed").hidden = false;
}, true);

document.addEventListener("timeupdate", (event) => {
  if (event.target.id === "player") highlight(faceAt(event.target.currentTime));
}, true);

// The error of a player that came with the page may be older than this script.
const early = document.getElementById("player");
if (early?.error) {
  early.hidden = true;
  document.getElementById("player-failed").hidden = false;
}

function seek(player, time) {
  player.pause();
  player.currentTime = time;
  const box = player.getBoundingClientRect();
  if (box.bottom < 80 || box.top > window.innerHeight - 80) {
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    player.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
  }
}

/** The face sampled nearest to this moment, if any is near. */
function faceAt(time) {
  let nearest = null;
  let distance = NEARBY_SECONDS;
  for (const mark of document.querySelectorAll(".mark")) {
    const apart = Math.abs(Number(mark.dataset.seek) - time);
    if (apart < distance) {
      distance = apart;
      nearest = mark.dataset.face;
    }
  }
  return nearest;
}

function highlight(face) {
  for (const old of document.querySelectorAll(".is-here")) old.classList.remove("is-here");
  if (face === null || face === undefined) return;
  document.getElementById(`face-${face}`)?.classList.add("is-here");
  document.querySelector(`.mark[data-face="${face}"]`)?.classList.add("is-here");
}
