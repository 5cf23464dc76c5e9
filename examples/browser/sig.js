// A client of sig for web pages: copy this file, errors.js and login.js. It speaks docs/explanation/wire.md, as far as pages need it.
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
import { prover } from "./login.js";
export { SigError };

const HELLO = 0x01, WELCOME = 0x02, BYE = 0x03, PING = 0x04, PONG = 0x05, CHALLENGE = 0x06, AUTH = 0x07, ERROR = 0x08;
const CALL = 0x10, RESULT = 0x11, ROUTE = 0x12, ROUTE_GONE = 0x13, INTEREST = 0x14, PRESENCE = 0x15;
const EVENT = 0x20, REQUEST = 0x30, REPLY = 0x31, CANCEL = 0x32, CREDIT = 0x40, LOST = 0x42;
const LENS = 0x01, MIXED = 0x02, ERR = 0x01, HEADER = 12, FOR_EVER = 0xffffffff;
const REASONS = ["unknown", "slow", "lost_link", "server_restart", "codec", "undecodable", "too_big"]; // of LOST
const NOBODY_KNOWS = 2n ** 64n - 1n;
const encode = (text) => new TextEncoder().encode(text), decode = (bytes) => new TextDecoder().decode(bytes);
const failure = (code, message) => new SigError({ code, message });

function json(value) {
  let text;
  try {
    text = JSON.stringify(value ?? null);
  } catch (error) { // cycles, BigInt
    throw failure("invalid_data", `this cannot be said in JSON: ${error.message}`);
  }
  if (text === undefined) throw failure("invalid_data", `this cannot be said in JSON: a ${typeof value}`);
  return encode(text);
}

// Resolves when the server has welcomed us. `name` stands in its lists; `timeout` is in seconds. Who the page is say `token`,
// or `user` and `password`, or `bearer`, which the server's own authenticator takes.
export async function connect(url, { name = "a web page", timeout = 10, ...login } = {}) {
  let proving, socket;
  try {
    proving = prover(url, login);
    socket = new WebSocket(url, "pysig.v1"); // there is no preface in a WebSocket
  } catch (error) {
    throw error instanceof SigError ? error : failure("invalid_argument", `cannot connect to ${url}: ${error.message}`);
  }
  return new Promise((resolve, reject) => new Router(socket, { name, timeout, proving }, resolve, reject));
}

class Router {
  #socket; #proving; #welcomed; #routes = new Map(); #waiting = new Map(); #listeners = new Map(); #senders = new Map();
  #number = 0; #credit = 0; #largest = Infinity; #queue = [];
  #end = { code: "connection_lost", message: "the link was lost" };

  constructor(socket, { name, timeout, proving }, resolve, reject) {
    this.#socket = socket;
    this.#socket.binaryType = "arraybuffer";
    this.#proving = proving;
    const failed = (why) => { this.#end = { code: "connect_failed", message: `cannot connect to ${socket.url}: ${why}` }; };
    // Browsers do not tell pages more than that.
    failed("nobody answers there who speaks sig and lets in pages from here (origins of the server)");
    this.#socket.onopen = () => {
      failed("the server has said nothing that we understand");
      this.#now(HELLO, json({ versions: [1], codecs: ["json"], name, login: proving?.login ?? null }));
    };
    const late = setTimeout(() => {
      failed(`the server did not let us in within ${timeout} s`);
      this.#socket.close();
    }, timeout * 1000);
    this.#welcomed = ({ window_bytes, max_frame_bytes, identity = "" }) => {
      clearTimeout(late);
      [this.#credit, this.#largest] = [window_bytes, max_frame_bytes];
      this.identity = identity; // who we are to the server; "" if we have proved nothing
      this.#end = { code: "connection_lost", message: "the link was lost" };
      resolve(this);
    };
    this.#socket.onmessage = ({ data }) => { // one frame or several, each of them whole
      for (let at = 0, end; at < data.byteLength; at = end) {
        end = at + HEADER + new DataView(data, at).getUint32(0, true);
        try {
          this.#receive(new DataView(data, at, end - at));
        } catch (error) {
          reportError(error); // what cannot be read costs its own frame, and no other
        }
      }
    };
    // A promise of the reason, kept when the link is down, whoever ended it: a SigError, with the code `closed` if it was
    // the page, and `retry_after_s` if the server has said when to come back.
    this.closed = new Promise((down) => {
      this.#socket.onclose = () => {
        clearTimeout(late);
        const end = new SigError(this.#end);
        reject(end); // of no effect once we were welcomed
        const lost = this.#lost();
        for (const waiting of this.#waiting.values()) waiting.reject(lost);
        this.#waiting.clear();
        down(end);
      };
    });
  }

