// What fails: a SigError whose `code` is for programs, whose `name` is that of the class in Python (`Denied`,
// `RequestTimeout`, ...), and whose `message` is a sentence for people. More fields, by code: docs/explanation/wire.md.

export class SigError extends Error {
  constructor({ code = "error", message = "", ...more }) {
    super(message || sentence(code, more));
    const name = code === "error" ? "SigError" : code.replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase());
    Object.assign(this, more, { name, code });
  }
}

// For the codes that come without a sentence, since their fields say it all.
function sentence(code, { sender, event, method, timeout, failure }) {
  switch (code) {
    case "unknown_event": return `sender '${sender}' has not declared event '${event}'`;
    case "sender_already_connected": return `there is a sender '${sender}' already: choose another name`;
    case "sender_not_connected": return `there is no sender '${sender ?? "of that name"}' now`;
    case "method_not_found": return `sender '${sender}' has no request '${method}'`;
    case "requests_not_supported": return `sender '${sender}' answers no requests`;
    case "request_timeout": return `sender '${sender}' did not answer request '${method}' within ${timeout} s`;
    case "request_failed": return `the request failed: ${failure?.code || "the sender does not say why"}`;
    default: return `this failed: ${code.replaceAll("_", " ")}`;
  }
}
