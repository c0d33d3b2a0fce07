// Service names for ports, from services(5).
import type { ServicePort } from "../shared/forward-spec.ts";

/** Looks TCP services up by name or alias. The file is read at the first look-up; one that cannot be read knows none. */
export function servicePorts(read: () => string): ServicePort {
  let ports: Map<string, number> | undefined;
  return (name) => {
    ports ??= parse(textOf(read));
    return ports.get(name);
  };
}

function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function parse(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name, entry, ...aliases] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    const [, port] = /^(\d+)\/tcp$/.exec(entry ?? "") ?? [];
    if (name === undefined || port === undefined) continue;
    // getservbyname(3) takes the first line that fits.
    for (const each of [name, ...aliases]) if (!ports.has(each)) ports.set(each, Number(port));
  }
  return ports;
}
