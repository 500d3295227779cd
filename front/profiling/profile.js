// Flame graph: a click makes a function as wide as the picture, a click on the top row shows everything again.
"use strict";
for (const svg of document.querySelectorAll("svg.flame")) {
  const WIDTH = 1200, LETTER = 6.6;
  const boxes = [...svg.querySelectorAll("g")].map(group => ({
    group, rect: group.querySelector("rect"), text: group.querySelector("text"),
    x: Number(group.dataset.x), width: Number(group.dataset.w), depth: Number(group.dataset.d),
  }));
  const look = chosen => {
    const low = chosen.x, scale = WIDTH / chosen.width, slack = 0.001;
    for (const box of boxes) {
      const above = box.depth < chosen.depth;
      const seen = box.x < low + chosen.width - slack && box.x + box.width > low + slack;
      box.group.style.display = seen ? "" : "none";
      if (!seen) continue;
      const x = above ? 0 : (box.x - low) * scale, width = above ? WIDTH : box.width * scale;
      box.rect.setAttribute("x", x);
      box.rect.setAttribute("width", width);
      box.text.setAttribute("x", x + 3);
      const name = box.text.dataset.name, letters = Math.floor((width - 6) / LETTER);
      box.text.textContent = name.length <= letters ? name : letters > 3 ? name.slice(0, letters - 1) + "…" : "";
    }
  };
  for (const box of boxes) box.group.addEventListener("click", () => look(box));
}
