"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = (theme) => { root.dataset.theme = theme; };
  let chosen = null;
  paint(dark.matches ? "dark" : "light");
  root.classList.add("scripted");
  dark.addEventListener("change", () => chosen || paint(dark.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    paint(chosen);
  });
  let before = null, opened = [];
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    paint("light");
    opened = [...document.querySelectorAll("details:not([open], .video, .columns, .claims details)")];
    opened.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => {
    if (before) paint(before);
    opened.forEach((part) => { part.open = false; });
  });

  // Values on hovering and on focus.
  const tip = document.getElementById("tip");
  const show = (title, lines, x, y) => {
    const name = document.createElement("b");
    name.textContent = title;
    tip.replaceChildren(name, ...lines.flatMap((line) => [line, document.createElement("br")]));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y - box.height - 14 > 0 ? y - box.height - 14 : y + 18}px`;
  };
  let focused = null;  // tells the values of what has the focus, which scrolling moves
  const hide = () => { tip.hidden = true; };
  addEventListener("scroll", () => (focused && !tip.hidden ? focused() : hide()), { passive: true });
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  for (const point of document.querySelectorAll(".told")) {
    const title = point.querySelector("title");
    const [name, ...lines] = title.textContent.split("\n");
    title.remove();  // or the browser would tell the same a second time
    const tell = () => {
      const box = point.getBoundingClientRect();
      show(name, lines, box.x + box.width / 2, box.y);
    };
    point.addEventListener("pointerenter", tell);
    point.addEventListener("focus", () => { focused = tell; tell(); });
    point.addEventListener("pointerleave", hide);
    point.addEventListener("blur", () => { focused = null; hide(); });
  }

  // Pictures grow on a click.
  const zoom = document.getElementById("zoom");
  for (const button of document.querySelectorAll(".enlarge")) {
    button.addEventListener("click", () => {
      const small = button.querySelector("img");
      const large = zoom.querySelector("img");
      large.src = small.src;
      large.alt = small.alt;
      large.style.width = `min(90vw, ${76 * small.naturalWidth / small.naturalHeight}vh)`;
      zoom.querySelector("p").textContent = [...small.closest("figure").querySelectorAll("figcaption *")].map((part) => part.textContent).join(": ");
      const save = zoom.querySelector("a");
      save.href = small.src;
      save.download = `${zoom.querySelector("p").textContent.replace(/[^\w=.-]+/g, "-").slice(0, 60)}.webp`;
      zoom.showModal();
    });
  }
  zoom.addEventListener("click", (event) => event.target === zoom && zoom.close());

  // The sliders through the scales of the guidance, with the pictures of the gallery below them.
  for (const scales of document.querySelectorAll(".scales")) {
    const [range, output] = scales.querySelectorAll("input, output");
    const figures = [...scales.querySelectorAll("figure")];
    for (const figure of figures) {
      const grid = document.querySelector(`.grids [data-cell="${figure.dataset.of}"] img`);
      figure.prepend(grid.cloneNode());
    }
    const choose = () => {
      figures.forEach((figure, i) => figure.classList.toggle("chosen", i === Number(range.value)));
      output.textContent = figures[Number(range.value)].querySelector("figcaption").textContent;
      range.setAttribute("aria-valuetext", output.textContent);
    };
    range.addEventListener("input", choose);
    choose();
  }

  // The slider through the generation.
  const slider = document.getElementById("frame");
  if (!slider) return;
  const select = document.getElementById("movie");
  const screens = [...document.querySelectorAll(".screen")];
  const output = document.getElementById("step");
  const play = document.getElementById("play");
  let timer = null;
  const turn = () => {
    const screen = screens[select.selectedIndex];
    const steps = JSON.parse(screen.dataset.steps);
    const frame = Number(slider.value);
    screen.querySelector("img").style.transform = `translateX(${-100 * frame / Number(screen.dataset.frames)}%)`;
    output.textContent = `step ${steps[frame]} of ${steps[steps.length - 1]}`;
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const choose = () => {
    stop();
    screens.forEach((screen, i) => { screen.hidden = i !== select.selectedIndex; });
    slider.max = Number(screens[select.selectedIndex].dataset.frames) - 1;
    slider.value = slider.max;
    turn();
  };
  slider.addEventListener("input", () => { stop(); turn(); });
  select.addEventListener("change", choose);
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (slider.value === slider.max) slider.value = 0;
    play.textContent = "Pause";
    const pause = Math.max(60, 4000 / (Number(slider.max) + 1));
    timer = setInterval(() => {
      if (slider.value === slider.max) { stop(); return; }
      slider.value = Number(slider.value) + 1;
      turn();
    }, pause);
  });
  choose();
  for (const [id, made] of [["save", ".video img"], ["save-mp4", ".video video"]]) {
    const save = document.getElementById(id);
    if (save) save.href = document.querySelector(made).src;
  }
})();
