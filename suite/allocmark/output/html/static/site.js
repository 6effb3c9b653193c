// SPDX-License-Identifier: BSD-3-Clause
// Draws the charts of a page from the JSON beside each, sorts its tables, compares runs. Needs d3 and Plot.
"use strict";
{ // Before anything is shown: the colours that were chosen, and that scripts run.
  const root = document.documentElement;
  root.dataset.scripted = "";
  let theme;
  try { theme = localStorage.getItem("allocmark-theme"); } catch { /* a page from disk may have no storage */ }
  if (theme) root.dataset.theme = theme;
}
addEventListener("DOMContentLoaded", () => {
  const parse = (element) => JSON.parse(element.textContent);
  const series = new Map(parse(document.getElementById("series")).map((each) => [each.label, each]));
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"];
  const name = (label) => series.get(label)?.name ?? label;
  const colour = (label) => `var(--${series.get(label)?.colour ?? "s6"})`;
  const symbol = (label) => SYMBOLS[series.get(label)?.symbol ?? 0];
  const WORDS = { gross: "gross", net: "net of the floor" };

  // ---- figures, as the tables write them

  const decimals = (v) => (v ? Math.min(Math.max(2 - Math.floor(Math.log10(Math.abs(Number(v.toPrecision(3))))), 0), 4) : 4);
  const fig = (v, like = v) => v.toFixed(decimals(like));
  const tick = (v) => {
    const [unit, mark] = v >= 1e6 ? [1e6, "M"] : v >= 1e4 ? [1e3, "k"] : [1, ""];
    return `${Number((v / unit).toPrecision(3))}${mark}`;
  };
  const span = ([v, low, high]) => (low == null ? "" : `[${fig(low, v)}, ${fig(high, v)}]`);

  // ---- elements

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const legend = (figure, labels) => {
    const shown = [...series.keys()].filter((label) => labels.has(label));
    figure.querySelector(".legend").replaceChildren(
      ...shown.map((label) => make("span", {}, glyph(colour(label), symbol(label)), name(label))),
    );
  };

  const glyph = (fill, shape) => {
    const svg = d3.create("svg").attr("width", 12).attr("height", 12).attr("viewBox", "-7 -7 14 14").attr("aria-hidden", "true");
    svg.append("path").attr("fill", fill).attr("d", d3.symbol(d3[`symbol${shape[0].toUpperCase()}${shape.slice(1)}`], 70)());
    return svg.node();
  };

  // Small multiples: a plot for each [title, content].
  const panels = (figure, contents, draw) => {
    const grid = make("div", { className: "panels" });
    figure.querySelector(".plot").replaceChildren(grid);
    for (const [title, content] of contents) {
      const cell = make("div");
      if (title) cell.append(make("h5", { textContent: title }));
      grid.append(cell);
      cell.append(draw(content, Math.max(cell.clientWidth, 200)));
    }
  };

  // Plot puts a style sheet into each chart, which a strict server forbids; site.css has these rules.
  const plotted = (options) => {
    const svg = Plot.plot(options);
    svg.querySelector("style").remove();
    return svg;
  };

  const grouped = (rows, key) => [...d3.group(rows, (row) => row[key])];

  // ---- scales

  // Ticks of a logarithmic axis: round figures, the fewer in a decade the more decades there are.
  const logTicks = (low, high, most) => {
    const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    for (const [steps, every] of [[[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8], 1], [[1, 1.5, 2, 3, 5, 7], 1], [[1, 2, 5], 1], [[1, 3], 1], [[1], 1], [[1], 2], [[1], 3]]) {
      const ticks = d3.range(first, last + 1, every).flatMap((e) => steps.map((s) => s * 10 ** e));
      const inside = ticks.filter((t) => t >= low * 0.999 && t <= high * 1.001);
      if (inside.length <= most && inside.length > 1) return inside;
    }
    return d3.ticks(low, high, Math.min(most, 4));
  };

  // The domain of a logarithmic axis around values and the ends of their intervals; what is not above 0 has no place.
  const logDomain = (values, also = []) => {
    const found = [...values.flat(), ...also].filter((v) => v != null && v > 0);
    const centres = [...values.map((v) => (Array.isArray(v) ? v[0] : v)), ...also].filter((v) => v > 0);
    if (!found.length) return [0.1, 10];
    // An interval that reaches near 0 must not flatten everything else.
    const low = Math.max(d3.min(found), d3.min(centres) / 8), high = Math.min(d3.max(found), d3.max(centres) * 8);
    const pad = Math.max((high / low) ** 0.04, 1.05);
    return [low / pad, high * pad];
  };

  const STYLE = { background: "transparent", color: "var(--ink)", fontSize: "12px", overflow: "visible" };
  const TIP = { fill: "var(--ground)", stroke: "var(--line)", fontSize: 12, lineWidth: 30 };
  const base = (width, height, options) => ({ width, height, style: STYLE, color: { type: "identity" }, symbol: { type: "identity" }, ...options });
  const logY = (domain) => [
    Plot.gridY(logTicks(...domain, 6), { stroke: "var(--grid)", strokeOpacity: 1 }),
    Plot.axisY(logTicks(...domain, 6), { text: tick, tickSize: 0, color: "var(--soft)", label: null }),
  ];
  const clamp = (v, [low, high]) => Math.min(Math.max(v, low), high);

  // ---- kinds of charts; each gets (figure, data, mode)

  // Rows of dots with intervals, under headings, and the figures written at the right.
  const forest = (figure, data, mode) => {
    const plot = figure.querySelector(".plot");
    const width = plot.clientWidth, wide = width >= 660;
    const shown = data.rows.filter((row) => row[mode]);
    const slots = [];
    for (const [case_, rows] of grouped(shown, "case")) {
      if (case_) slots.push({ id: slots.length, head: case_ });
      for (const row of rows) slots.push({ id: slots.length, row, text: row.row ?? (data.ref ? [row.place, name(row.label)].filter(Boolean).join(" · ") : name(row.label)) });
    }
    const heads = slots.filter((slot) => slot.head != null), rows = slots.filter((slot) => slot.row);
    const longest = d3.max(rows, (slot) => slot.text.length) ?? 0;
    const marginLeft = wide ? Math.min(longest * 7 + 16, width * 0.46) : 8;
    const marginRight = wide ? (data.ref ? 250 : 150) : 56;
    // A small mark for each process.
    const processes = rows.flatMap((slot) => (slot.row.marks?.[mode] ?? []).filter((ns) => ns > 0).map((ns) => ({ id: slot.id, ns, label: slot.row.label })));
    const domain = logDomain([...rows.map((slot) => slot.row[mode]), ...processes.map(({ ns }) => [ns, ns, ns])], data.ref ? [data.ref] : []);
    const ticks = logTicks(...domain, Math.max(Math.floor((width - marginLeft - marginRight) / 60), 2));
    const value = (slot) => slot.row[mode][0];
    const x = (slot) => clamp(value(slot), domain);
    const y = (slot) => slot.id;
    const tone = (slot) => colour(slot.row.label);
    const covered = rows.filter((slot) => slot.row[mode][1] != null);
    const figures = (slot) => (value(slot) > 0 || !data.ref ? fig(value(slot)) : "0 or less") + (wide ? `  ${span(slot.row[mode])}` : "");
    const step = wide ? 19 : 36;
    const labels = wide
      ? Plot.text(rows, { y, frameAnchor: "left", dx: -8, textAnchor: "end", text: "text", fill: "var(--ink)", textOverflow: "ellipsis", lineWidth: (marginLeft - 10) / 12 })
      : Plot.text(rows, { y, frameAnchor: "left", dx: -6, dy: -11, textAnchor: "start", text: "text", fill: "var(--soft)", stroke: "var(--ground)", strokeWidth: 4, fontSize: 11.5, textOverflow: "ellipsis", lineWidth: (width - 10) / 12 });
    plot.replaceChildren(plotted(base(width, slots.length * step + 62, {
      marginLeft, marginRight, marginTop: 22, marginBottom: 40,
      x: { type: "log", domain },
      y: { type: "point", domain: slots.map(y), axis: null, padding: 0.6 },
      marks: [
        Plot.gridX(ticks, { stroke: "var(--grid)", strokeOpacity: 1 }),
        Plot.axisX(ticks, { anchor: "top", text: tick, tickSize: 0, color: "var(--soft)", label: null }),
        Plot.axisX(ticks, { anchor: "bottom", text: tick, tickSize: 0, color: "var(--soft)", label: `${data.unit}${data.modes ? `, ${WORDS[mode]}` : ""}`, labelAnchor: "center", labelArrow: "none", labelOffset: 36 }),
        data.margin ? Plot.rect([0], { x1: 1 / (1 + data.margin), x2: 1 + data.margin, fill: "var(--band)" }) : null,
        data.ref ? Plot.ruleX([data.ref], { stroke: "var(--soft)" }) : null,
        Plot.text(heads, { y, frameAnchor: "left", dx: -marginLeft + 2, textAnchor: "start", text: "head", fontWeight: 650, fill: "var(--ink)" }),
        labels,
        Plot.dot(processes, { x: ({ ns }) => clamp(ns, domain), y: "id", fill: ({ label }) => colour(label), fillOpacity: 0.35, r: 2 }),
        Plot.ruleY(covered, { y, x1: (slot) => clamp(slot.row[mode][1], domain), x2: (slot) => clamp(slot.row[mode][2], domain), stroke: tone, strokeWidth: 2.2 }),
        Plot.dot(rows, { x, y, fill: tone, symbol: (slot) => symbol(slot.row.label), r: 4.4 }),
        Plot.text(rows, { y, frameAnchor: "right", dx: 10, textAnchor: "start", text: figures, fill: "var(--ink)" }),
        wide && data.ref ? Plot.text(rows, { y, frameAnchor: "right", dx: marginRight - 4, textAnchor: "end", text: (slot) => slot.row.said ?? "", fill: (slot) => TONE[slot.row.said] ?? "var(--soft)" }) : null,
        Plot.tip(rows, Plot.pointerY({ ...TIP, x, y, title: (slot) => tell(slot, data, mode) })),
      ],
    })));
    legend(figure, new Set(rows.map((slot) => slot.row.label)));
  };
  const TONE = { faster: "var(--faster)", slower: "var(--slower)" };

  const tell = ({ row }, data, mode) => [
    name(row.label),
    [row.case, row.place ?? row.row].filter(Boolean).join(" "),
    `${mode}: ${fig(row[mode][0])} ${span(row[mode])} ${data.ref ? "" : data.unit}`,
    row.said,
  ].filter(Boolean).join("\n");

  // A line for each backend over a few values, a panel for each combination of the rest; one scale for all panels.
  const lines = (figure, data, mode) => {
    const rows = data.rows.filter((row) => row[mode]?.[0] > 0);
    const domain = logDomain(rows.map((row) => row[mode]));
    panels(figure, grouped(rows, "panel"), (here, width) => {
      const common = { x: "x", stroke: (row) => colour(row.label) };
      const covered = here.filter((row) => row[mode][1] != null);
      return plotted(base(width, 210, {
        marginLeft: 44, marginRight: 14, marginTop: 10, marginBottom: 34,
        x: { type: "point", domain: data.values, padding: 0.25 },
        y: { type: "log", domain },
        marks: [
          logY(domain),
          Plot.axisX({ tickSize: 0, color: "var(--soft)", label: data.x, labelAnchor: "center", labelArrow: "none", tickFormat: String }),
          Plot.line(here, { ...common, y: (row) => row[mode][0], z: "label", strokeWidth: 1.5 }),
          Plot.ruleX(covered, { ...common, y1: (row) => clamp(row[mode][1], domain), y2: (row) => clamp(row[mode][2], domain), strokeWidth: 2 }),
          Plot.dot(here, { x: "x", y: (row) => row[mode][0], fill: (row) => colour(row.label), symbol: (row) => symbol(row.label), r: 4 }),
          Plot.tip(here, Plot.pointer({ ...TIP, x: "x", y: (row) => row[mode][0], title: (row) => `${name(row.label)}\n${data.x}=${row.x} ${row.panel}\n${mode}: ${fig(row[mode][0])} ${span(row[mode])} ${data.unit}` })),
        ],
      }));
    });
    legend(figure, new Set(rows.map((row) => row.label)));
  };

  // A line for each backend over the sizes of caches, the knee in a ring; one scale for all panels.
  const trips = (figure, data) => {
    const most = d3.max(data.rows, (row) => row.y) || 1;
    panels(figure, grouped(data.rows, "panel"), (here, width) => {
      const place = { x: "x", y: "y" };
      const tone = (row) => colour(row.label);
      return plotted(base(width, 260, {
        marginLeft: 48, marginRight: 14, marginTop: 14, marginBottom: 42,
        x: { type: "point", domain: data.values, padding: 0.25 }, y: { domain: [0, most * 1.04] },
        marks: [
          Plot.gridY({ ticks: 6, stroke: "var(--grid)", strokeOpacity: 1 }),
          Plot.axisY({ ticks: 6, tickSize: 0, color: "var(--soft)", label: null }),
          Plot.axisX({ tickSize: 0, tickPadding: 11, color: "var(--soft)", label: data.x, labelAnchor: "center", labelArrow: "none", tickFormat: String }),
          Plot.line(here, { ...place, z: "label", stroke: tone, strokeWidth: 1.5 }),
          Plot.dot(here, { ...place, fill: tone, symbol: (row) => symbol(row.label), r: 4 }),
          Plot.dot(here.filter((row) => row.knee), { ...place, stroke: tone, strokeWidth: 1.5, r: 9, ariaLabel: (row) => `knee of ${name(row.label)}: ${row.x}` }),
          Plot.tip(here, Plot.pointer({ ...TIP, ...place, title: (row) => `${name(row.label)}\n${row.panel}\n${data.x} ${row.x}${row.knee ? ", the knee" : ""}: ${row.y} ${data.unit}` })),
        ],
      }));
    });
    legend(figure, new Set(data.rows.map((row) => row.label)));
  };

  // Two costs against one another.
  const scatter = (figure, data) => {
    const ys = logDomain(data.rows.map((row) => row.y));
    panels(figure, grouped(data.rows, "panel"), (here, width) => {
      const xs = logDomain(here.map((row) => row.x));
      const ticks = logTicks(...xs, Math.floor(width / 60));
      return plotted(base(width, 240, {
        marginLeft: 48, marginRight: 12, marginTop: 24, marginBottom: 36,
        x: { type: "log", domain: xs }, y: { type: "log", domain: ys },
        marks: [
          Plot.gridX(ticks, { stroke: "var(--grid)", strokeOpacity: 1 }),
          Plot.gridY(logTicks(...ys, 6), { stroke: "var(--grid)", strokeOpacity: 1 }),
          Plot.axisX(ticks, { text: tick, tickSize: 0, color: "var(--soft)", label: data.x, labelAnchor: "center", labelArrow: "none" }),
          Plot.axisY(logTicks(...ys, 6), { text: tick, tickSize: 0, color: "var(--soft)", label: data.y, labelArrow: "none", labelOffset: 44 }),
          Plot.dot(here, { x: "x", y: "y", fill: (row) => colour(row.label), symbol: (row) => symbol(row.label), r: 4.6, fillOpacity: 0.85 }),
          Plot.tip(here, Plot.pointer({ ...TIP, x: "x", y: "y", title: (row) => `${name(row.label)}\n${row.panel} ${row.place}\n${fig(row.x)} ${data.x}\n${fig(row.y)} ${data.y}` })),
        ],
      }));
    });
    legend(figure, new Set(data.rows.map((row) => row.label)));
  };

  // Percentiles of single calls.
  const percentiles = (figure, data) => {
    const points = data.rows.flatMap((row) => row.values.map((y, i) => ({ ...row, x: data.ticks[i], y: y ?? NaN })));
    const domain = logDomain(points.map((point) => point.y));
    panels(figure, grouped(points, "panel"), (here, width) => {
      return plotted(base(width, 230, {
        marginLeft: 48, marginRight: 14, marginTop: 10, marginBottom: 28,
        x: { type: "point", domain: data.ticks, padding: 0.3 }, y: { type: "log", domain },
        marks: [
          logY(domain),
          Plot.axisX({ tickSize: 0, color: "var(--soft)", label: null }),
          Plot.line(here, { x: "x", y: "y", z: "label", stroke: (row) => colour(row.label), strokeWidth: 1.5 }),
          Plot.dot(here, { x: "x", y: "y", fill: (row) => colour(row.label), symbol: (row) => symbol(row.label), r: 4 }),
          Plot.tip(here, Plot.pointer({ ...TIP, x: "x", y: "y", title: (row) => `${name(row.label)}\n${row.panel}\n${row.x}: ${Number.isNaN(row.y) ? "too few calls" : `${fig(row.y)} ${data.unit}`}` })),
        ],
      }));
    });
    legend(figure, new Set(points.map((point) => point.label)));
  };

  // Parts of a whole, a bar for each backend.
  const stack = (figure, data) => {
    const plot = figure.querySelector(".plot");
    const width = plot.clientWidth, wide = width >= 560;
    const parts = data.rows.flatMap((row) => row.parts.map((part) => ({ ...part, label: row.label })));
    const totals = data.rows.map((row) => ({ label: row.label, mib: d3.sum(row.parts, (part) => part.mib) }));
    const marginLeft = wide ? (d3.max(data.rows, (row) => name(row.label).length) ?? 0) * 6.6 + 16 : 4;
    const tone = (kind) => `var(--k${data.kinds.indexOf(kind) + 1})`;
    plot.replaceChildren(plotted(base(width, data.rows.length * (wide ? 26 : 40) + 40, {
      marginLeft, marginRight: 64, marginTop: 4, marginBottom: 34,
      x: { label: null }, y: { type: "band", domain: data.rows.map((row) => row.label), axis: null, paddingInner: wide ? 0.3 : 0.5, paddingOuter: wide ? 0.1 : 0.35 },
      marks: [
        Plot.gridX({ stroke: "var(--grid)", strokeOpacity: 1 }),
        Plot.axisX({ ticks: Math.floor(width / 90), tickSize: 0, color: "var(--soft)", label: data.unit, labelAnchor: "center", labelArrow: "none" }),
        Plot.barX(parts, Plot.stackX({ order: data.kinds, x: "mib", y: "label", z: "kind", fill: (part) => tone(part.kind), title: (part) => `${name(part.label)}\n${part.kind}: ${fig(part.mib)} MiB` })),
        Plot.text(totals, { x: "mib", y: "label", dx: 6, textAnchor: "start", text: (row) => fig(row.mib) }),
        wide
          ? Plot.text(data.rows, { y: "label", frameAnchor: "left", dx: -8, textAnchor: "end", text: (row) => name(row.label) })
          : Plot.text(data.rows, { y: "label", frameAnchor: "left", dy: -17, textAnchor: "start", text: (row) => name(row.label), fill: "var(--soft)" }),
      ],
    })));
    const kinds = data.kinds.filter((kind) => parts.some((part) => part.kind === kind));
    figure.querySelector(".legend").replaceChildren(...kinds.map((kind) => make("span", {}, glyph(tone(kind), "square"), kind)));
  };

  // Every sample in the order of time.
  const samples = (figure, data) => {
    panels(figure, grouped(data.rows, "panel"), (here, width) => {
      const points = here.flatMap((row) => row.y.map((y, i) => ({ label: row.label, x: row.x[i], y, mark: row.m[i] })));
      const domain = logDomain(points.map((point) => point.y));
      const tone = (point) => colour(point.label);
      const marked = (mark) => points.filter((point) => point.mark === mark);
      return plotted(base(width, 190, {
        marginLeft: 44, marginRight: 10, marginTop: 8, marginBottom: 32,
        x: { domain: d3.extent(points, (point) => point.x) }, y: { type: "log", domain },
        marks: [
          logY(domain),
          Plot.axisX({ ticks: 5, tickSize: 0, color: "var(--soft)", label: "block", labelAnchor: "center", labelArrow: "none" }),
          Plot.dot(marked("0"), { x: "x", y: "y", fill: tone, r: 1.7 }),
          Plot.dot(marked("1"), { x: "x", y: "y", stroke: tone, r: 1.6, strokeWidth: 0.8 }),
          Plot.dot(marked("2"), { x: "x", y: "y", stroke: "var(--soft)", symbol: "times", r: 1.8, strokeWidth: 0.9 }),
        ],
      }));
    });
    legend(figure, new Set(data.rows.map((row) => row.label)));
  };

  // Cost over commits, with the steps that were detected.
  const history = (figure, data) => {
    const last = data.commits.length - 1;
    const name = data.commits[0].date === data.commits[last].date ? "hash" : "date"; // of one day: dates tell nothing
    panels(figure, data.panels.map((panel) => [panel.title, panel]), ({ points, steps }, width) => {
      const rows = points.map(([at, v, low, high]) => ({ at, v, low, high, commit: data.commits[at] }));
      const covered = rows.filter((row) => row.low != null && row.high != null);
      // The interval of a few samples may span everything: it is cut off at twice the highest value, and at 0.
      const most = 2 * d3.max(rows, (row) => row.v);
      const ends = [...rows.map((row) => row.v), ...covered.flatMap((row) => [Math.max(0, row.low), Math.min(most, row.high)])];
      const found = steps.map(([at, before, after]) => ({ at: at - 0.5, before, after, commit: data.commits[at] }));
      const ticks = last > 0 ? [[0, "start"], [last, "end"]] : [[0, "middle"]];
      return plotted(base(width, 170, {
        marginLeft: 48, marginRight: 14, marginTop: 10, marginBottom: 24,
        x: { domain: [-0.5, last + 0.5] }, y: { domain: d3.extent(ends), nice: true },
        marks: [
          Plot.gridY({ ticks: 4, stroke: "var(--grid)", strokeOpacity: 1 }),
          Plot.axisY({ ticks: 4, text: tick, tickSize: 0, color: "var(--soft)", label: null }),
          ticks.map(([at, textAnchor]) => Plot.axisX([at], { textAnchor, tickSize: 0, color: "var(--soft)", label: null, text: (i) => data.commits[i][name] })),
          Plot.ruleX(found, { x: "at", stroke: (step) => (step.after > step.before ? "var(--slower)" : "var(--faster)"), strokeWidth: 1.5 }),
          Plot.text(found, { x: "at", frameAnchor: "top", dy: -8, text: (step) => `${d3.format("+.0%")(step.after / step.before - 1)}`, fill: "var(--soft)", fontSize: 11 }),
          Plot.ruleX(covered, { x: "at", y1: "low", y2: "high", stroke: "var(--s1)", strokeOpacity: 0.45, clip: true }),
          Plot.line(rows, { x: "at", y: "v", stroke: "var(--s1)", strokeWidth: 1, strokeOpacity: 0.5 }),
          Plot.dot(rows, { x: "at", y: "v", fill: "var(--s1)", r: rows.length > 80 ? 1.6 : 2.6, href: (row) => row.commit.url ?? null }),
          Plot.tip(rows, Plot.pointerX({ ...TIP, x: "at", y: "v", title: (row) => `${row.commit.hash} ${row.commit.date}\n${row.commit.subject}\n${fig(row.v)} ${row.low == null ? "" : span([row.v, row.low, row.high])} ${data.unit}` })),
        ],
      }));
    });
  };

  // ---- comparisons

  const control = (figure, title, options, chosen, changed) => {
    const select = make("select", {}, ...options.map((text, i) => make("option", { value: i, textContent: text, selected: i === chosen })));
    select.addEventListener("change", () => changed(Number(select.value)));
    figure.querySelector(".controls").append(make("label", {}, title, select));
    return select;
  };

  // As `table` of macros.html; the case and the backend come first.
  const numbers = (figure, headings, rows) => {
    const place = (i) => (i < 2 ? ["lead", "key"][i] : headings[i][1] ? "num" : "");
    const head = make("tr", {}, ...headings.map(([text], i) => make("th", { scope: "col", className: place(i) }, make("button", { type: "button", textContent: text }))));
    const body = rows.map((row) => make("tr", {}, ...row.map(([text, sort, tone], i) => {
      const td = make("td", { textContent: text, className: `${place(i)} ${tone ?? ""}`.trim() });
      if (i === 1) td.append(make("small", { className: "lead-said", textContent: row[0][0] }));
      if (sort != null) td.dataset.sort = sort;
      return td;
    })));
    const table = make("table", { className: "sortable" }, make("caption", { textContent: "The numbers" }), make("thead", {}, head), make("tbody", {}, ...body));
    figure.querySelector(".numbers").replaceChildren(make("div", { className: "scroll", tabIndex: 0 }, table));
  };

  const cell = (estimate) => (estimate ? [fig(estimate[0]), estimate[0]] : [""]);
  const verdictCell = (said) => [said, null, said.split(":")[0].replace(" ", "-")]; // "cannot tell: why"

  // As `allocmark.stats.verdict`.
  const verdict = (ratio, margin) => {
    if (!ratio || ratio[1] == null) return "cannot tell";
    const [v, low, high] = ratio;
    if (high < 1 && v * (1 + margin) < 1) return "faster";
    if (low > 1 && v > 1 + margin) return "slower";
    return low * (1 + margin) >= 1 && high <= 1 + margin ? "same" : "cannot tell";
  };

  // As `allocmark.stats.unpaired_ratio`.
  const unpaired = (now, before) => {
    const [v, low, high] = now, [v0, low0, high0] = before;
    if (low == null || low0 == null) return [v / v0, null, null];
    return low > 0 && low0 > 0 ? [v / v0, low / high0, high / low0] : null;
  };

  // As `allocmark.stats.near`.
  const near = (a, b, share) => (a == null || b == null ? a === b : Math.abs(a - b) <= share * Math.min(a, b));

  const judge = (before, now, { margin, distance, pace }) => {
    for (const [when, each] of [["before", before], ["now", now]]) if (!each.v) return [null, `cannot tell: ${each.why} ${when}`];
    if (before.digest !== now.digest) return [null, "cannot tell: the workload changed"];
    if (!near(before.distance ?? null, now.distance ?? null, distance)) return [null, "cannot tell: distance changed"];
    if (before.pace && now.pace && !near(before.pace, now.pace, pace)) return [null, "cannot tell: CPU speed changed"];
    const ratio = unpaired(now.v, before.v);
    return [ratio, verdict(ratio, margin)];
  };
  window.allocmark = { verdict, unpaired, near, fig };

  const compareSources = (figure, { sources, constants }) => {
    const titles = sources.map((source) => source.title);
    const state = { now: 0, before: 1 };
    const clear = () => [".plot", ".numbers", ".legend"].forEach((part) => figure.querySelector(part).replaceChildren());
    const draw = () => {
      const now = sources[state.now], before = sources[state.before];
      const line = figure.querySelector(".said");
      const keys = Object.keys(now.cells).filter((key) => key in before.cells);
      if (now.machine !== before.machine) {
        line.textContent = "These are of different machines and cannot be compared. Choose two of one machine.";
        return clear();
      }
      const rows = keys.map((key) => {
        const [workload, place, label] = JSON.parse(key);
        const [ratio, said] = judge(before.cells[key], now.cells[key], constants);
        return { label, place: `${workload} ${place}`.trim(), gross: ratio, said, before: before.cells[key].v, now: now.cells[key].v };
      });
      rows.sort((a, b) => (b.gross?.[0] ?? 0) - (a.gross?.[0] ?? 0));
      const counted = d3.rollup(rows, (found) => found.length, (row) => row.said.split(":")[0]);
      line.textContent = rows.length
        ? `${rows.length} cells in both: ${["slower", "cannot tell", "same", "faster"].filter((said) => counted.has(said)).map((said) => `${counted.get(said)} ${said}`).join(", ")}.`
        : "The two share no cell.";
      if (!rows.length) return clear();
      forest(figure, { rows, ref: 1, margin: constants.margin, unit: "ratio, now to before" }, "gross");
      numbers(figure, [["case"], ["backend"], ["ratio", 1], ["98 % interval", 1], ["verdict"], ["before", 1], ["now", 1]], rows.map((row) => [
        [row.place, null, "name"], [name(row.label), null, "name"], cell(row.gross), [row.gross ? span(row.gross) : ""], verdictCell(row.said), cell(row.before), cell(row.now),
      ]));
    };
    control(figure, "now", titles, state.now, (i) => { state.now = i; draw(); });
    control(figure, "before", titles, state.before, (i) => { state.before = i; draw(); });
    return draw;
  };

  const FLIPPED = { faster: "slower", slower: "faster" };
  const inverse = (estimate) => estimate && [1 / estimate[0], estimate[2] == null ? null : 1 / estimate[2], estimate[1] == null ? null : 1 / estimate[1]];

  const comparePairs = (figure, { labels, rows: pairs, against, margin }) => {
    const state = { against: Math.max(labels.indexOf(against), 0) };
    const draw = () => {
      const rows = [];
      for (const [workload, place, one, two, gross, net, said] of pairs) {
        const row = { place: `${workload} ${place}`.trim() };
        if (two === state.against) rows.push({ ...row, label: labels[one], gross, net, said });
        if (one === state.against) rows.push({ ...row, label: labels[two], gross: inverse(gross), net: inverse(net), said: FLIPPED[said] ?? said });
      }
      rows.sort((a, b) => (b[mode]?.[0] ?? 0) - (a[mode]?.[0] ?? 0));
      const base = name(labels[state.against]);
      forest(figure, { rows, ref: 1, margin, unit: `ratio to ${base}`, modes: ["gross", "net"] }, mode);
      numbers(figure, [["case"], ["backend"], ["ratio", 1], ["99 % interval", 1], ["verdict"], ["net ratio", 1]], rows.map((row) => [
        [row.place, null, "name"], [name(row.label), null, "name"], cell(row.gross), [span(row.gross)], verdictCell(row.said), cell(row.net),
      ]));
    };
    control(figure, "against", labels.map(name), state.against, (i) => { state.against = i; draw(); });
    return draw;
  };

  // ---- the page

  /** Memory over a trace: what lives, dashed, and what each backend keeps. */
  const course = (figure, data) => {
    const points = data.rows.flatMap((row) => row.mib.map((y, i) => ({ label: row.label, x: (100 * (i + 1)) / row.mib.length, y, live: data.live[i] })));
    const live = data.live.map((y, i) => ({ x: (100 * (i + 1)) / data.live.length, y }));
    panels(figure, [["", points]], (here, width) => plotted(base(width, 260, {
      marginLeft: 52, marginRight: 14, marginTop: 10, marginBottom: 32,
      x: { domain: [0, 100] }, y: { zero: true, grid: true, label: null },
      marks: [
        Plot.axisX({ tickSize: 0, color: "var(--soft)", label: "share of the program's calls, %" }),
        Plot.line(live, { x: "x", y: "y", stroke: "currentColor", strokeDasharray: "4 3", strokeWidth: 1.5 }),
        Plot.line(here, { x: "x", y: "y", z: "label", stroke: (row) => colour(row.label), strokeWidth: 1.5 }),
        Plot.tip(here, Plot.pointer({ ...TIP, x: "x", y: "y", title: (row) => `${name(row.label)}\n${fig(row.x)} %: ${fig(row.y)} ${data.unit}, live ${fig(row.live)}` })),
      ],
    })));
    legend(figure, new Set(points.map((point) => point.label)));
  };

  const KINDS = { forest, lines, trips, scatter, percentiles, course, stack, samples, history };
  let mode = "gross";
  const charts = [...document.querySelectorAll("figure.chart")].map((figure) => {
    const data = parse(figure.querySelector("script"));
    const kind = figure.dataset.kind;
    const draw = kind === "sources" ? compareSources(figure, data) : kind === "pairs" ? comparePairs(figure, data) : () => KINDS[kind](figure, data, mode);
    const chart = { figure, draw, modes: data.modes ?? (kind === "pairs" ? ["gross", "net"] : []), drawn: 0 };
    if (chart.modes.length > 1) {
      const toggle = make("div", { className: "toggle", role: "group", ariaLabel: "figures" });
      for (const each of chart.modes) {
        const button = make("button", { type: "button", textContent: each, title: WORDS[each] });
        button.dataset.mode = each;
        button.addEventListener("click", () => { mode = each; press(); charts.filter((other) => other.drawn && other.modes.length).forEach(show); });
        toggle.append(button);
      }
      figure.querySelector(".controls").prepend(toggle);
    }
    return chart;
  });
  const press = () => document.querySelectorAll("[data-mode]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.mode === mode));
  const show = (chart) => {
    chart.drawn = chart.figure.querySelector(".plot").clientWidth;
    chart.draw();
  };
  press();
  document.querySelectorAll(".undrawn").forEach((each) => each.remove());

  // A chart is drawn when it comes near the window, all before they are printed, and again when its width changes.
  const near_ = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const chart = charts.find((each) => each.figure === entry.target);
      if (entry.isIntersecting && !chart.drawn) show(chart);
    }
  }, { rootMargin: "800px" });
  charts.forEach((chart) => near_.observe(chart.figure));
  // Paper is narrower than most windows, so its charts are drawn for it.
  const main = document.querySelector("main");
  addEventListener("beforeprint", () => { main.classList.add("paper"); charts.forEach(show); });
  addEventListener("afterprint", () => { main.classList.remove("paper"); fit(); });
  const fit = () => charts.filter((chart) => chart.drawn && chart.drawn !== chart.figure.querySelector(".plot").clientWidth).forEach(show);
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(fit, 120);
  });

  // Tables: a click on a heading sorts, the next one turns round; what is empty stays last.
  document.addEventListener("click", (event) => {
    const heading = event.target.closest("table.sortable th button")?.parentElement;
    if (!heading) return;
    const table = heading.closest("table"), body = table.tBodies[0], column = heading.cellIndex;
    const up = heading.ariaSort === "ascending" ? false : true;
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
    const turn = up ? 1 : -1;
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const one = Number(a), two = Number(b);
      return turn * (Number.isNaN(one) || Number.isNaN(two) ? a.localeCompare(b, undefined, { numeric: true }) : one - two);
    };
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  });

  const THEMES = { "": ["◐", "system"], light: ["○", "light"], dark: ["●", "dark"] };
  const button = document.getElementById("theme"), root = document.documentElement;
  const label = () => {
    const [mark, text] = THEMES[root.dataset.theme ?? ""];
    button.replaceChildren(mark, " ", make("span", { textContent: text }));
    button.ariaLabel = `Colours: ${text}. Change`;
  };
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(root.dataset.theme ?? "") + 1) % names.length];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    try { localStorage.setItem("allocmark-theme", next); } catch { /* a page from disk may have no storage */ }
    label();
  });
  label();
});
