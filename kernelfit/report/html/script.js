// Values under the pointer and the arrow keys, series that can be switched off, figures as files. The page says all of it
// without this script, too: below each chart stand its numbers.
"use strict";
for (const panel of document.querySelectorAll(".panel")) {
  const plot = panel.querySelector(".plot"), svg = plot.querySelector("svg"), said = plot.querySelector(".value");
  const points = JSON.parse(plot.dataset.points), hidden = new Set();
  const ring = document.createElementNS(svg.namespaceURI, "circle");
  ring.setAttribute("r", "6");
  ring.setAttribute("class", "ring");
  let at = -1;

  const show = (index) => {
    at = index;
    if (at < 0) { ring.remove(); said.textContent = ""; said.classList.remove("shown"); return; }
    const [x, y, , words] = points[at], box = svg.viewBox.baseVal;
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    svg.append(ring);
    said.textContent = words;
    said.classList.add("shown");
    said.style.top = `${(100 * y) / box.height}%`;
    const room = plot.clientWidth - said.offsetWidth;
    said.style.left = `${Math.max(0, Math.min(room, (plot.clientWidth * x) / box.width - said.offsetWidth / 2))}px`;
    said.classList.toggle("below", y < box.height / 3);
  };
  const visible = () => points.map((_, index) => index).filter((index) => !hidden.has(points[index][2]));

  plot.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / frame.width;
    const x = (event.clientX - frame.left) * scale, y = (event.clientY - frame.top) * scale;
    let nearest = -1, least = 28 ** 2;
    for (const index of visible()) {
      const distance = (points[index][0] - x) ** 2 + (points[index][1] - y) ** 2;
      if (distance < least) { least = distance; nearest = index; }
    }
    show(nearest);
  });
  plot.addEventListener("pointerleave", () => show(-1));
  plot.addEventListener("blur", () => show(-1));
  plot.addEventListener("keydown", (event) => {
    const shown = visible(), series = [...new Set(shown.map((index) => points[index][2]))];
    if (!shown.length) return;
    const of = (number) => shown.filter((index) => points[index][2] === number);
    const own = at < 0 ? series[0] : points[at][2], line = of(own), place = line.indexOf(at);
    const other = (step) => {
      const next = of(series[(series.indexOf(own) + step + series.length) % series.length]);
      const nearer = (best, index) =>
        Math.abs(points[index][0] - points[at][0]) < Math.abs(points[best][0] - points[at][0]) ? index : best;
      return at < 0 ? line[0] : next.reduce(nearer);
    };
    const moves = {
      ArrowRight: () => line[Math.min(place + 1, line.length - 1)],
      ArrowLeft: () => line[Math.max(place - 1, 0)],
      ArrowUp: () => other(-1), ArrowDown: () => other(1),
      Home: () => line[0], End: () => line[line.length - 1], Escape: () => -1,
    };
    if (event.key in moves) { show(moves[event.key]()); event.preventDefault(); }
  });
  for (const button of panel.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const number = Number(button.dataset.series), on = hidden.delete(number);
      if (!on) hidden.add(number);
      button.setAttribute("aria-pressed", String(on));
      for (const part of svg.querySelectorAll(`[data-series="${number}"]`)) part.classList.toggle("off", !on);
      show(-1);
    });
  }

  // The drawing as a file of its own: in the colours that the page has now.
  const drawing = () => {
    const copy = svg.cloneNode(true), page = getComputedStyle(document.documentElement), box = svg.viewBox.baseVal;
    copy.querySelector(".ring")?.remove();
    for (const part of copy.querySelectorAll(".off")) part.remove();
    copy.setAttribute("width", 2 * box.width);
    copy.setAttribute("height", 2 * box.height);
    copy.setAttribute("style", `background: ${page.getPropertyValue("--paper")}`);
    return new XMLSerializer().serializeToString(copy)
      .replace(/var\((--c\d)\)/g, (_, name) => page.getPropertyValue(name))
      .replaceAll("currentColor", page.getPropertyValue("--ink"));
  };
  const save = (blob, ending) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${plot.dataset.name}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const files = {
    SVG: () => save(new Blob([drawing()], { type: "image/svg+xml" }), "svg"),
    PNG: () => {
      const image = new Image();
      image.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = 2 * image.width;
        canvas.height = 2 * image.height;
        const context = canvas.getContext("2d");
        context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--paper");
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob((blob) => save(blob, "png"));
      };
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing())}`;
    },
  };
  for (const [name, make] of Object.entries(files)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", make);
    panel.querySelector(".files .more").append(button);
  }
}
for (const code of document.querySelectorAll("pre.command")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
  });
  code.after(button);
}
