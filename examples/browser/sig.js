// A client of sig for web pages: copy this file, link.js, login.js and errors.js. It speaks docs/explanation/wire.md, as far
// as pages need it.
//
//     import { connect } from "./sig.js";
//     const router = await connect("ws://localhost:3000/");
//     const stop = await router.listen("lab/*", "changed", (data, { sender, time }) => console.log(time, data));
//     const page = await router.addSender("page", ["clicked"], { double: (x) => 2 * x });
//     page.trigger("clicked", { button: 1 });
//     console.log(await router.request("lab/oven", "read", { probe: 1 }));
//     router.closed.then(({ code, message }) => console.log("the link is down:", message));
//
// What fails rejects with a SigError, see errors.js. Integers beyond 2^53 lose digits, as ever in JS.

import { SigError } from "./errors.js";
import { decode, encode, failure, frame, HEADER, json, KIND, Link, rest } from "./link.js";
import { prover } from "./login.js";
export { SigError };

const LENS = 0x01, MIXED = 0x02, ERR = 0x01, FOR_EVER = 0xffffffff, NOBODY_KNOWS = 2n ** 64n - 1n;
const REASONS = ["unknown", "slow", "lost_link", "server_restart", "codec", "undecodable", "too_big"]; // of LOST
// In seconds: the longest wait before the first attempt to come back, and where doubling ends; what a server may ask for; and
// how long a link must have lived for the doubling to begin anew.
const FIRST = 0.5, LONGEST = 30, LONGEST_ASKED = 3600, SETTLED = 10;

// Resolves when the server has welcomed us. `name` stands in its lists; `timeout` is in seconds. Who the page is say `token`,
// or `user` and `password`, or `bearer`, which the server's own authenticator takes. With `reconnect` a page whose link is lost
// comes back by itself.
export async function connect(url, { name = "a web page", timeout = 10, reconnect = false, ...login } = {}) {
  const proving = prover(url, login);
  return new Promise((resolve, reject) => new Router(url, { name, timeout, reconnect, proving }, resolve, reject));
}

class Router {
  #url; #options; #link; #welcomed; #closed; #end = null; #retry; #attempts = 0; #links = 0; #since; #session; #epoch;
  #routes = new Map(); #before = new Map(); #waiting = new Map(); #listeners = new Map(); #senders = new Map();
  #number = 0; #credit = 0; #queue = [];
  identity = ""; // who we are to the server; "" if we have proved nothing
  state = "connecting"; // connected, away, closed
  onState = null; // called with each of these

