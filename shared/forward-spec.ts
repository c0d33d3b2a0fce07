// `[bind_address:]port:host:hostport` and all its kin ⇄ ForwardSpec: the grammar of ssh(1) -L, -R and -D (OpenSSH parse_forward).
import { TundError } from "./errors.ts";
import { maxSocketPath } from "./socket-path.ts";

export type ForwardKind = "local" | "remote" | "dynamic";

/** Where a forward accepts. `address` null: nothing was given, so loopback (or the wildcard under GatewayPorts). */
export type Bind = { address: string | null; port: number } | { path: string };

/** Where a forward's connections go: a host and port, a Unix socket's path, or, for SOCKS, wherever each one asks (null). */
export type Destination = { host: string; port: number } | { path: string } | null;

export interface ForwardSpec {
  kind: ForwardKind;
  bind: Bind;
  destination: Destination;
}

/** What cancel names: the whole forward, or its bind part alone (`destination` undefined). */
export interface ForwardPattern {
  kind: ForwardKind;
  bind: Bind;
  destination?: Destination;
}

/** Finds a TCP service's port (services(5)), or undefined. */
export type ServicePort = (name: string) => number | undefined;

interface Field {
  text: string;
  isPath: boolean;
}

// NI_MAXHOST and sizeof(sun_path), as OpenSSH bounds them.
const MAX_HOST = 1024;
const MAX_PATH = maxSocketPath("linux");

const noServices: ServicePort = () => undefined;

/**
 * Parses a forward as `-L`, `-R` or `-D` takes it. A service's name is accepted for a port where `services` knows it.
 * @throws TundError INVALID_REQUEST that quotes the spec and names what is wrong with it
 */
export function parseForwardSpec(
  kind: ForwardKind,
  text: string,
  services: ServicePort = noServices,
): ForwardSpec {
  const parse = new SpecParser(kind, text, services);
  return parse.whole(kind);
}

/**
 * Parses what `cancel` takes: a whole spec, or its bind part alone (`8080`, `127.0.0.1:8080`, `/path`).
 * @throws TundError INVALID_REQUEST
 */
export function parseForwardPattern(
  kind: ForwardKind,
  text: string,
  services: ServicePort = noServices,
): ForwardPattern {
  const parse = new SpecParser(kind, text, services);
  return parse.pattern(kind);
}

/**
 * Parses where `stdio` goes, as `ssh -W` takes it: `host:port`, `[v6]:port` or `/path`.
 * @throws TundError INVALID_REQUEST
 */
export function parseStdioDestination(
  text: string,
  services: ServicePort = noServices,
): Exclude<Destination, null> {
  const parse = new SpecParser("stdio", text, services);
  return parse.destination();
}

class SpecParser {
  readonly #what: ForwardKind | "stdio";
  readonly #text: string;
  readonly #services: ServicePort;

  constructor(what: ForwardKind | "stdio", text: string, services: ServicePort) {
    this.#what = what;
    this.#text = text;
    this.#services = services;
  }

