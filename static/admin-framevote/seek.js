/* A click on a face shows its moment in the player instead of leaving the page. */
"use strict";

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-seek]");
  const player = document.getElementById("fv-player");
  if (!link || !player || event.ctrlKey || event.metaKey || event.shiftKey) {
    return;
  }
  event.preventDefault();
  player.pause();
  player.currentTime = Number(link.dataset.seek);
  player.scrollIntoView({ block: "nearest", behavior: "smooth" });
  document.querySelectorAll(".fv-face.is-current").forEach((face) => face.classList.remove("is-current"));
  link.closest(".fv-face").classList.add("is-current");
});
