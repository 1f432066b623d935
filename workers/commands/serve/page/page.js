// Asks this server for the figures and shows them. Nothing is loaded from elsewhere.

import { follow } from "./history.js";
import { element, figure, sparkline } from "./plots.js";

const EVERY_MS = 2000, LAB_EVERY_MS = 5000, GIVEN_UP_MS = 8000;

const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

let paused = false;
const shown = new Map();

// Replaces a node's children, but only if what they show has changed: a screen reader would start again.
function show(node, content, build) {
  const key = JSON.stringify(content);
  if (shown.get(node) === key) return;
  shown.set(node, key);
  node.replaceChildren(...build(content));
}

function number(value) {
  return value === null || value === undefined ? "–" : (value < 10 ? tenths : whole).format(value);
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return `${tenths.format(seconds)} s`;
  return seconds < 7200 ? `${whole.format(seconds / 60)} min` : `${tenths.format(seconds / 3600)} h`;
}

function withUnit(value, unit) {
  if (!unit.startsWith("B")) return hundredths.format(value) + (unit ? ` ${unit}` : "");
  const powers = ["", "Ki", "Mi", "Gi", "Ti"];
  let power = 0, rest = value;
  while (Math.abs(rest) >= 1024 && power < powers.length - 1) { rest /= 1024; power += 1; }
  return `${tenths.format(rest)} ${powers[power]}${unit}`;
}

function verdict(status) {
  const errors = status.troubles.filter((trouble) => trouble.severity === "error").length;
  const warnings = status.troubles.length - errors;
  const count = (many, noun) => `${many} ${noun}${many === 1 ? "" : "s"}`;
  if (errors) return ["error", count(errors, "problem") + (warnings ? `, ${count(warnings, "warning")}` : "")];
  if (warnings) return ["warning", `No problem found, ${count(warnings, "warning")}`];
  return ["good", "No problem found"];
}

function troubleItem(trouble) {
  const kind = element("span", { class: "kind" }, trouble.severity === "error" ? "Problem: " : "Warning: ");
  return element("li", { class: trouble.severity },
    element("p", {}, kind, trouble.cause), element("p", {}, `→ ${trouble.remedy}`));
}

function sums(content) {
  const rows = content.status.partitions, total = (name) => rows.reduce((sum, row) => sum + row[name], 0);
  const rates = Object.values(content.history.partitions).map((one) => one.rates.at(-1)).filter((rate) => rate !== null);
  const waits = Object.values(content.lag_seconds).filter((seconds) => seconds !== null);
  const running = content.status.workers.filter((worker) => worker.alive && worker.state !== "stopped").length;
  const newest = content.newest_point === null ? "–" : span(Math.max(0, content.at - content.newest_point));
  return [
    ["Stored per second", rates.length ? number(rates.reduce((sum, rate) => sum + rate, 0)) : "–"],
    ["Lag in records", number(content.status.lag)],
    ["Oldest record waits", waits.length ? span(Math.max(...waits)) : "–"],
    ["Age of the newest point", newest],
    ["Stored", number(total("written"))],
    ["Dead letters", number(total("dead_lettered"))],
    ["Workers running", `${running} of ${content.expected_workers}`],
  ];
}

const KNOWN = new Set(["running", "waiting", "starting", "stopping"]);

function partitionRow(row, content) {
  const past = content.history.partitions[row.partition] ?? { rates: [], lags: [] };
  const state = KNOWN.has(row.state) ? row.state : row.state === "on another machine" ? "" : "bad";
  const plotted = (value, values) => element("td", { class: "plotted" },
    element("span", { class: "value" }, number(value)), sparkline(values, content.history.kept));
  return element("tr", { "data-partition": row.partition },
    element("th", { scope: "row" }, String(row.partition), element("small", {}, row.owner ?? "no owner")),
    element("td", { class: `state ${state}` }, row.state),
    plotted(past.rates.at(-1), past.rates), plotted(row.lag, past.lags),
    element("td", { class: "number wide" }, span(content.lag_seconds[row.partition])),
    element("td", { class: "number wide" }, number(row.written)),
    element("td", { class: "number wide" }, number(row.dead_lettered)));
}

function deadLetterItem(one) {
  const item = element("li", {}, element("h3", {}, `${one.reason}: ${number(one.count)}`));
  if (one.example) {
    item.append(
      element("p", {}, `${one.example.place}, stored ${new Date(one.example.stored_at * 1000).toLocaleString()}. ${one.example.error}`),
      element("pre", {}, one.example.payload));
  } else {
    item.append(element("p", {}, "No example is at hand."));
  }
  return item;
}

function render(content) {
  const status = content.status, [kind, text] = verdict(status);
  byId("verdict").className = `verdict ${kind}`;
  show(byId("verdict"), text, () => [text]);
  byId("names").textContent = `topic ${status.topic}, group ${status.group}`;
  byId("version").textContent = `Tower ${content.version}`;
  byId("updated").textContent = `updated ${clock(content.at)}`;
  document.title = kind === "error" ? `Tower: ${text}` : "Tower";
  byId("troubles").hidden = !status.troubles.length;
  show(byId("troubles").querySelector("ul"), status.troubles, (all) => all.map(troubleItem));
  show(byId("sums"), sums(content), (all) => all.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  byId("partitions").tBodies[0].replaceChildren(...status.partitions.map((row) => partitionRow(row, content)));
  const dead = content.dead_letters;
  byId("dead-note").textContent = dead.length
    ? "Records that could not become points, since the workers started, each reason with its newest example. `tower dlq list` shows all."
    : "None.";
  show(byId("dead"), dead, (all) => all.map(deadLetterItem));
}

function renderLab(content) {
  const note = byId("lab-note");
  const cut = content.plots.some((plot) => plot.is_cut) ? " Only the first 12 devices are plotted." : "";
  note.textContent = content.problem ? `${content.problem} → ${content.remedy}`
    : `The last ${content.minutes} minutes, from InfluxDB, as the lab's dashboard shows them.${cut}`;
  note.classList.toggle("problem", Boolean(content.problem));
  byId("lab").replaceChildren(...content.plots.map((plot) => figure(plot, content.at, content.minutes, withUnit)));
}

function renderSilence(reason) {
  document.body.classList.add("stale");
  byId("verdict").className = "verdict unknown";
  show(byId("verdict"), reason, () => [`No answer from tower serve (${reason}). What stands below is old.`]);
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(GIVEN_UP_MS) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function repeat(path, everyMs, whenAnswered, whenSilent) {
  for (;;) {
    if (!paused && !document.hidden) {
      try {
        await whenAnswered(await ask(path));
      } catch (error) {
        whenSilent(error.message);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Resume" : "Pause";
});

repeat("api/page", EVERY_MS, async (content) => {
  content.history = await follow(content.history, () => ask("api/history"));
  document.body.classList.remove("stale");
  render(content);
}, renderSilence);
repeat("api/lab", LAB_EVERY_MS, renderLab, () => {});
