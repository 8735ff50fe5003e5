// Draws the charts, and shows in each of them the order that was chosen in the table or in a chart.
const nodes = document.querySelectorAll("[data-chart]");
const choices = JSON.parse(document.getElementById("choices").textContent);
const options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };

// On a phone a table in colours has room for its numbers or for its scale, and for numbers of few columns alone.
function narrow(trace) {
  const few = trace.x.length <= 5;
  Object.assign(trace, few ? { showscale: false, textfont: { size: 10 } } : { texttemplate: "" });
}

// Where two words of a legend have no room side by side, those below one another need as much more height.
function longer(node, { data, layout }, sign = 1) {
  const words = layout.legend && layout.showlegend !== false ? data.filter((trace) => trace.showlegend !== false).length : 0;
  const more = sign * 22 * Math.floor(words / 2);
  const height = layout.height + more;
  node.style.height = height + "px";
  return { height, "margin.b": layout.margin.b + more };
}

for (const node of nodes) {
  const chart = JSON.parse(document.getElementById(node.dataset.chart).textContent);
  if (innerWidth < 600) {
    for (const trace of chart.data) if (trace.type === "heatmap") narrow(trace);
    const { height, "margin.b": below } = longer(node, chart);
    Object.assign(chart.layout, { height, margin: { ...chart.layout.margin, b: below } });
  }
  const drawn = Plotly.newPlot(node, chart.data, chart.layout, options);
  drawn.then(() => node.on("plotly_click", ({ points: [point] }) => { if (point.customdata) choose(point.customdata); }));
}

addEventListener("chosen", ({ detail: key }) => {
  for (const [name, changes] of Object.entries(choices)) {
    const node = document.querySelector(`[data-chart="${name}"]`);
    const figure = node.closest("figure");
    if ("waits" in figure.dataset) figure.hidden = !(key in changes);
    const change = changes[key] ?? (figure.hidden ? null : { x: [[]], y: [[]] });
    if (change) Plotly.restyle(node, change, [node.data.length - 1]).then(() => figure.hidden || Plotly.Plots.resize(node));
  }
});

// A sheet of paper is narrower than most windows, and browsers do not resize drawings for it.
const narrowed = (node) => node.closest(".many") && innerWidth >= 600;
addEventListener("beforeprint", () => {
  for (const node of nodes) {
    if (node.closest("figure").hidden) continue;
    const width = node.closest(".many") ? 310 : 640;
    Plotly.relayout(node, { width, autosize: false, ...(narrowed(node) ? longer(node, node) : {}) });
  }
});
addEventListener("afterprint", () => {
  for (const node of nodes) {
    const back = narrowed(node) && !node.closest("figure").hidden ? longer(node, node, -1) : {};
    Plotly.relayout(node, { width: null, autosize: true, ...back });
  }
});
