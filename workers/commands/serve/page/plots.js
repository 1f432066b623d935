// Small plots in SVG. Nothing here takes markup from outside: texts become text nodes.

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 6;
const DASHES = ["", "dashed", "dotted"];

// Most series that a legend lists: those with the highest latest values. One field of each device fits.
const LISTED = 12;

export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function drawing(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// A path through [x, y] pairs; a pair without y begins a new piece.
function line(points) {
  let text = "", down = false;
  for (const [x, y] of points) {
    if (y === null) { down = false; continue; }
    text += `${down ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    down = true;
  }
  return text;
}

// The last values of one partition, the newest at the right edge.
export function sparkline(values, kept) {
  const width = 150, height = 24, top = Math.max(1, ...values.map((value) => value ?? 0));
  const first = kept - values.length;
  const points = values.map((value, place) => [
    ((first + place) / (kept - 1)) * width,
    value === null ? null : height - 1 - (value / top) * (height - 3),
  ]);
  const shown = points.filter(([, y]) => y !== null);
  const plot = drawing("svg", {
    class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  if (shown.length > 1) {
    const ends = `L${shown.at(-1)[0].toFixed(1)} ${height}L${shown[0][0].toFixed(1)} ${height}Z`;
    plot.append(drawing("path", { class: "area", d: line(shown) + ends }));
  }
  plot.append(drawing("path", { d: line(points) }));
  return plot;
}

// The style of the nth series: a colour, and dashes once the colours are used up.
function style(place) {
  return `s${place % COLOURS} ${DASHES[Math.floor(place / COLOURS) % DASHES.length]}`.trim();
}

function range(series) {
  const values = series.flatMap((one) => one.points.map(([, value]) => value));
  const low = Math.min(...values), high = Math.max(...values);
  // From 0, unless the line would then be flat at the top.
  const bottom = low > high / 2 ? low - (high - low || high) * 0.2 : Math.min(0, low);
  const top = high + (high - bottom) * 0.08;
  return bottom === top ? [bottom, bottom + 1] : [bottom, top];
}

// One figure: title, scale, lines, and a legend with the latest values.
export function figure(plot, now, minutes, format) {
  const caption = element("figcaption", {}, element("span", {}, plot.title));
  const filled = plot.series.filter((one) => one.points.length);
  if (!filled.length) {
    return element("figure", {}, caption, element("p", { class: "note" }, `no values in ${minutes} minutes`));
  }
  const width = 300, height = 100, span = minutes * 60, [bottom, top] = range(filled);
  const latest = (one) => one.points.at(-1)[1], shown = (one) => format(latest(one), plot.unit);
  const ranked = [...filled].sort((a, b) => latest(b) - latest(a)), rest = ranked.slice(LISTED);
  // In the order of the devices, so that a series keeps its colour and its place while values change.
  const listed = filled.filter((one) => !rest.includes(one));
  const more = rest.length ? `and ${rest.length} more, each at most ${shown(rest[0])}` : "";
  const label = `${plot.title}, the last ${minutes} minutes. ` +
    [...listed.map((one) => `${name(one, plot)}: now ${shown(one)}`), ...(more ? [more] : [])].join("; ");
  const lines = drawing("svg", {
    class: "plot", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label,
  });
  const legend = element("ul", { class: "legend" });
  const draw = (one, look) => {
    const points = one.points.map(([time, value]) => [
      (1 - (now - time) / span) * width, height - ((value - bottom) / (top - bottom)) * height,
    ]).filter(([x]) => x >= 0);
    lines.append(drawing("path", { class: look, d: line(points) }));
  };
  rest.forEach((one) => draw(one, "rest"));
  listed.forEach((one, place) => {
    draw(one, style(place));
    const key = drawing("svg", { viewBox: "0 0 20 8", "aria-hidden": "true" },
      drawing("path", { class: style(place), d: "M0 4L20 4" }));
    legend.append(element("li", {}, key, `${name(one, plot)} ${shown(one)}`));
  });
  if (more) legend.append(element("li", { class: "more" }, more));
  const scale = element("div", { class: "scale", "aria-hidden": "true" },
    element("span", {}, format(top, plot.unit)), element("span", {}, format(bottom, plot.unit)));
  const times = element("div", { class: "times", "aria-hidden": "true" },
    element("span", {}, `${minutes} min ago`), element("span", {}, "now"));
  const frame = element("div", { class: "frame" }, scale, lines, times);
  return element("figure", {}, caption, frame, legend);
}

function name(one, plot) {
  const device = one.device || "no deviceId";
  return new Set(plot.series.map((other) => other.field)).size > 1 ? `${device} ${one.field}` : device;
}