  whole(kind: ForwardKind): ForwardSpec {
    const [a, b, c, d] = this.#fields();
    if (a === undefined) throw this.#bad("it is empty");
    if (c !== undefined && b !== undefined && kind !== "dynamic")
      return { kind, ...this.#long([a, b, c], d) };
    if (c === undefined && b?.isPath && kind !== "dynamic")
      return { kind, bind: this.#bindPart(a, undefined), destination: this.#path(b) };
    if (c === undefined && kind !== "local") return { kind, bind: this.#bindPart(a, b), destination: null };
    throw this.#bad(`it must have the form ${forms[kind]}`);
  }

  /** Three fields or four: one of the ends is named by two of them. */
  #long([a, b, c]: [Field, Field, Field], d: Field | undefined): Omit<ForwardSpec, "kind"> {
    if (d !== undefined) return { bind: this.#tcpBind(a, b), destination: this.#host(c, d) };
    if (!a.isPath && c.isPath) return { bind: this.#tcpBind(a, b), destination: this.#path(c) };
    return { bind: this.#bindPart(a, undefined), destination: this.#host(b, c) };
  }

  pattern(kind: ForwardKind): ForwardPattern {
    const [a, b, c] = this.#fields();
    const bindAlone = a !== undefined && c === undefined && !b?.isPath;
    return bindAlone ? { kind, bind: this.#bindPart(a, b) } : this.whole(kind);
  }

  destination(): Exclude<Destination, null> {
    const [a, b, c] = this.#fields();
    if (a?.isPath && b === undefined) return this.#path(a);
    if (a !== undefined && b !== undefined && c === undefined) return this.#host(a, b);
    throw this.#bad("it must have the form host:port or /path");
  }

  #bindPart(a: Field, b: Field | undefined): Bind {
    if (b === undefined) return a.isPath ? this.#path(a) : this.#tcpBind(undefined, a);
    return this.#tcpBind(a, b);
  }

  #tcpBind(address: Field | undefined, port: Field): Bind {
    if (address?.isPath) throw this.#bad(`'${address.text}' is a path where a bind address belongs`);
    const number = this.#port(port, "listen");
    // sshd picks a port for 0; nobody would pick one here (ssh refuses it as well).
    if (number === 0 && this.#what !== "remote") throw this.#bad("the listen port must not be 0");
    return { address: address === undefined ? null : this.#hostName(address.text || "*"), port: number };
  }

  #host(host: Field, port: Field): Exclude<Destination, null> {
    if (host.isPath) throw this.#bad(`'${host.text}' is a path where a host belongs`);
    if (host.text === "") throw this.#bad("the destination host is empty");
    const number = this.#port(port, "destination");
    if (number === 0) throw this.#bad("the destination port must not be 0");
    return { host: this.#hostName(host.text), port: number };
  }

  #hostName(text: string): string {
    if (Buffer.byteLength(text) > MAX_HOST) throw this.#bad(`a host name has at most ${MAX_HOST} bytes`);
    // oxlint-disable-next-line no-control-regex -- that is what is refused
    if (/[\u0000-\u0020\u007f]/.test(text))
      throw this.#bad("a host name has no spaces or control characters");
    return text;
  }

  #path(field: Field): { path: string } {
    if (Buffer.byteLength(field.text) > MAX_PATH)
      throw this.#bad(`a Unix socket's path has at most ${MAX_PATH} bytes`);
    if (field.text.includes("\0")) throw this.#bad("a path has no NUL");
    return { path: field.text };
  }

  #port(field: Field, which: "listen" | "destination"): number {
    const { text } = field;
    const port = /^[0-9]+$/.test(text) ? Number(text) : this.#services(text);
    if (port === undefined || port > 65_535)
      throw this.#bad(`the ${which} port '${text}' is not a number from 0 to 65535`);
    return port;
  }

  // parse_fwd_field: fields end at ':', `[...]` is literal, a backslash takes the next character as it is.
  #fields(): Field[] {
    let rest = this.#text.replace(/^[ \t-\r]+/, "");
    const fields: Field[] = [];
    while (rest !== "") {
      if (fields.length === 4) throw this.#bad("it has more than four fields");
      const [field, after] = rest.startsWith("[") ? this.#bracketed(rest) : this.#plain(rest);
      fields.push(field);
      rest = after;
    }
    return fields;
  }

  #bracketed(rest: string): [Field, string] {
    const end = rest.indexOf("]");
    if (end === -1) throw this.#bad("a '[' has no ']'");
    const after = rest.slice(end + 1);
    if (after !== "" && !after.startsWith(":")) throw this.#bad("a ']' must be followed by ':' or the end");
    const text = rest.slice(1, end);
    return [{ text, isPath: text.includes("/") }, after.slice(1)];
  }

  #plain(rest: string): [Field, string] {
    let text = "";
    let isPath = false;
    for (let i = 0; i < rest.length; i++) {
      const char = rest[i];
      if (char === ":") return [{ text, isPath }, rest.slice(i + 1)];
      if (char === "\\" && ++i === rest.length) throw this.#bad("it ends with a backslash");
      if (char === "/") isPath = true;
      text += rest[i];
    }
    return [{ text, isPath }, ""];
  }

  #bad(why: string): TundError {
    return new TundError(
      "INVALID_REQUEST",
      `bad ${this.#what} forwarding specification '${this.#text}': ${why}`,
    );
  }
}

const forms: Record<ForwardKind, string> = {
  local: "[bind_address:]port:host:hostport or [bind_address:]port:/path",
  remote: "[bind_address:]port:host:hostport, [bind_address:]port:/path or [bind_address:]port",
  dynamic: "[bind_address:]port or /path",
};

// In brackets where that will do, since that is what people write; a ']' cannot stand in them.
const writeField = (text: string, special: RegExp, brackets: boolean): string =>
  brackets && text.search(special) !== -1 && !text.includes("]")
    ? `[${text}]`
    : text.replaceAll(special, String.raw`\$&`);

// A space would be skipped at the start of a spec.
const writePath = (path: string): string => writeField(path, /[:\\]|^[[\s]/g, true);

// A slash makes a path of a field, in brackets too, unless a backslash stands before it.
const writeHost = (host: string): string => writeField(host, /[:\\/]|^\[/g, !host.includes("/"));

const bindFields = (bind: Bind): string[] => {
  if ("path" in bind) return [writePath(bind.path)];
  return bind.address === null ? [String(bind.port)] : [writeHost(bind.address), String(bind.port)];
};

const destinationFields = (destination: Destination): string[] => {
  if (destination === null) return [];
  if ("path" in destination) return [writePath(destination.path)];
  return [writeHost(destination.host), String(destination.port)];
};

/** Writes a spec as ssh takes it; parseForwardSpec reads the same spec back. */
export const formatForwardSpec = (spec: Pick<ForwardSpec, "bind" | "destination">): string =>
  [...bindFields(spec.bind), ...destinationFields(spec.destination)].join(":");

/** Writes the bind part of a spec alone. */
export const formatBind = (bind: Bind): string => bindFields(bind).join(":");

/** Writes where connections go, for people: `host:port`, a path, or `socks`. */
export const formatDestination = (destination: Destination): string =>
  destination === null ? "socks" : destinationFields(destination).join(":");

/** Writes an address and port so that an IPv6 address can be told from its port (RFC 5952 section 6). */
export const formatAddress = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
