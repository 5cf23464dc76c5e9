// A client of sig for web pages: copy this file. It speaks docs/explanation/wire.md, as far as pages need it.
//
//     import { connect } from "./sig.js";
//     const router = await connect("ws://localhost:3000/");
//     const stop = await router.listen("lab/*", "changed", (data, { sender, time }) => console.log(time, data));
//     const page = await router.addSender("page", ["clicked"], { double: (x) => 2 * x });
//     page.trigger("clicked", { button: 1 });
//     console.log(await router.request("lab/oven", "read", { probe: 1 }));
//     router.closed.then((why) => console.log("the link is down:", why));
//
// What fails rejects with a SigError, whose `code` is for programs. Integers beyond 2^53 lose digits, as ever in JS.

const HELLO = 0x01, WELCOME = 0x02, BYE = 0x03, PING = 0x04, PONG = 0x05, ERROR = 0x08;
const CALL = 0x10, RESULT = 0x11, ROUTE = 0x12, ROUTE_GONE = 0x13, INTEREST = 0x14, PRESENCE = 0x15;
const EVENT = 0x20, REQUEST = 0x30, REPLY = 0x31, CANCEL = 0x32, CREDIT = 0x40;
const LENS = 0x01, MIXED = 0x02, ERR = 0x01, HEADER = 12;
const encode = (text) => new TextEncoder().encode(text), decode = (bytes) => new TextDecoder().decode(bytes);
const json = (value) => encode(JSON.stringify(value ?? null));

export class SigError extends Error {
  constructor({ code = "error", message = code, ...more }) {
    super(message);
    Object.assign(this, more, { name: "SigError", code });
  }
}

// Resolves when the server has welcomed us. `name` stands in its lists.
export function connect(url, { name = "a web page" } = {}) {
  return new Promise((resolve, reject) => new Router(url, name, resolve, reject));
}

class Router {
  #socket; #welcomed; #routes = new Map(); #waiting = new Map(); #listeners = new Map(); #senders = new Map();
  #number = 0; #credit = 0; #queue = []; #why = "the link was lost";

