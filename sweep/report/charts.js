// Draws the charts, and shows in each of them the order that was chosen in the table or in a chart.
const nodes = document.querySelectorAll("[data-chart]");
const choices = JSON.parse(document.getElementById("choices").textContent);
const options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };

for (const node of nodes) {
  const chart = JSON.parse(document.getElementById(node.dataset.chart).textContent);
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
addEventListener("beforeprint", () => { for (const node of nodes) if (!node.closest("figure").hidden) Plotly.relayout(node, { width: 640, autosize: false }); });
addEventListener("afterprint", () => { for (const node of nodes) Plotly.relayout(node, { width: null, autosize: true }); });
