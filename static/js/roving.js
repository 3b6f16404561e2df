// In a group marked data-roving, Tab stops once and the arrow keys move on: a
// timeline with a hundred marks must not be a hundred stops.

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

document.addEventListener("keydown", (event) => {
  const group = event.target.closest?.("[data-roving]");
  if (!group || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...group.querySelectorAll("a")];
  const here = links.indexOf(event.target.closest("a"));
  let next = -1;
  if (event.key in STEPS) next = here + STEPS[event.key];
  else if (event.key === "Home") next = 0;
  else if (event.key === "End") next = links.length - 1;
  if (next < 0 || next >= links.length) return;
  event.preventDefault();
  links[next].focus();
});

document.addEventListener("focusin", (event) => {
  const group = event.target.closest?.("[data-roving]");
  const link = event.target.closest?.("a");
  if (!group || !link) return;
  for (const stop of group.querySelectorAll('a[tabindex="0"]')) stop.setAttribute("tabindex", "-1");
  link.setAttribute("tabindex", "0");
});

document.addEventListener("htmx:afterSettle", prepare);
prepare();

function prepare() {
  for (const group of document.querySelectorAll("[data-roving]")) {
    if (group.querySelector('a[tabindex="0"]')) continue;
    const [first, ...others] = group.querySelectorAll("a");
    first?.setAttribute("tabindex", "0");
    for (const other of others) other.setAttribute("tabindex", "-1");
  }
}
