// Zooms the strips: the wheel around the pointer, dragging to move, a double click for the whole space.
// What shares physical memory with the thing under the pointer lights up, in pictures and tables.
"use strict";
const WIDTH = 1200, LEAST_WIDTH = 1.5, TICKS = 8, LEAST_SPAN = 4096;
const hex = at => "0x" + Math.round(at).toString(16).toUpperCase().padStart(8, "0");

for (const svg of document.querySelectorAll("svg.strip")) {
  const end = Number(svg.dataset.end);
  const bars = [...svg.querySelectorAll("rect[data-a]")];
  const labels = [...svg.querySelectorAll("g.ticks text")];
  let low = 0, span = end, grabbed = null;

  const draw = () => {
    for (const bar of bars) {
      const a = Number(bar.dataset.a), b = Number(bar.dataset.b);
      const seen = b > low && a < low + span;
      bar.style.display = seen ? "" : "none";
      if (!seen) continue;
      const from = Math.max(a, low), to = Math.min(b, low + span);
      bar.setAttribute("x", (from - low) / span * WIDTH);
      bar.setAttribute("width", Math.max((to - from) / span * WIDTH, LEAST_WIDTH));
    }
    labels.forEach((label, number) => { label.textContent = hex(low + span * number / TICKS); });
  };
  const look = (from, wide) => {
    span = Math.min(Math.max(wide, LEAST_SPAN), end);
    low = Math.min(Math.max(from, 0), end - span);
    draw();
  };
  const share = event => {
    const box = svg.getBoundingClientRect();
    return (event.clientX - box.left) / box.width;
  };
  svg.look = look;
  svg.addEventListener("wheel", event => {
    event.preventDefault();
    const at = low + span * share(event);
    const wide = Math.min(Math.max(span * (event.deltaY > 0 ? 1.25 : 0.8), LEAST_SPAN), end);
    look(at - wide * share(event), wide);
  }, { passive: false });
  svg.addEventListener("pointerdown", event => { grabbed = { share: share(event), low }; });
  svg.addEventListener("pointermove", event => {
    if (grabbed) look(grabbed.low - (share(event) - grabbed.share) * span, span);
  });
  for (const name of ["pointerup", "pointerleave"]) svg.addEventListener(name, () => { grabbed = null; });
  svg.addEventListener("dblclick", () => look(0, end));
}

function light(item, on) {
  const first = Number(item.dataset.p), last = first + Number(item.dataset.b) - Number(item.dataset.a);
  for (const other of document.querySelectorAll("[data-p]")) {
    const from = Number(other.dataset.p), to = from + Number(other.dataset.b) - Number(other.dataset.a);
    if (from < last && first < to) other.classList.toggle("lit", on);
  }
}

for (const item of document.querySelectorAll("[data-p]")) {
  item.addEventListener("pointerenter", () => light(item, true));
  item.addEventListener("pointerleave", () => light(item, false));
  const place = item.closest("[data-strip]");
  if (!place) continue;
  item.addEventListener("click", () => {
    const a = Number(item.dataset.a), b = Number(item.dataset.b);
    document.getElementById(place.dataset.strip).look(a - (b - a), 3 * (b - a));
  });
}
