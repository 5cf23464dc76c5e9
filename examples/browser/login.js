// How a page proves who it is: docs/explanation/wire.md, CHALLENGE and AUTH. Tokens and passwords do not cross the link.

import { SigError } from "./errors.js";

const PURPOSE = "sig login key", TRANSCRIPT = "sig login 1";
const bytes = (text) => new TextEncoder().encode(text);
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
const refused = (message) => new SigError({ code: "denied", message });
const wrong = (message) => new SigError({ code: "invalid_argument", message });

// What proves that: { login, answer }, or null for nothing. One of `token`, `user` with `password`, and `bearer`: a text
// for the server's own authenticator, or a function that returns one, or a promise of one.
export function prover(url, { token, user, password, bearer }) {
  const ways = [token, user ?? password, bearer].filter((way) => way != null).length;
  if (ways === 0) return null;
  if (ways > 1) throw wrong("give one of token, user with password, and bearer: not several");
  if (bearer != null) return own(url, bearer);
  // Without these the browser has no cryptography for us, and for a reason.
  if (!globalThis.crypto?.subtle) {
    throw new SigError({
      code: "insecure_page",
      message: "this page cannot log in: it has come over clear-text http://, where others can put a script into it that "
        + "reads your token or password. Open it by https://, or from http://localhost",
    });
  }
  if (token != null) return byToken(token);
  if (user == null || password == null) throw wrong("a password needs user and password, both of them");
  return byPassword(user, password);
}

function own(url, bearer) {
  const { protocol, hostname } = new URL(url, location.href);
  if (protocol === "ws:" && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) {
    throw wrong(`what bearer says would cross the network for all to read on its way to ${hostname}: use wss://`);
  }
  return {
    login: "",
    async answer(challenge) {
      check(challenge, "own");
      return { text: await (typeof bearer === "function" ? bearer() : bearer) };
    },
  };
}

function byToken(text) {
  const [, id, secret] = /^sig1-([0-9a-f]{16})-([A-Za-z0-9_-]{43})$/.exec(String(text).trim()) ?? [];
  if (id === undefined) throw wrong("this is no token: it must be as `sig token` printed it, sig1-...-..., in one piece");
  const raw = atob(secret.replaceAll("-", "+").replaceAll("_", "/"));
  return {
    login: id,
    async answer(challenge) {
      check(challenge, "proof");
      return proved(Uint8Array.from(raw, (letter) => letter.charCodeAt(0)), id, challenge);
    },
  };
}

function byPassword(user, password) {
  return {
    login: user,
    async answer(challenge) {
      const { salt = "", cost = [0, 0, 0] } = check(challenge, "proof");
      return proved(await scrypt(bytes(password), unhex(salt), ...cost), user, challenge);
    },
  };
}

function check(challenge, method) {
  if (challenge.method === method) return challenge;
  throw refused(challenge.method === "own"
    ? "the server wants something for its own authenticator: give bearer"
    : "the server wants a token or a password: give token, or user and password");
}

async function proved(secret, login, { nonce }) {
  const mine = crypto.getRandomValues(new Uint8Array(32));
  const key = await hmac(secret, bytes(PURPOSE));
  const verifier = await crypto.subtle.digest("SHA-256", key);
  const told = [bytes(TRANSCRIPT), bytes(login), unhex(nonce), mine];
  const signature = await hmac(verifier, Uint8Array.from(told.flatMap((part) => [part.length & 255, part.length >> 8, ...part])));
  return { nonce: hex(mine), proof: hex(key.map((byte, i) => byte ^ signature[i])) };
}

async function hmac(secret, data) {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, data));
}

