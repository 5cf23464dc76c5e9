// One link to a server, from HELLO to its end, and the frames on it: docs/explanation/wire.md.

import { SigError } from "./errors.js";

export const KIND = {
  HELLO: 0x01, WELCOME: 0x02, BYE: 0x03, PING: 0x04, PONG: 0x05, CHALLENGE: 0x06, AUTH: 0x07, ERROR: 0x08,
  CALL: 0x10, RESULT: 0x11, ROUTE: 0x12, ROUTE_GONE: 0x13, INTEREST: 0x14, PRESENCE: 0x15,
  EVENT: 0x20, REQUEST: 0x30, REPLY: 0x31, CANCEL: 0x32, CREDIT: 0x40, LOST: 0x42,
};
export const HEADER = 12;
export const encode = (text) => new TextEncoder().encode(text), decode = (bytes) => new TextDecoder().decode(bytes);
export const failure = (code, message) => new SigError({ code, message });

// Calls `welcomed(WELCOME)` once, then `take(kind, flags, count, route, body)` for each frame that is not the link's own
// business, and at last `ended(why)`, a SigError. `hello` is what HELLO says beside the usual.
export class Link {
  #socket; #proving; #on; #end; #heard = performance.now(); #late; #watch;
  largest = Infinity; // bytes that the server takes in a frame, once it has welcomed us

  constructor(url, { hello, timeout, proving }, on) {
    try {
      this.#socket = new WebSocket(url, "pysig.v1"); // there is no preface in a WebSocket
    } catch (error) {
      throw failure("invalid_argument", `cannot connect to ${url}: ${error.message}`);
    }
    [this.#proving, this.#on] = [proving, on];
    const failed = (why) => { this.#end = failure("connect_failed", `cannot connect to ${url}: ${why}`); };
    // Browsers do not tell pages more than that.
    failed("nobody answers there who speaks sig and lets in pages from here (origins of the server)");
    this.#late = setTimeout(() => {
      failed(`the server did not let us in within ${timeout} s`);
      this.#socket.close();
    }, timeout * 1000);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      failed("the server has said nothing that we understand");
      this.say(KIND.HELLO, json({ versions: [1], codecs: ["json"], login: proving?.login ?? null, ...hello }));
    };
    this.#socket.onmessage = ({ data }) => { // one frame or several, each of them whole
      this.#heard = performance.now();
      for (let at = 0, end; at < data.byteLength; at = end) {
        end = at + HEADER + new DataView(data, at).getUint32(0, true);
        try {
          this.#receive(new DataView(data, at, end - at));
        } catch (error) {
          reportError(error); // what cannot be read costs its own frame, and no other
        }
      }
    };
    this.#socket.onclose = () => this.#down();
  }

  get open() { return this.largest !== Infinity && this.#socket.readyState === WebSocket.OPEN; }

  // On a link that has ended it goes nowhere.
  send(data) { this.#socket.send(data); }

  say(kind, body, header) { this.send(frame(kind, [body].flat(), header)); }

  close() {
    this.#end = failure("closed", "the page has closed the router");
    if (this.open) this.say(KIND.BYE, json({ code: "closed" }));
    this.#socket.close(); // behind what was sent
  }

  #receive(view) {
    const kind = view.getUint8(4);
    const body = new DataView(view.buffer, view.byteOffset + HEADER, view.byteLength - HEADER);
    const value = () => JSON.parse(decode(body));
    if (kind === KIND.PING) this.say(KIND.PONG, body);
    else if (kind === KIND.WELCOME) this.#welcome(value());
    else if (kind === KIND.CHALLENGE) this.#prove(value());
    else if (kind === KIND.BYE || kind === KIND.ERROR) this.#told(kind, value());
    else this.#on.take(kind, view.getUint8(5), view.getUint16(6, true), view.getUint32(8, true), body);
  }

  #welcome(welcome) {
    clearTimeout(this.#late);
    this.largest = welcome.max_frame_bytes;
    this.#end = failure("connection_lost", "the link was lost");
    const { heartbeat_s, heartbeat_timeout_s } = welcome;
    if (heartbeat_s > 0) this.#watch = setInterval(() => this.#listenFor(heartbeat_timeout_s * 1000), heartbeat_s * 1000);
    this.#on.welcomed(welcome);
  }

  // A page that has slept wakes to messages that wait; so a silence counts only if it is there at the next look, too.
  #silent = false;

  #listenFor(longest) {
    const silent = performance.now() - this.#heard > longest;
    if (silent && this.#silent) {
      this.#end = failure("connection_lost", "the server has said nothing for too long");
      this.#socket.close();
      this.#down(); // the browser would wait for an answer
    }
    this.#silent = silent;
  }

  async #prove(challenge) {
    try {
      this.say(KIND.AUTH, json(await this.#proving.answer(challenge)));
    } catch (error) {
      this.#end = new SigError(error);
      this.#socket.close();
    }
  }

  #told(kind, told) {
    if (this.#end.code === "closed") return; // that is our own, answered
    const code = this.largest === Infinity ? "handshake_refused" : "protocol_error";
    this.#end = new SigError(kind === KIND.BYE ? told : { ...told, code });
  }

  #down() {
    this.#socket.onclose = this.#socket.onmessage = null;
    clearTimeout(this.#late);
    clearInterval(this.#watch);
    this.#on.ended(this.#end);
  }
}

export function json(value) {
  let text;
  try {
    text = JSON.stringify(value ?? null);
  } catch (error) { // cycles, BigInt
    throw failure("invalid_data", `this cannot be said in JSON: ${error.message}`);
  }
  if (text === undefined) throw failure("invalid_data", `this cannot be said in JSON: a ${typeof value}`);
  return encode(text);
}

export function rest(view, start, end = view.byteLength) {
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start);
}

export function frame(kind, parts, { flags = 0, count = 0, route = 0 } = {}) {
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
