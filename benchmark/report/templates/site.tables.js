(() => {
  // Tables sort by the head that is clicked; empty entries stay last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const value = (cell, head) => cell.dataset.sort || (cell.dataset.sort === "" && head.classList.contains("number") ? "" : cell.textContent.trim());
    for (const head of table.tHead.rows[0].cells) {
      head.querySelector("button")?.addEventListener("click", () => {
        const column = head.cellIndex;
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const compare = (a, b) => {
          const [x, y] = [value(a.cells[column], head), value(b.cells[column], head)];
          if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
          const numbers = Number(x) - Number(y);
          return (down ? -1 : 1) * (Number.isNaN(numbers) ? x.localeCompare(y) : numbers);
        };
        body.append(...[...body.rows].sort(compare));
      });
    }
  }

  // Rows are filtered, columns chosen and moved, and what is seen is copied.
  const seen = (cell) => getComputedStyle(cell).display !== "none";
  const text = (cell) => {
    const parts = [...cell.childNodes].filter((node) => !node.classList?.contains("who") && !["INPUT", "DETAILS"].includes(node.nodeName));
    return parts.map((node) => node.textContent.trim()).filter(Boolean).join(" ").replaceAll("\u200b", "").replace(/\s+/g, " ");
  };
  const lines = (table) => [table.tHead.rows[0], ...table.tBodies[0].rows].filter((row) => !row.hidden)
    .map((row) => [...row.cells].filter(seen).map(text));
  const writers = {
    csv: (rows) => rows.map((row) => row.map((t) => (/[",\n]/.test(t) ? `"${t.replaceAll('"', '""')}"` : t)).join(",")).join("\n"),
    markdown: ([head, ...rows]) => [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map((t) => t.replaceAll("|", "\\|")).join(" | ")} |`).join("\n"),
    latex: ([head, ...rows]) => {
      const escape = (t) => t.replace(/[&%$#_{}]/g, "\\$&").replaceAll("−", "$-$").replaceAll("†", "$\\dagger$").replaceAll("‡", "$\\ddagger$").replaceAll("×", "$\\times$");
      const line = (row) => `${row.map(escape).join(" & ")} \\\\`;
      return [`\\begin{tabular}{${"l".repeat(head.length)}}`, "\\toprule", line(head), "\\midrule", ...rows.map(line), "\\bottomrule", "\\end{tabular}"].join("\n");
    },
  };
  const copy = async (content) => {
    try { await navigator.clipboard.writeText(content); } catch {
      const area = document.createElement("textarea");  // a page that was opened as a file
      area.value = content;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  const marked = (scroll) => {  // with a sign where something is out of sight
    const hint = () => {
      const rest = scroll.scrollWidth - scroll.clientWidth;
      scroll.classList.toggle("cut", rest - scroll.scrollLeft > 2);
      scroll.classList.toggle("scrolled", scroll.scrollLeft > 2);
    };
    scroll.addEventListener("scroll", hint, { passive: true });
    new ResizeObserver(hint).observe(scroll);
    return hint;
  };
  document.querySelectorAll(".chart, .panels figure, .side").forEach(marked);
  for (const tools of document.querySelectorAll(".tools")) {
    const scroll = tools.nextElementSibling;
    const table = scroll.querySelector("table");
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells];
    const hint = marked(scroll);
    tools.querySelector("input[type=search]").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const content = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => content.includes(word));
      }
    });
    for (const button of tools.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", async () => {
        await copy(writers[button.dataset.copy](lines(table)));
        const name = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = name; }, 1500);
      });
    }
    const all = tools.querySelector(".all input");
    const list = tools.querySelector(".columns ol");
    const show = (head, is) => {
      for (const row of table.rows) {
        row.cells[head.cellIndex].classList.toggle("off", !is);
        row.cells[head.cellIndex].classList.toggle("shown", is);
      }
      hint();
    };
    const move = (head, item, forward) => {
      const other = forward ? item.nextElementSibling : item.previousElementSibling;
      if (!other) return;
      const [from, to] = [head.cellIndex, head.cellIndex + (forward ? 1 : -1)];
      for (const row of table.rows) row.cells[to][forward ? "after" : "before"](row.cells[from]);
      other[forward ? "after" : "before"](item);
    };
    heads.slice(1).forEach((head) => {  // the first column stays
      const item = document.createElement("li");
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: seen(head) });
      const name = head.textContent.trim().replaceAll("\u200b", "");
      box.addEventListener("change", () => show(head, box.checked));
      label.append(box, ` ${name}`);
      const mover = (sign, where, forward) => {
        const button = Object.assign(document.createElement("button"), { type: "button", textContent: sign });
        button.setAttribute("aria-label", `Move ${name} ${where}`);
        button.addEventListener("click", () => { move(head, item, forward); button.focus(); });
        return button;
      };
      item.append(label, mover("←", "to the left", false), mover("→", "to the right", true));
      list.append(item);
      if (head.classList.contains("more")) all?.addEventListener("change", () => { box.checked = all.checked; show(head, all.checked); });
    });
    hint();
  }
})();
