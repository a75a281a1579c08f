// The page of the console: takes snapshots as they come and draws them. Elements
// stay where they are from one to the next, so that focus and selection do, too.

const at = id => document.getElementById(id);

// --- drawing ---

const svgTags = new Set(["svg", "path", "rect"]);

// h describes an element. Attributes that begin with "on" are listeners; key tells
// an element from its neighbours where their number changes.
function h(tag, attrs, ...kids) {
  return { tag, attrs: attrs || {}, kids: kids.flat(9).filter(kid => kid != null && kid !== false && kid !== "") };
}

// draw makes the children of an element those that are described. What has gone is
// removed first, so that what stays need not be moved: that would cost it the focus.
function draw(parent, kids) {
  const before = new Map();
  for (const node of parent.childNodes) before.set(node.key, node);
  const drawn = new Set();
  const keys = kids.map((kid, i) => {
    let key = kid.tag ? kid.tag + ":" + (kid.attrs.key ?? i) : "text:" + i;
    while (drawn.has(key)) key += "'"; // two of a name are told apart by their order
    drawn.add(key);
    return key;
  });
  for (const [key, node] of before) if (!drawn.has(key)) node.remove();
  let next = parent.firstChild;
  kids.forEach((kid, i) => {
    let node = before.get(keys[i]);
    if (!node) {
      node = !kid.tag ? document.createTextNode("") : svgTags.has(kid.tag) ? document.createElementNS("http://www.w3.org/2000/svg", kid.tag) : document.createElement(kid.tag);
      node.key = keys[i];
    }
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
    if (kid.tag) dress(node, kid);
    else if (node.data !== String(kid)) node.data = String(kid);
  });
}