function unhex(text) {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw refused("the server asks with what is no hexadecimal number: it is none of ours");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

// scrypt (RFC 7914), 32 bytes of it, which browsers do not have. It takes some tenths of a second, in pieces, for the page
// is to go on meanwhile.
export async function scrypt(password, salt, n, r, p) {
  const sane = n >= 2 ** 14 && n <= 2 ** 17 && (n & (n - 1)) === 0 && r >= 8 && r <= 16 && p >= 1 && p <= 4;
  if (!sane) throw refused(`the server wants passwords hashed with n=${n}, r=${r}, p=${p}: that is not safe`);
  const blocks = await pbkdf2(password, salt, p * 128 * r);
  for (let i = 0; i < p; i++) await mix(blocks.subarray(i * 128 * r, (i + 1) * 128 * r), n, r);
  return pbkdf2(password, blocks, 32);
}

async function pbkdf2(password, salt, length) {
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations: 1 };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 8 * length));
}

async function mix(block, n, r) {
  const size = 32 * r, view = new DataView(block.buffer, block.byteOffset, block.length);
  let x = Uint32Array.from({ length: size }, (_, i) => view.getUint32(4 * i, true)), y = new Uint32Array(size);
  const seen = new Uint32Array(n * size);
  for (let step = 0; step < 2 * n; step++) {
    if (step < n) {
      seen.set(x, step * size);
    } else {
      const from = (x[size - 16] & (n - 1)) * size;
      for (let i = 0; i < size; i++) x[i] ^= seen[from + i];
    }
    mixBlocks(x, y, r);
    [x, y] = [y, x];
    if (step % 4096 === 0) await new Promise((next) => setTimeout(next));
  }
  x.forEach((word, i) => view.setUint32(4 * i, word, true));
}

function mixBlocks(from, to, r) {
  const x = from.slice(-16);
  for (let i = 0; i < 2 * r; i++) {
    for (let k = 0; k < 16; k++) x[k] ^= from[16 * i + k];
    salsa(x);
    to.set(x, 16 * ((i >> 1) + (i & 1) * r)); // the even ones, then the odd ones
  }
}

const turned = (word, by) => (word << by) | (word >>> (32 - by));

// Salsa20/8. Its sixteen words have names of their own, which makes it twice as fast.
function salsa(x) {
  let x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
  let x8 = x[8], x9 = x[9], xa = x[10], xb = x[11], xc = x[12], xd = x[13], xe = x[14], xf = x[15];
  for (let round = 0; round < 8; round += 2) {
    x4 ^= turned(x0 + xc, 7); x8 ^= turned(x4 + x0, 9); xc ^= turned(x8 + x4, 13); x0 ^= turned(xc + x8, 18);
    x9 ^= turned(x5 + x1, 7); xd ^= turned(x9 + x5, 9); x1 ^= turned(xd + x9, 13); x5 ^= turned(x1 + xd, 18);
    xe ^= turned(xa + x6, 7); x2 ^= turned(xe + xa, 9); x6 ^= turned(x2 + xe, 13); xa ^= turned(x6 + x2, 18);
    x3 ^= turned(xf + xb, 7); x7 ^= turned(x3 + xf, 9); xb ^= turned(x7 + x3, 13); xf ^= turned(xb + x7, 18);
    x1 ^= turned(x0 + x3, 7); x2 ^= turned(x1 + x0, 9); x3 ^= turned(x2 + x1, 13); x0 ^= turned(x3 + x2, 18);
    x6 ^= turned(x5 + x4, 7); x7 ^= turned(x6 + x5, 9); x4 ^= turned(x7 + x6, 13); x5 ^= turned(x4 + x7, 18);
    xb ^= turned(xa + x9, 7); x8 ^= turned(xb + xa, 9); x9 ^= turned(x8 + xb, 13); xa ^= turned(x9 + x8, 18);
    xc ^= turned(xf + xe, 7); xd ^= turned(xc + xf, 9); xe ^= turned(xd + xc, 13); xf ^= turned(xe + xd, 18);
  }
  x[0] += x0; x[1] += x1; x[2] += x2; x[3] += x3; x[4] += x4; x[5] += x5; x[6] += x6; x[7] += x7;
  x[8] += x8; x[9] += x9; x[10] += xa; x[11] += xb; x[12] += xc; x[13] += xd; x[14] += xe; x[15] += xf;
}
