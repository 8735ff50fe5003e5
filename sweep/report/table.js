// The table of orders: sorted by any column, filtered by any text, copied as text; choosing one tells the charts.
const orders = document.querySelector("table[data-orders]");
const status = document.getElementById("said");

function say(text) { if (status) status.textContent = text; }

function copied(text, what) {
  const done = () => say(what + " copied");
  const byHand = () => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const ok = document.execCommand("copy");
    area.remove();
    ok ? done() : say("your browser does not let this page copy");
  };
  navigator.clipboard ? navigator.clipboard.writeText(text).then(done, byHand) : byHand();
}

function choose(key) {
  for (const row of orders ? orders.tBodies[0].rows : []) {
    const chosen = row.dataset.order === key;
    row.classList.toggle("chosen", chosen);
    row.querySelector("button.order").setAttribute("aria-pressed", chosen);
    if (chosen) say("chosen: " + row.cells[0].textContent.trim());
  }
  dispatchEvent(new CustomEvent("chosen", { detail: key }));
}

function value(cell) {
  const text = cell.textContent.trim();
  const number = parseFloat(text.replace("−", "-"));
  return Number.isNaN(number) || cell.classList.contains("word") ? text : number;
}

function sort(head, column) {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of orders.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const rows = [...orders.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
  const way = rising ? 1 : -1;
  rows.sort(([a], [b]) => (typeof a !== typeof b ? (typeof a === "string" ? 1 : -1) : way * (a > b ? 1 : a < b ? -1 : 0)));
  orders.tBodies[0].append(...rows.map(([, row]) => row));
}

function shown() { return [...orders.tBodies[0].rows].filter((row) => !row.hidden); }

if (orders) {
  [...orders.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => sort(head, column));
  });
  orders.tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (event.target.closest("button.copy")) copied("[" + row.dataset.order.split("-").join(", ") + "]", "order");
    else choose(row.classList.contains("chosen") ? null : row.dataset.order);
  });
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const plain = (text) => text.toLowerCase().replace(/\s+/g, " ").trim();
    for (const row of orders.tBodies[0].rows) row.hidden = !plain(row.textContent).includes(plain(filter.value));
    say(shown().length + " orders");
  });
  document.getElementById("copy-all").addEventListener("click", () => {
    const cells = (row) => [...row.cells].slice(0, -1).map((cell) => cell.textContent.trim()).join("\t");
    copied([orders.tHead.rows[0], ...shown()].map(cells).join("\n") + "\n", shown().length + " orders");
  });
}