  constructor(url, name, resolve, reject) {
    this.#socket = new WebSocket(url, "pysig.v1"); // there is no preface in a WebSocket
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.#now(HELLO, json({ versions: [1], codecs: ["json"], name }));
    this.#welcomed = () => resolve(this);
    this.#socket.onmessage = ({ data }) => { // one frame or several, each of them whole
      for (let at = 0, end; at < data.byteLength; at = end) {
        end = at + HEADER + new DataView(data, at).getUint32(0, true);
        this.#receive(new DataView(data, at, end - at));
      }
    };
    // A promise of the reason, kept when the link is down, whoever ended it.
    this.closed = new Promise((down) => {
      this.#socket.onclose = () => {
        const error = new SigError({ code: "connection_lost", message: this.#why });
        reject(error); // of no effect once we were welcomed
        for (const waiting of this.#waiting.values()) waiting.reject(error);
        this.#waiting.clear();
        down(this.#why);
      };
    });
  }

  // Calls `callback(data, { sender, event, time })` for each event; names, patterns, or null for any. Resolves, when
  // all that is triggered from now on will come, with a function that ends it.
  async listen(sender, event, callback) {
    const id = ++this.#number;
    this.#listeners.set(id, { sender: matcher(sender), event: matcher(event, true), callback });
    const stop = () => this.#listeners.delete(id) && this.#call("close", { id });
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
    if (requests) this.#senders.set(name, requests);
    await this.#call("add_sender", { name, events, requests: requests && Object.keys(requests) });
    return {
      trigger: (event, data) => {
        const route = this.#route((r) => r.owner && r.sender === name && r.event === event);
        if (route === undefined) throw new SigError({ code: "unknown_event", sender: name, event });
        this.#inOrder(frame(EVENT, [new Uint8Array(8), json(data)], { route, count: 1 }));
      },
      remove: () => this.#call("remove_sender", { name }),
    };
  }

  async request(sender, method, params, seconds = 30) {
    const known = this.#route((r) => r.sender === sender && r.event == null);
    const route = known ?? (await this.#call("open_requests", { sender }));
    const name = encode(method), head = new DataView(new ArrayBuffer(14)), corr = ++this.#number;
    head.setUint32(4, corr, true);
    head.setUint32(8, seconds * 1000, true);
    head.setUint8(12, 1);
    head.setUint8(13, name.length);
    const answer = this.#answer(REPLY, corr, route);
    this.#inOrder(frame(REQUEST, [head, name, json(params)], { route }));
    const late = setTimeout(() => {
      this.#settle(REPLY, corr, ERR, { code: "request_timeout", sender, method, timeout: seconds });
      this.#now(CANCEL, head.buffer.slice(0, 8), { route });
    }, seconds * 1000);
    return answer.finally(() => clearTimeout(late));
  }

  senders(pattern = null) { return this.#call("senders", { pattern }); }

  // Resolves when everything triggered before has been routed.
  flush() { return this.#call("flush"); }

  close() {
    this.#why = "closed";
    if (this.#socket.readyState === WebSocket.OPEN) this.#now(BYE, json({ code: "closed" }));
    this.#socket.close(); // behind what was sent
    return this.closed;
  }

  // -- within

  #receive(view) {
    const kind = view.getUint8(4), flags = view.getUint8(5);
    const count = view.getUint16(6, true), route = view.getUint32(8, true);
    const body = new DataView(view.buffer, view.byteOffset + HEADER, view.byteLength - HEADER);
    const value = () => JSON.parse(decode(body));
    if (kind === EVENT) this.#events(body, flags, count, route);
    else if (kind === WELCOME) { this.#credit = value().window_bytes; this.#welcomed(); }
    else if (kind === BYE || kind === ERROR) { const { code, message } = value(); this.#why = message || code; }
    else if (kind === PING) this.#now(PONG, body);
    else if (kind === ROUTE) this.#routes.set(route, value());
    else if (kind === ROUTE_GONE) this.#gone(route);
    else if (kind === INTEREST) this.#interest(body, value().state, route);
    else if (kind === RESULT) this.#settle(RESULT, route, flags, value());
    else if (kind === REPLY) this.#settle(REPLY, body.getUint32(4, true), flags, JSON.parse(decode(rest(body, 8))));
    else if (kind === REQUEST) this.#asked(body, route);
    else if (kind === CREDIT) this.#more(body);
    else if (kind === PRESENCE) this.#present(value());
    // LOST is left out here: it says that this page was too slow, or that JSON cannot carry what came.
    // Whatever else comes need not be understood.
  }

  #events(body, flags, count, route) {
    const time = Number(body.getBigUint64(0, true));
    const start = 8 + 4 * count * (!!(flags & MIXED) + !!(flags & LENS));
    const text = decode(rest(body, start));
    const payloads = count === 1 ? [text] : text.split("\n");
    for (let i = 0; i < count; i++) {
      const { sender, event } = this.#routes.get(flags & MIXED ? body.getUint32(8 + 4 * i, true) : route);
      this.#hand(sender, event, JSON.parse(payloads[i]), time);
    }
  }

  #hand(sender, event, data, time_us) {
    for (const listener of this.#listeners.values()) {
      if (!listener.sender(sender) || !listener.event(event)) continue;
      try {
        listener.callback(data, { sender, event, time: new Date(time_us / 1000) });
      } catch (error) {
        reportError(error); // the others still run
      }
    }
  }

  #present({ sender, event, data, time_us = 0 }) { this.#hand(sender, event, data, time_us); }

  async #asked(body, route) {
    const { sender } = this.#routes.get(route), nameEnd = 14 + body.getUint8(13);
    const method = decode(rest(body, 14, nameEnd)), params = JSON.parse(decode(rest(body, nameEnd)));
    let answer, flags = 0;
    try {
      answer = await this.#senders.get(sender)[method](params);
    } catch ({ name, message }) {
      answer = { code: "remote_error", message, type: name, failure: { code: "", data: null }, traceback: null };
      flags = ERR;
    }
    this.#now(REPLY, [rest(body, 0, 8), json(answer)], { route, flags });
  }

  // Whoever begins to listen waits until we know. Here nothing is ever held back.
  #interest(body, state, route) { if (state !== "none") this.#now(INTEREST, body, { route }); }

  #more(body) {
    if (body.getUint8(8) === 0) this.#credit += Number(body.getBigUint64(0, true)); // else it is not in bytes
    this.#pump();
  }

  #gone(route) {
    this.#routes.delete(route);
    const error = { code: "connection_lost", message: "the sender has left; whether it has done its work is unknown" };
    for (const waiting of this.#waiting.values()) if (waiting.route === route) waiting.fail(error);
  }

  #call(call, fields = {}) {
    const number = ++this.#number, answer = this.#answer(RESULT, number);
    this.#inOrder(frame(CALL, [json({ call, ...fields })], { route: number }));
    return answer.then((result) => result.ok);
  }

  #answer(kind, number, route) {
    return new Promise((resolve, reject) => {
      const fail = (error) => this.#settle(kind, number, ERR, error);
      this.#waiting.set(`${kind} ${number}`, { resolve, reject, fail, route });
      if (this.#socket.readyState !== WebSocket.OPEN) fail({ code: "connection_lost", message: this.#why });
    });
  }

  #settle(kind, number, flags, value) {
    const key = `${kind} ${number}`, waiting = this.#waiting.get(key); // none, if we do not wait any more
    this.#waiting.delete(key);
    if (flags & ERR) waiting?.reject(new SigError(value));
    else waiting?.resolve(value);
  }

  #route(wanted) {
    for (const [number, route] of this.#routes) if (wanted(route)) return number;
  }

  // What stands in order waits behind events that wait for credit; the rest leaves now.
  #inOrder(data) { this.#queue.push(data); this.#pump(); }

  #pump() {
    while (this.#queue.length && (this.#queue[0][4] !== EVENT || this.#credit > 0)) {
      const data = this.#queue.shift();
      if (data[4] === EVENT) this.#credit -= data.length;
      this.#socket.send(data);
    }
  }

  #now(kind, body, header) { this.#socket.send(frame(kind, [body].flat(), header)); }
}

function rest(view, start, end = view.byteLength) {
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start);
}

function frame(kind, parts, { flags = 0, count = 0, route = 0 } = {}) {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const data = new Uint8Array(HEADER + length), head = new DataView(data.buffer);
  head.setUint32(0, length, true);
  head.setUint8(4, kind);
  head.setUint8(5, flags);
  head.setUint16(6, count, true);
  head.setUint32(8, route, true);
  let at = HEADER;
  for (const part of parts) {
    data.set(part instanceof ArrayBuffer ? new Uint8Array(part) : rest(part, 0), at);
    at += part.byteLength;
  }
  return data;
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
