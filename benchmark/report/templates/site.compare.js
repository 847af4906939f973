(() => {
  // Rows that are picked stand side by side: figures, samples, neighbours and loss.
  const dialog = document.getElementById("compare");
  const button = document.getElementById("compare-picked");
  if (button) {
    const picks = [...document.querySelectorAll(".pick")];
    const state = () => {
      const count = picks.filter((pick) => pick.checked).length;
      button.disabled = count < 2;
      button.textContent = count < 2 ? "Pick rows to compare" : `Compare ${count} rows`;
    };
    const add = (to, name, ...nodes) => {
      const title = document.createElement("h4");
      title.textContent = name;
      to.append(title, ...nodes);
    };
    const picture = (section, cell) => {
      const found = [...document.querySelectorAll(`#${section} figure`)].find((figure) => figure.dataset.cell === cell);
      return found?.querySelector("img").cloneNode();
    };
    const none = (words) => Object.assign(document.createElement("p"), { className: "note", textContent: words });
    const curve = (row) => [...document.getElementById("curves").content.children].find((svg) => svg.dataset.training === row.dataset.training);
    const column = (pick) => {
      const row = pick.closest("tr");
      const heads = row.closest("table").tHead.rows[0].cells;
      const made = document.createElement("article");
      const list = document.createElement("dl");
      for (const cell of row.cells) {
        const term = Object.assign(document.createElement("dt"), { textContent: heads[cell.cellIndex].textContent.trim() });
        const fact = document.createElement("dd");
        fact.textContent = [...cell.childNodes].filter((n) => !n.classList?.contains("who")).map((n) => n.textContent.trim()).join(" ");
        list.append(term, fact);
      }
      made.append(list);
      add(made, "Samples", picture("samples", pick.value) ?? none("no picture"));
      add(made, "Nearest training images", picture("neighbours", pick.value) ?? none("not looked for"));
      add(made, "Loss", curve(row)?.cloneNode(true) ?? none("not trained in this run"));
      return made;
    };
    picks.forEach((pick) => pick.addEventListener("change", state));
    button.addEventListener("click", () => {
      dialog.querySelector(".side").replaceChildren(...picks.filter((pick) => pick.checked).map(column));
      dialog.showModal();
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    state();
  }

  // Charts are saved as they are seen: with the colours in place of their names.
  for (const save of document.querySelectorAll(".save-chart")) {
    save.addEventListener("click", () => {
      const seen = save.closest("figure").querySelector("svg");
      const style = getComputedStyle(document.documentElement);
      const named = new XMLSerializer().serializeToString(seen);
      const content = named.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim().replaceAll('"', "'"));
      const paper = content.replace(/(<svg[^>]*>)/, `$1<rect width="100%" height="100%" fill="${style.getPropertyValue("--paper").trim()}"/>`);
      save.href = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(paper)}`;
    });
  }
})();