  // Calls `callback(data, { sender, event, time })` for each event; names, patterns, or null for any. Resolves, when
  // all that is triggered from now on will come, with a function that ends it. Where events are missing, since the page
  // was too slow or JSON cannot carry them, `onGap({ missed, reason }, { sender, event })` is called in their place.
  async listen(sender, event, callback, { onGap } = {}) {
    const id = ++this.#number;
    this.#listeners.set(id, { sender: matcher(sender), event: matcher(event, true), callback, onGap });
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
    const before = this.#senders.get(name);
    if (requests) this.#senders.set(name, requests); // the first may be asked before we read that it is registered
    try {
      await this.#call("add_sender", { name, events, requests: requests && Object.keys(requests) });
    } catch (error) {
      this.#senders.set(name, before);
      throw error;
    }
    return {
      trigger: (event, data) => {
        const route = this.#route((r) => r.owner && r.sender === name && r.event === event);
        if (this.#socket.readyState !== WebSocket.OPEN) throw this.#lost();
        if (route === undefined) throw new SigError({ code: "unknown_event", sender: name, event });
        const { denied } = this.#routes.get(route);
        if (denied !== undefined) throw failure("denied", `you may not trigger event '${event}' of sender '${name}': ${denied}`);
        this.#inOrder(frame(EVENT, [new Uint8Array(8), json(data)], { route, count: 1 }));
      },
      remove: () => this.#call("remove_sender", { name }),
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
    this.#inOrder(frame(REQUEST, [head, name, payload], { route }));
    const answer = this.#answer(REPLY, corr, route);
    const late = time < 2 ** 31 && setTimeout(() => { // beyond that, timers of browsers go off at once
      this.#settle(REPLY, corr, ERR, { code: "request_timeout", sender, method, timeout: seconds });
      this.#now(CANCEL, head.buffer.slice(0, 8), { route });
    }, time);
    return answer.finally(() => clearTimeout(late));
  }

  senders(pattern = null) { return this.#call("senders", { pattern }); }

  // Resolves when everything triggered before has been routed.
  flush() { return this.#call("flush"); }

  close() {
    this.#end = { code: "closed", message: "the page has closed the router" };
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
    else if (kind === WELCOME) this.#welcomed(value());
    else if (kind === CHALLENGE) this.#prove(value());
    else if (kind === BYE) { if (this.#end.code !== "closed") this.#end = value(); }
    else if (kind === ERROR) this.#end = { ...value(), code: this.#largest === Infinity ? "handshake_refused" : "protocol_error" };
    else if (kind === PING) this.#now(PONG, body);
    else if (kind === ROUTE) this.#routes.set(route, value());
    else if (kind === ROUTE_GONE) this.#gone(route);
    else if (kind === INTEREST) this.#interest(body, value(), route);
    else if (kind === RESULT) this.#settle(RESULT, route, flags, value());
    else if (kind === REPLY) this.#answered(body, flags);
    else if (kind === REQUEST) this.#asked(body, route);
    else if (kind === CREDIT) this.#more(body);
    else if (kind === PRESENCE) this.#present(value());
    else if (kind === LOST) this.#missed(body, route);
    // Whatever else comes need not be understood.
  }

  async #prove(challenge) {
    try {
      this.#now(AUTH, json(await this.#proving.answer(challenge)));
    } catch (error) {
      this.#end = error;
      this.#socket.close();
    }
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
    this.#tell(sender, event, ({ callback }) => callback(data, { sender, event, time: new Date(time_us / 1000) }));
  }

  #missed(body, route) {
    const { sender, event } = this.#routes.get(route), count = body.getBigUint64(0, true);
    const gap = { missed: count === NOBODY_KNOWS ? null : Number(count), reason: REASONS[body.getUint8(8)] ?? "unknown" };
    this.#tell(sender, event, ({ onGap }) => onGap?.(gap, { sender, event }));
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
    this.#settle(REPLY, body.getUint32(4, true), flags, value);
  }

  async #asked(body, route) {
    let answer, flags = 0;
    try {
      const { sender } = this.#routes.get(route), nameEnd = 14 + body.getUint8(13);
      const method = decode(rest(body, 14, nameEnd)), requests = this.#senders.get(sender);
      if (!Object.hasOwn(requests, method)) throw new SigError({ code: "method_not_found", sender, method });
      answer = json(await requests[method](JSON.parse(decode(rest(body, nameEnd)))));
      if (answer.length > this.#largest - 8) throw failure("message_too_big", `the answer is larger than ${this.#largest} bytes`);
    } catch (error) {
      answer = json(told(error));
      flags = ERR;
    }
    this.#now(REPLY, [rest(body, 0, 8), answer], { route, flags });
  }

  // Whoever begins to listen waits until we know. Here nothing is ever held back.
  #interest(body, { state, reason }, route) {
    const known = this.#routes.get(route);
    if (known) known.denied = state === "denied" ? reason : undefined;
    if (state === "some" || state === "grouped") this.#now(INTEREST, body, { route });
  }

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
    const number = ++this.#number, body = json({ call, ...fields }), answer = this.#answer(RESULT, number);
    this.#inOrder(frame(CALL, [body], { route: number }));
    return answer.then((result) => result.ok);
  }

  #lost() { return new SigError({ code: "connection_lost", message: `there is no link: ${new SigError(this.#end).message}` }); }

  #answer(kind, number, route) {
    return new Promise((resolve, reject) => {
      const fail = (error) => this.#settle(kind, number, ERR, error);
      this.#waiting.set(`${kind} ${number}`, { resolve, reject, fail, route });
      if (this.#socket.readyState !== WebSocket.OPEN) fail(this.#lost());
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
    if (size > this.#largest) throw failure("message_too_big", `${size} bytes are too many: the server takes ${this.#largest}`);
    this.#queue.push(data);
    this.#pump();
  }

  #pump() {
    while (this.#queue.length && (this.#queue[0][4] !== EVENT || this.#credit > 0)) {
      const data = this.#queue.shift();
      if (data[4] === EVENT) this.#credit -= data.length;
      this.#socket.send(data);
    }
  }

  #now(kind, body, header) { this.#socket.send(frame(kind, [body].flat(), header)); }
}

// How a handler's failure is told to who has asked.
function told(error) {
  const message = String(error?.message ?? error), failure = { code: "", data: null };
  if (error instanceof SigError && error.code !== "error") return { ...error, code: error.code, message };
  return { code: "remote_error", message, type: error?.name ?? typeof error, failure, traceback: null };
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