  constructor(url, options, resolve, reject) {
    [this.#url, this.#options] = [url, options];
    [this.#welcomed, this.#closed] = [resolve, reject];
    // A promise of the reason, kept when all is over, whoever ended it: a SigError, with the code `closed` if it was the
    // page, and `retry_after_s` if the server has said when to come back.
    this.closed = new Promise((over) => {
      this.#closed = (end) => {
        reject(end); // of no effect once we were welcomed
        over(end);
      };
    });
    this.#connect();
  }

  // Calls `callback(data, { sender, event, time })` for each event; names, patterns, or null for any. Resolves, when
  // all that is triggered from now on will come, with a function that ends it. Where events are missing, since the page
  // was too slow or away, or JSON cannot carry them, `onGap({ missed, reason }, { sender, event })` is called in their place.
  async listen(sender, event, callback, { onGap } = {}) {
    const id = ++this.#number;
    const [bySender, byEvent, link] = [matcher(sender), matcher(event, true), this.#links];
    this.#listeners.set(id, { asked: { id, sender, event }, sender: bySender, event: byEvent, callback, onGap, link });
    const stop = async () => {
      if (this.#listeners.delete(id) && this.#link.open) await this.#call("close", { id });
    };
    try {
      await this.#call("listen", { id, sender, event });
    } catch (error) {
      this.#listeners.delete(id);
      throw error;
    }
    return stop;
  }

  // Registers a sender; `requests` maps methods to functions, async ones too.
  async addSender(name, events = [], requests = null) {
    const before = this.#senders.get(name), asked = { name, events, requests: requests && Object.keys(requests) };
    this.#senders.set(name, { asked, requests }); // which may be asked before we read that it is registered
    try {
      await this.#call("add_sender", asked);
    } catch (error) {
      if (before) this.#senders.set(name, before);
      else this.#senders.delete(name);
      throw error;
    }
    return {
      trigger: (event, data) => {
        const route = this.#route((r) => r.owner && r.sender === name && r.event === event);
        if (!this.#link.open || (route === undefined && events.includes(event) && this.#senders.has(name))) throw this.#lost();
        if (route === undefined) throw new SigError({ code: "unknown_event", sender: name, event });
        const { denied } = this.#routes.get(route);
        if (denied !== undefined) throw failure("denied", `you may not trigger event '${event}' of sender '${name}': ${denied}`);
        this.#inOrder(frame(KIND.EVENT, [new Uint8Array(8), json(data)], { route, count: 1 }));
      },
      remove: async () => {
        this.#senders.delete(name);
        if (this.#link.open) await this.#call("remove_sender", { name });
      },
    };
  }

  // The answer. `seconds` is how long to wait for it at most, and may be Infinity.
  async request(sender, method, params, seconds = 30) {
    const name = encode(method), payload = json(params), corr = ++this.#number;
    if (name.length === 0 || name.length > 255) throw failure("invalid_name", "the name of a request has 1 to 255 bytes");
    const known = this.#route((r) => r.sender === sender && r.event == null && !r.replica);
    const route = known ?? (await this.#call("open_requests", { sender }));
    const head = new DataView(new ArrayBuffer(14)), time = Math.min(seconds * 1000, FOR_EVER);
    head.setUint32(4, corr, true);
    head.setUint32(8, time, true);
    head.setUint8(12, 1);
    head.setUint8(13, name.length);
    this.#inOrder(frame(KIND.REQUEST, [head, name, payload], { route }));
    const answer = this.#answer(KIND.REPLY, corr, route);
    const late = time < 2 ** 31 && setTimeout(() => { // beyond that, timers of browsers go off at once
      this.#settle(KIND.REPLY, corr, ERR, { code: "request_timeout", sender, method, timeout: seconds });
      this.#link.say(KIND.CANCEL, head.buffer.slice(0, 8), { route });
    }, time);
    return answer.finally(() => clearTimeout(late));
  }

  senders(pattern = null) { return this.#call("senders", { pattern }); }

  // Resolves when everything triggered before has been routed.
  flush() { return this.#call("flush"); }

  close() {
    clearTimeout(this.#retry);
    this.#options.reconnect = false;
    this.#link.close(); // also one that is not up yet
    if (this.state === "away") this.#over(failure("closed", "the page has closed the router"));
    return this.closed;
  }

  // -- the link

  #connect() {
    const { name, timeout, proving, reconnect } = this.#options;
    const hello = { name, session: this.#session ?? null, features: reconnect ? ["returns"] : [] };
    this.#link = new Link(this.#url, { hello, timeout, proving }, {
      welcomed: (welcome) => this.#welcome(welcome),
      take: (...frame) => this.#take(...frame),
      ended: (end) => this.#down(end),
    });
  }

  #welcome({ window_bytes, session, epoch, identity = "" }) {
    [this.#credit, this.#session, this.identity, this.#since] = [window_bytes, session, identity, performance.now()];
    const restarted = this.#links++ > 0 && epoch !== this.#epoch;
    this.#epoch = epoch;
    if (restarted) for (const was of this.#before.values()) was.reason = "server_restart";
    if (this.#links > 1) this.#restore();
    this.#now("connected");
    this.#welcomed(this);
  }

  // All that was registered is registered again.
  #restore() {
    const calls = [...this.#senders.values()].map(({ asked }) => this.#call("add_sender", asked));
    for (const { asked } of this.#listeners.values()) calls.push(this.#call("listen", { ...asked, again: true }));
    for (const call of calls) call.catch((error) => error.code === "connection_lost" || reportError(error));
  }

  #down(end) {
    [this.#end, this.#queue] = [end, []];
    for (const route of this.#routes.values()) this.#remember(route);
    this.#routes.clear();
    const lost = this.#lost();
    for (const waiting of this.#waiting.values()) waiting.reject(lost);
    this.#waiting.clear();
    // Whoever was refused, or sent away, would be refused again; unless the server says when to come back.
    const refused = ["denied", "handshake_refused", "closed"].includes(end.code) && end.retry_after_s == null;
    if (!this.#options.reconnect || this.#links === 0 || refused) return this.#over(end);
    if (this.state === "connected" && performance.now() - this.#since > SETTLED * 1000) this.#attempts = 0;
    const pause = Math.random() * Math.min(LONGEST, FIRST * 2 ** Math.min(this.#attempts++, 10));
    this.#retry = setTimeout(() => this.#connect(), 1000 * (pause + Math.min(end.retry_after_s ?? 0, LONGEST_ASKED)));
    this.#now("away");
  }

  #remember({ sender, event, incarnation, next }) {
    if (event != null) this.#before.set(`${sender} ${event}`, { incarnation, next, reason: "lost_link" });
  }

  #over(end) {
    this.#now("closed");
    this.#closed(end);
  }

  #now(state) {
    if (this.state === state) return;
    this.state = state;
    try {
      this.onState?.(state);
    } catch (error) {
      reportError(error);
    }
  }

  #lost() { return failure("connection_lost", `there is no link: ${this.#end?.message ?? "it is not up yet"}`); }

  // -- what comes

  #take(kind, flags, count, route, body) {
    const value = () => JSON.parse(decode(body));
    if (kind === KIND.EVENT) this.#events(body, flags, count, route);
    else if (kind === KIND.ROUTE) this.#known(route, value());
    else if (kind === KIND.ROUTE_GONE) this.#gone(route, value());
    else if (kind === KIND.INTEREST) this.#interest(body, value(), route);
    else if (kind === KIND.RESULT) this.#settle(KIND.RESULT, route, flags, value());
    else if (kind === KIND.REPLY) this.#answered(body, flags);
    else if (kind === KIND.REQUEST) this.#asked(body, route);
    else if (kind === KIND.CREDIT) this.#more(body);
    else if (kind === KIND.PRESENCE) this.#present(value());
    else if (kind === KIND.LOST) this.#missed(body, route);
    // Whatever else comes need not be understood.
  }

  // Events are counted here as at the server: so a page that was away knows how many it has missed.
  #known(number, { next_seq = 1, first_seq = 0, unsure_seq = 0, ...route }) {
    const name = `${route.sender} ${route.event}`, was = this.#before.get(name), again = this.#routes.has(number);
    this.#before.delete(name);
    this.#routes.set(number, { ...route, next: next_seq });
    if (route.event == null || route.owner || again || !(was || first_seq)) return;
    const same = !was || was.incarnation === route.incarnation, counted = was && same ? was.next : first_seq;
    const missed = same && unsure_seq <= counted ? next_seq - counted : null;
    if (missed !== 0) this.#gap(route, { missed, reason: was?.reason ?? "lost_link" }, this.#links);
  }

  #events(body, flags, count, route) {
    const time = Number(body.getBigUint64(0, true));
    const start = 8 + 4 * count * (!!(flags & MIXED) + !!(flags & LENS));
    const text = decode(rest(body, start));
    const payloads = count === 1 ? [text] : text.split("\n");
    for (let i = 0; i < count; i++) {
      const known = this.#routes.get(flags & MIXED ? body.getUint32(8 + 4 * i, true) : route);
      known.next++;
      this.#hand(known.sender, known.event, JSON.parse(payloads[i]), time);
    }
  }

  #hand(sender, event, data, time_us) {
    this.#tell(sender, event, ({ callback }) => callback(data, { sender, event, time: new Date(time_us / 1000) }));
  }

  #missed(body, route) {
    const known = this.#routes.get(route), count = body.getBigUint64(0, true);
    const missed = count === NOBODY_KNOWS ? null : Number(count);
    known.next += missed ?? 0;
    this.#gap(known, { missed, reason: REASONS[body.getUint8(8)] ?? "unknown" });
  }

  // Those who listen only since a later link have missed nothing.
  #gap({ sender, event }, gap, before = Infinity) {
    this.#tell(sender, event, ({ onGap, link }) => link < before && onGap?.(gap, { sender, event }));
  }

  #tell(sender, event, say) {
    for (const listener of this.#listeners.values()) {
      if (!listener.sender(sender) || !listener.event(event)) continue;
      try {
        say(listener);
      } catch (error) {
        reportError(error); // the others still run
      }
    }
  }

  #present({ sender, event, data, time_us = 0 }) { this.#hand(sender, event, data, time_us); }

  #answered(body, flags) {
    let value;
    try {
      value = JSON.parse(decode(rest(body, 8)));
    } catch (error) {
      [flags, value] = [ERR, { code: "invalid_data", message: `the answer is no JSON: ${error.message}` }];
    }
    this.#settle(KIND.REPLY, body.getUint32(4, true), flags, value);
  }

  async #asked(body, route) {
    const link = this.#link; // a reply is for the one that asked
    let answer, flags = 0;
    try {
      const { sender } = this.#routes.get(route), nameEnd = 14 + body.getUint8(13);
      const method = decode(rest(body, 14, nameEnd)), { requests } = this.#senders.get(sender);
      if (!Object.hasOwn(requests, method)) throw new SigError({ code: "method_not_found", sender, method });
      answer = json(await requests[method](JSON.parse(decode(rest(body, nameEnd)))));
      if (answer.length > link.largest - 8) throw failure("message_too_big", `the answer is larger than ${link.largest} bytes`);
    } catch (error) {
      answer = json(told(error));
      flags = ERR;
    }
    link.say(KIND.REPLY, [rest(body, 0, 8), answer], { route, flags });
  }

  // Whoever begins to listen waits until we know. Here nothing is ever held back.
  #interest(body, { state, reason }, route) {
    const known = this.#routes.get(route);
    if (known) known.denied = state === "denied" ? reason : undefined;
    if (state === "some" || state === "grouped") this.#link.say(KIND.INTEREST, body, { route });
  }

  #more(body) {
    if (body.getUint8(8) === 0) this.#credit += Number(body.getBigUint64(0, true)); // else it is not in bytes
    this.#pump();
  }

  #gone(route, { reason }) {
    if (reason === "shutdown" && this.#routes.has(route)) this.#remember(this.#routes.get(route));
    this.#routes.delete(route);
    const error = { code: "connection_lost", message: "the sender has left; whether it has done its work is unknown" };
    for (const waiting of this.#waiting.values()) if (waiting.route === route) waiting.fail(error);
  }

  #call(call, fields = {}) {
    const number = ++this.#number, body = json({ call, ...fields }), answer = this.#answer(KIND.RESULT, number);
    this.#inOrder(frame(KIND.CALL, [body], { route: number }));
    return answer.then((result) => result.ok);
  }

  #answer(kind, number, route) {
    return new Promise((resolve, reject) => {
      const fail = (error) => this.#settle(kind, number, ERR, error);
      this.#waiting.set(`${kind} ${number}`, { resolve, reject, fail, route });
      if (!this.#link.open) fail(this.#lost());
    });
  }

  #settle(kind, number, flags, value) {
    const key = `${kind} ${number}`, waiting = this.#waiting.get(key); // none, if we do not wait any more
    this.#waiting.delete(key);
    if (flags & ERR) waiting?.reject(value instanceof SigError ? value : new SigError(value));
    else waiting?.resolve(value);
  }

  #route(wanted) {
    for (const [number, route] of this.#routes) if (wanted(route)) return number;
  }

  // What stands in order waits behind events that wait for credit; the rest leaves now.
  #inOrder(data) {
    const size = data.length - HEADER;
    const { largest } = this.#link;
    if (size > largest) throw failure("message_too_big", `${size} bytes are too many: the server takes ${largest}`);
    if (!this.#link.open) return; // and whoever waits for an answer has been told
    this.#queue.push(data);
    this.#pump();
  }

  #pump() {
    while (this.#queue.length && (this.#queue[0][4] !== KIND.EVENT || this.#credit > 0)) {
      const data = this.#queue.shift();
      if (data[4] === KIND.EVENT) this.#credit -= data.length;
      this.#link.send(data);
    }
  }

}

// How a handler's failure is told to who has asked.
function told(error) {
  const message = String(error?.message ?? error), failure = { code: "", data: null };
  if (error instanceof SigError && error.code !== "error") return { ...error, code: error.code, message };
  return { code: "remote_error", message, type: error?.name ?? typeof error, failure, traceback: null };
}

// Whether a name matches: `*` stands for one level, `**` at the end for one or more, null for anything.
function matcher(pattern, event = false) {
  if (pattern === null) return () => true;
  if (!pattern.includes("*")) return (name) => name === pattern;
  const stars = { "**": ".+", "*": "[^/]+" }, literal = (level) => level.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&");
  const levels = pattern.split("/").map((level) => stars[level] ?? literal(level));
  const expression = new RegExp(`^${levels.join("/")}$`, "su");
  return (name) => expression.test(name) && !(event && (name === "#connect" || name === "#disconnect"));
}