function dress(node, { attrs, kids }) {
  for (const { name } of [...node.attributes]) if (!(name in attrs)) node.removeAttribute(name);
  for (const [name, value] of Object.entries(attrs)) {
    if (name === "key") continue;
    if (name.startsWith("on")) node[name] = value;
    else if (value === false || value == null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  draw(node, kids);
}

// --- words ---

const sources = ["live", "endpoint", "cache", "stale", "similar", "rule", "static", "failed", "canceled"];
const standIns = ["endpoint", "stale", "similar", "rule", "static"]; // as telemetry.Answer.Degraded has it
const stateWords = { closed: "closed", half_open: "half open", open: "open", isolated: "isolated" };
const circle = "M1 6a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z";
const shapes = { // a circle, a half one, a square, a diamond
  closed: circle,
  half_open: "M6 1a5 5 0 0 0 0 10Z",
  open: "M1.5 1.5h9v9h-9Z",
  isolated: "M6 .5L11.5 6L6 11.5L.5 6Z",
};

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = n => (n < 10000 ? String(n) : compact.format(n));
const nameOf = name => name || "(no name)";

// broken is a name that may go on in the next line after a mark within it.
const broken = name => nameOf(name).split(/(?<=[_.:/-])/).flatMap((part, i) => (i ? [h("wbr", { key: i }), part] : [part]));

// percent never rounds up to all, nor down to nothing.
function percent(share) {
  if (!share) return "0 %";
  if (share >= 1) return "100 %";
  if (share < 0.001) return "< 0.1 %";
  if (share > 0.99 || share < 0.1) return (Math.floor(share * 1000) / 10).toFixed(1) + " %";
  return Math.round(share * 100) + " %";
}

function seconds(s) {
  if (s <= 0) return "–";
  if (s < 0.01) return (s * 1000).toFixed(1) + " ms";
  if (s < 1) return Math.round(s * 1000) + " ms";
  return s < 10 ? s.toFixed(1) + " s" : Math.round(s) + " s";
}

function span(s) {
  s = Math.max(0, Math.ceil(s));
  if (s < 100) return s + " s";
  if (s < 6000) return Math.ceil(s / 60) + " min";
  return s < 100 * 3600 ? Math.ceil(s / 3600) + " h" : Math.ceil(s / 86400) + " d";
}

function bytes(n) {
  const units = ["B", "kB", "MB", "GB"];
  let i = 0;
  for (; n >= 1024 && i < 3; i++) n /= 1024;
  return (i && n < 10 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

// clock says at what time it was, and on what day if that is not today.
function clock(time) {
  const when = new Date(time), hour = when.toLocaleTimeString([], { hourCycle: "h23" });
  if (when.toDateString() === new Date().toDateString()) return hour;
  return when.toLocaleDateString("en", { month: "short", day: "numeric" }) + ", " + hour;
}

const until = (time, now) => (Date.parse(time) - Date.parse(now)) / 1000;

// --- figures ---

const sum = (counts, names) => names.reduce((n, name) => n + (counts?.[name] || 0), 0);

// figuresOf adds up the last minute of one function, or of several.
function figuresOf(functions) {
  const minute = {};
  for (const f of functions) for (const [name, n] of Object.entries(f.minute || {})) minute[name] = (minute[name] || 0) + n;
  const all = sum(minute, sources) - (minute.canceled || 0);
  const failed = minute.failed || 0, stoodIn = sum(minute, standIns);
  return { minute, all, rate: all / 60, failed: all ? failed / all : 0, stoodIn: all ? stoodIn / all : 0, answered: all ? 1 - failed / all : 0 };
}

const gravity = { closed: 0, half_open: 1, open: 2, isolated: 3 };
const worst = f => f.breakers.reduce((a, b) => (!a || gravity[b.state] > gravity[a.state] ? b : a), null);

// troubleOf returns how bad it is: "bad" if calls fail, "hand" if somebody isolated
// it, "warn" if something stands in.
function troubleOf(f) {
  const figures = figuresOf([f]), breaker = worst(f);
  if (figures.failed >= 0.01) return "bad";
  if (breaker?.state === "isolated") return "hand";
  return figures.failed || figures.stoodIn || (breaker && breaker.state !== "closed") ? "warn" : "";
}

// --- parts of the page ---

const shape = state => h("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" },
  h("path", { d: shapes[state] }), h("path", { d: state === "half_open" ? circle : shapes[state], fill: "none", "stroke-width": 1.5 }));

const stateOf = state => h("span", { class: "state " + state }, shape(state), stateWords[state]);

// stateNote says what comes next for a breaker, and why it is as it is.
function stateNote(b, now) {
  const notes = [];
  if (b.until && b.state === "open") notes.push("next probe in " + span(until(b.until, now)));
  if (b.until && b.state === "isolated") notes.push("for " + span(until(b.until, now)));
  if (!b.until && b.state === "isolated") notes.push("until released");
  if (b.state === "half_open") notes.push(b.probes === 1 ? "1 probe under way" : b.probes + " probes under way");
  if (b.metricsOnly) notes.push("refuses nobody" + (b.metricsUntil ? " for " + span(until(b.metricsUntil, now)) : ""));
  if (b.reason) notes.push("“" + b.reason + "”");
  return notes.join(", ");
}

// spark draws calls a second as stacked areas: failed lowest, so that it is seen.
function spark(f) {
  const layers = [[3, "failed"], [2, "degraded"], [1, "cache"], [0, "live"]];
  const totals = f.seconds.map(s => s[0] + s[1] + s[2] + s[3]);
  const most = Math.max(1, ...totals), n = totals.length, base = totals.map(() => 0);
  const paths = layers.map(([i, name]) => {
    const low = base.slice();
    if (!f.seconds.some(s => s[i])) return null;
    f.seconds.forEach((s, x) => { base[x] += s[i]; });
    const y = v => (30 - 29 * v / most).toFixed(1);
    let d = "";
    for (let x = 0; x < n; x++) d += `${x ? "L" : "M"}${x * 2} ${y(base[x])}H${x * 2 + 2}`;
    for (let x = n - 1; x >= 0; x--) d += `L${x * 2 + 2} ${y(low[x])}H${x * 2}`;
    return h("path", { key: name, class: "c-" + name, d: d + "Z" });
  });
  const label = `Calls per second in the last minute: ${(figuresOf([f]).rate).toFixed(1)} on average, ${most} at most`;
  return h("svg", { class: "spark", viewBox: `0 0 ${2 * n} 30`, preserveAspectRatio: "none", role: "img", "aria-label": n ? label : "No calls" }, paths);
}

// bar draws shares; what they are is written below it.
function bar(counts) {
  const all = sum(counts, sources);
  let x = 0;
  const parts = sources.filter(name => counts?.[name]).map(name => {
    const width = 100 * counts[name] / all, left = x;
    x += width;
    return h("rect", { key: name, class: "c-" + name, x: left.toFixed(2) + "%", width: width.toFixed(2) + "%", height: "100%" });
  });
  return h("svg", { class: "bar", "aria-hidden": "true" }, parts);
}

function meter(used, most) {
  const share = Math.min(1, most ? used / most : 0);
  return h("svg", { class: share >= 0.95 ? "meter full" : "meter", "aria-hidden": "true" }, h("rect", { width: (100 * share).toFixed(1) + "%", height: "100%" }));
}

const keys = counts => h("ul", { class: "keys" }, sources.filter(name => counts?.[name]).map(name =>
  h("li", { key: name }, h("span", { class: "dot c-" + name, "aria-hidden": "true" }), name + " ", h("b", null, percent(counts[name] / sum(counts, sources))))));

// table draws rows of cells, the first of which heads its row. Cells know their
// column, for narrow screens.
function table(caption, heads, rows) {
  return h("table", { role: "table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map(head => h("th", { scope: "col", role: "columnheader" }, head ? head : h("span", { class: "unseen" }, "Actions"))))),
    h("tbody", { role: "rowgroup" }, rows.map(([key, first, ...cells]) => h("tr", { key, role: "row" },
      h("th", { scope: "row", role: "rowheader" }, first),
      cells.map((cell, i) => h("td", { role: "cell", "data-of": heads[i + 1] || null }, cell))))));
}

// --- a function ---

const opened = new Map(); // by name, what somebody chose

function functionRows(f, s) {
  const id = "f-" + s.functions.indexOf(f);
  const open = opened.get(f.name) ?? s.functions.length <= 2;
  const figures = figuresOf([f]), breaker = worst(f), trouble = troubleOf(f);
  const alike = breaker ? f.breakers.filter(b => b.state === breaker.state).length : 0;
  const cell = (of, ...kids) => h("td", { role: "cell", "data-of": of }, kids);
  const toggle = () => { opened.set(f.name, !open); render(); };
  const row = h("tr", { key: f.name, id, role: "row", class: trouble },
    h("th", { scope: "row", role: "rowheader" },
      h("button", { type: "button", class: "toggle", "aria-label": nameOf(f.name), "aria-expanded": String(open), "aria-controls": id + "-more", onclick: toggle },
        h("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, h("path", { d: "M2 0L9 5L2 10Z" })), h("span", null, broken(f.name)))),
    cell("Breaker", breaker ? stateOf(breaker.state) : h("span", { class: "soft" }, "none yet"),
      f.breakers.length > 1 && h("span", { class: "small soft" }, `${alike} of ${f.breakers.length}`),
      breaker && h("span", { class: "small soft" }, stateNote(breaker, s.at))),
    cell("Calls a second", h("div", { class: "rate" }, spark(f), h("span", { class: "figure nowrap" }, figures.rate.toFixed(figures.rate < 10 ? 1 : 0)))),
    cell("Answered", figures.all
      ? [h("span", { class: "figure" }, percent(figures.answered)), h("div", { class: "small soft nowrap" }, percent(figures.stoodIn) + " stand-ins")]
      : h("span", { class: "soft" }, "no calls")),
    cell("Latency", h("dl", { class: "quantiles" }, ["p50", "p95", "p99"].flatMap(p => [h("dt", { key: p }, p), h("dd", { key: p }, seconds(f[p]))]))),
    cell("Answers by source", bar(f.minute), keys(f.minute)),
    cell("Cache", f.cache ? cacheOf(f.cache) : h("span", { class: "soft" }, "none")),
    cell("Head-room", headRoom(f)));
  return open ? [row, h("tr", { key: f.name + "\u0000more", id: id + "-more", class: "details", role: "row" }, h("td", { colspan: 8, role: "cell" }, details(f, s)))] : [row];
}

function cacheOf(c) {
  const asked = c.hits + c.stale + c.misses;
  return [
    h("span", { class: "figure" }, asked ? percent((c.hits + c.stale) / asked) : "–"), h("span", { class: "nowrap" }, " hits"),
    meter(c.maxEntries ? c.entries / c.maxEntries : c.bytes / c.maxBytes, 1),
    h("div", { class: "small soft" }, h("span", { class: "nowrap" }, count(c.entries) + (c.maxEntries > 0 ? " of " + count(c.maxEntries) : "")), ", ", h("span", { class: "nowrap" }, bytes(c.bytes))),
  ];
}

// headRoom is that of the limiter which has least: requests may pass several, one after
// the other.
function headRoom(f) {
  const load = l => (l.bound ? l.inFlight / l.bound : -1);
  const tight = f.limiters.reduce((a, b) => (!a || load(b) > load(a) ? b : a), null);
  const queued = f.limiters.reduce((n, l) => n + l.queued, 0);
  if (!f.limiters.length && !f.budget) return h("span", { class: "soft" }, "no limits");
  return [
    tight && [h("span", { class: "figure" }, tight.inFlight + (tight.bound ? " / " + tight.bound : "")), h("span", { class: "nowrap" }, " in flight"), tight.bound > 0 && meter(tight.inFlight, tight.bound)],
    f.limiters.length > 1 && h("div", { class: "small soft" }, broken(tight.name)),
    queued > 0 && h("div", { class: "small" }, queued + " queued"),
    f.budget && h("div", { class: "small soft nowrap" }, "retries: " + f.budget.tokens + (f.budget.burst ? " of " + Math.floor(f.budget.burst) : "")),
  ];
}

function details(f, s) {
  const can = action => s.actions.includes(action);
  const part = (title, wide, ...kids) => h("section", { key: title, class: wide ? "wide" : null }, h("h3", null, title), kids);
  const about = nameOf(f.name);
  return h("div", { class: "parts" },
    f.breakers.length > 0 && part("Breakers", true, table(`Breakers of ${about}`, ["Breaker", "State", "Window", ...(can("isolate") ? [""] : [])], f.breakers.map(b => [b.name, broken(b.name),
      [stateOf(b.state), h("span", { class: "small soft" }, stateNote(b, s.at))],
      b.state === "closed" ? `${b.calls} calls, ${b.faults} faults${b.slow ? `, ${b.slow} slow` : ""}` : b.since ? "since " + clock(b.since) : "",
      ...(can("isolate") ? [breakerAction(f, b)] : [])]))),
    f.endpoints.length > 0 && part("Endpoints", true, table(`Endpoints of ${about}`, ["Endpoint", "Health", "Answers in", "In flight", "Asked", "Faults"], f.endpoints.map(e => [e.name,
      [broken(e.name), e.region && h("span", { class: "small soft" }, ` ${e.region}`)], health(e, s.at), seconds(e.latency), e.inFlight, count(e.asked), count(e.faults)]))),
    f.limiters.length > 0 && part("Limits", false, table(`Limits of ${about}`, ["Limiter", "In flight", "Queued", "Rate"], f.limiters.map((l, i) => [l.name + i,
      broken(l.name), l.inFlight + (l.bound ? " of " + l.bound : ""), l.queued, l.perSecond ? +l.perSecond.toFixed(1) + " /s" : "any"]))),
    f.throttles.length > 0 && part("Throttles", false, table(`Throttles of ${about}`, ["Throttle", "Refuses now"], f.throttles.map((t, i) => [t.name + i, broken(t.name), percent(t.refused)]))),
    f.fidelity.length > 0 && part("Fidelity of stand-ins", false, table(`Fidelity of the stand-ins of ${about}`, ["Rung", "Has an answer", "Agrees with live"], f.fidelity.map(r => [r.rung, r.rung,
      percent(r.asked ? r.answered / r.asked : 0), r.answered ? `${percent(r.agreed / r.answered)} of ${count(r.answered)}` : "–"]))),
    part("Since the start", false, bar(f.calls), keys(f.calls),
      h("p", { class: "small soft" }, `${count(sum(f.calls, sources))} calls; latencies of the last ${count(f.recent)}`),
      f.cache && can("purge") && h("p", null, h("button", { type: "button", onclick: () => ask({ action: "purge", function: f.name }) }, "Purge cache…"))));
}

function health(e, now) {
  if (e.ejected && until(e.ejected, now) > 0) return h("span", { class: "state open" }, shape("open"), "out for " + span(until(e.ejected, now)));
  if (e.resting && until(e.resting, now) > 0) return h("span", { class: "state half_open" }, shape("half_open"), "rests for " + span(until(e.resting, now)));
  return h("span", { class: "state closed" }, shape("closed"), "in use");
}

function breakerAction(f, b) {
  const action = b.state === "isolated" ? "release" : "isolate";
  return h("button", { type: "button", "aria-label": `${action} ${b.name} of ${nameOf(f.name)}`, onclick: () => ask({ action, function: f.name, breaker: b.name }) },
    action === "release" ? "Release…" : "Isolate…");
}

// --- what stands above and below the table ---

function verdict(s) {
  const by = { bad: [], hand: [], warn: [], "": [] };
  for (const f of s.functions) by[troubleOf(f)].push(f);
  const all = figuresOf(s.functions);
  const link = f => h("a", { key: f.name, href: "#f-" + s.functions.indexOf(f) }, nameOf(f.name));
  const list = functions => functions.slice(0, 5).flatMap((f, i) => [i ? ", " : "", link(f)]).concat(functions.length > 5 ? ` and ${functions.length - 5} more` : []);
  const breakers = s.functions.flatMap(f => f.breakers), open = breakers.filter(b => b.state === "open" || b.state === "isolated").length;
  let kind = "good", say = "All is well: every call is answered, none by a stand-in.", more = [`${s.functions.length} ${s.functions.length === 1 ? "function" : "functions"} watched.`];
  if (by.bad.length) {
    [kind, say] = ["bad", `Calls fail: ${percent(all.failed)} of the last minute's.`];
    more = ["See ", list(by.bad), "."];
  } else if (by.warn.length + by.hand.length) {
    [kind, say] = ["warn", all.failed ? "Nearly all calls are answered." : all.stoodIn ? "All calls are answered, some by stand-ins." : "All calls are answered; not all is as it should be."];
    more = ["See ", list([...by.hand, ...by.warn]), "."];
  } else if (!all.all) [kind, say] = ["good", "No calls in the last minute."];
  const tile = (name, value, tint) => h("div", { class: tint ? "tint-" + tint : null }, h("dt", null, name), h("dd", null, value));
  draw(at("verdict"), [h("div", { class: "card verdict" },
    h("div", { class: "say " + kind }, h("p", null, say), h("p", null, more)),
    h("dl", { class: "tiles" },
      tile("Calls a second", all.rate.toFixed(all.rate < 10 ? 1 : 0)),
      tile("Answered", all.all ? percent(all.answered) : "–", all.failed >= 0.01 && "bad"),
      tile("By stand-ins", all.all ? percent(all.stoodIn) : "–", all.stoodIn && "warn"),
      tile("Failed", all.all ? percent(all.failed) : "–", all.failed >= 0.01 && "bad"),
      tile("Breakers open", open + " / " + breakers.length, open && "warn")))]);
  document.title = (kind === "bad" ? "✖ " : kind === "warn" ? "▲ " : "") + "sparekey console";
}

const sinceOf = config => (config.appliedAt ? clock(config.appliedAt) : "the start");

function configBanner({ config }) {
  draw(at("config"), !config ? [] : [config.problems
    ? h("div", { class: "banner bad" }, h("p", null, h("b", null, `${config.name} was not taken.`), ` What is in force is of ${sinceOf(config)}.`), h("pre", { tabindex: 0, role: "region", "aria-label": "Problems of the file" }, config.problems))
    : h("p", { class: "banner" }, h("b", null, config.name), ` is in force since ${sinceOf(config)}.`)]);
}

function queues(s) {
  draw(at("queues"), !s.queues.length ? [] : [h("section", { "aria-labelledby": "queues-title" }, h("h2", { id: "queues-title" }, "Queues"),
    h("div", { class: "card parts queues" }, h("section", null, table("Queues of jobs", ["Queue", "Waiting", "Oldest waits", "Scheduled", "Running", "Given up"],
      s.queues.map(q => [q.name, nameOf(q.name), count(q.waiting), q.oldest ? span(q.oldest) : "–", count(q.scheduled), count(q.running), count(q.dead)])))))]);
}

function events(s) {
  draw(at("events"), [s.events.length ? h("ol", { class: "events card" }, s.events.map(e => h("li", { key: e.at + e.function + e.text },
    h("time", { datetime: e.at }, clock(e.at)), h("span", { class: "kind" }, e.kind), h("span", { class: "from" }, e.function ? nameOf(e.function) : ""), h("span", { class: "text" }, e.text))))
    : h("p", { class: "card empty" }, "Nothing that you should know of has happened.")]);
}

function functions(s) {
  const used = sources.filter(name => s.functions.some(f => f.minute?.[name]));
  draw(at("legend"), [h("p", { class: "small soft" }, used.length ? "Calls, answers and their sources are of the last minute." : "Nothing was called in the last minute.")]);
  const heads = ["Function", "Breaker", "Calls a second", "Answered", "Latency", "Answers by source", "Cache", "Head-room"];
  draw(at("table"), [s.functions.length ? h("div", { class: "card" }, h("table", { class: "main", role: "table", "aria-labelledby": "functions" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map(head => h("th", { scope: "col", role: "columnheader" }, head)))),
    h("tbody", { role: "rowgroup" }, s.functions.flatMap(f => functionRows(f, s)))))
    : h("p", { class: "card empty" }, "No functions are watched.")]);
}

// --- news, for those who listen ---

let states = null;

function news(s) {
  const now = new Map();
  for (const f of s.functions) for (const b of f.breakers) now.set(f.name + "\u0000" + b.name, [`${nameOf(f.name)}: ${nameOf(b.name)} is ${stateWords[b.state]}`, b.state]);
  const changed = states && [...now].filter(([key, [, state]]) => states.has(key) ? states.get(key)[1] !== state : state !== "closed").map(([, [text]]) => text);
  states = now;
  if (changed?.length) at("news").textContent = changed.slice(0, 5).join(". ") + ".";
}

let latest = null;

function render() {
  if (!latest) return;
  verdict(latest);
  configBanner(latest);
  functions(latest);
  queues(latest);
  events(latest);
  at("reload").hidden = !latest.actions.includes("reload");
}

// --- where snapshots come from ---

let source = null, paused = false, again = 0;

function feed(kind, text) {
  at("feed").className = "feed " + kind;
  if (at("feed").textContent !== text) at("feed").textContent = text;
}

function listen() {
  clearTimeout(again);
  source?.close();
  source = null;
  if (paused || document.hidden) return;
  source = new EventSource("events");
  source.onopen = expect;
  source.onmessage = message => {
    expect();
    latest = JSON.parse(message.data);
    feed("on", "Live, " + clock(latest.at));
    news(latest);
    render();
  };
  source.onerror = () => {
    clearTimeout(again);
    feed("off", latest ? "No connection since " + clock(latest.at) : "No connection");
    if (source?.readyState === EventSource.CLOSED) again = setTimeout(listen, 3000); // it would not try again by itself
  };
}

// expect comes again unless a snapshot comes: the other end may hang, or have gone
// without a word. The time is longer than a slow reader is given.
function expect() {
  clearTimeout(again);
  again = setTimeout(() => {
    feed("off", latest ? "Nothing new since " + clock(latest.at) : "Nothing comes");
    listen();
  }, 15000);
}

at("pause").onclick = () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  if (paused) feed("", "Paused" + (latest ? " at " + clock(latest.at) : ""));
  listen();
};
document.addEventListener("visibilitychange", listen);

// --- actions ---

const questions = {
  isolate: ["Isolate this breaker?", "It refuses every request until the time is up; calls are answered by stand-ins, or fail.", "Isolate"],
  release: ["Release this breaker?", "Probes decide then whether it closes.", "Release"],
  purge: ["Purge this cache?", "Every answer of the function is forgotten; the service is asked for all of them again.", "Purge"],
  reload: ["Reload the file?", "It comes into force if nothing is wrong with it.", "Reload"],
};

let order = null;

function ask(what) {
  order = what;
  const [title, text, button] = questions[what.action];
  at("ask-title").textContent = title;
  at("ask-about").textContent = what.function == null ? "" : [nameOf(what.function), what.breaker].filter(Boolean).join(", ");
  at("ask-text").textContent = text;
  at("ask-do").textContent = button;
  at("ask-optional").textContent = what.action === "isolate" ? "" : "(optional)";
  at("ask-lasts").hidden = what.action !== "isolate";
  at("ask-reason").value = "";
  at("ask-error").textContent = "";
  at("ask").showModal();
  at("ask-reason").focus();
}

at("reload").onclick = () => ask({ action: "reload" });
at("ask-cancel").onclick = () => at("ask").close();
at("ask-form").onsubmit = async event => {
  event.preventDefault();
  const asked = order, { action, ...about } = asked;
  const body = { ...about, reason: at("ask-reason").value.trim() };
  if (action === "isolate") body.for = at("ask-for").value;
  if (action === "isolate" && !body.reason) {
    at("ask-error").textContent = "An isolation needs a reason.";
    at("ask-reason").focus();
    return;
  }
  at("ask-do").disabled = true;
  let problem = "";
  try {
    const answer = await fetch(action, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) problem = "Not done: " + (await answer.text()).trim();
  } catch {
    problem = "The program cannot be reached.";
  }
  at("ask-do").disabled = false;
  if (order !== asked) return; // the dialog is about something else by now
  if (problem) at("ask-error").textContent = problem;
  else at("ask").close();
};

listen();
