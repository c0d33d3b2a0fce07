// Why a destination was not reached, in each protocol's own words.
import type { TundError } from "../../shared/errors.ts";
import { httpRefusal } from "./http-connect.ts";
import { socks5Codes } from "./socks.ts";

// What sshd (ssh_packet open failure texts are strerror and gai_strerror) and our own dial say.
const byText: [RegExp, number][] = [
  [/refused/i, socks5Codes.connectionRefused],
  [/network is unreachable/i, socks5Codes.networkUnreachable],
  [/no route to host|host is (down|unreachable)|timed out|did not answer/i, socks5Codes.hostUnreachable],
  [
    /cannot resolve|not known|name resolution|nodename|no address associated|no such socket/i,
    socks5Codes.hostUnreachable,
  ],
];

/** The SOCKS5 code (RFC 1928 section 6) that fits a failure. */
export function socks5CodeOf({ code, message }: TundError): number {
  if (code === "CHANNEL_PROHIBITED") return socks5Codes.notAllowed;
  if (code === "CONNECT_TIMEOUT") return socks5Codes.hostUnreachable;
  return byText.find(([text]) => text.test(message))?.[1] ?? socks5Codes.generalFailure;
}

/** The HTTP reply that fits a failure. */
export function httpReplyOf(failure: TundError): Buffer {
  const { code, message } = failure;
  if (code === "CHANNEL_PROHIBITED") return httpRefusal("403 Forbidden", message);
  if (code === "CONNECT_TIMEOUT" || /timed out|did not answer/i.test(message))
    return httpRefusal("504 Gateway Timeout", message);
  return httpRefusal("502 Bad Gateway", message);
}
